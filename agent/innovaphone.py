"""`innovaphone` of agent.yaml: the AppWebsocket of the PBX, and the App object that the agent logs in as."""

from typing import Annotated

from pydantic import Field

from runtime.config import ConfigModel, ConfigPath

Url = Annotated[str, Field(pattern=r"^wss?://[^/\s]{1,253}/[!-~]{1,200}$")]


class Innovaphone(ConfigModel):
    """An innovaphone PBX that is asked every `resync_s` who is registered; `password` is a file.

    With wss: `ca` is whom we believe, without it one that the system trusts.
    """

    url: Url
    app: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^:\s]+$")]
    password: ConfigPath
    ca: ConfigPath | None = None
    resync_s: Annotated[int, Field(ge=10, le=3_600)] = 60
