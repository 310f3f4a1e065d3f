"""What agent.yaml says of connections: how many there may be, and how long one may be silent."""

from typing import Annotated

from pydantic import Field

from runtime.config import ConfigModel

Seconds = Annotated[int, Field(ge=1, le=7 * 86_400)]


class ConnectionLimits(ConfigModel):
    """The limits of the stream listeners of one PBX together; every one is on by default.

    `idle_s` is longer than the 120 s after which a phone says that it is there (RFC 5626 4.4.1).
    """

    total: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    per_source: Annotated[int, Field(ge=1, le=100_000)] = 500
    handshake_s: Seconds = 10
    message_s: Seconds = 10
    idle_s: Seconds = 180
    registered_idle_s: Seconds = 4 * 3_600
    unread_kib: Annotated[int, Field(ge=64, le=65_536)] = 256
