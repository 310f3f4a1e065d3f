"""One row of an inventory, whatever file it came in."""

from typing import Annotated

from pydantic import Field

from runtime.config import ConfigModel

MAX_COUNT = 1_000_000


class LicenceRow(ConfigModel):
    """`count` units of a licence type at a place (none: the master, `-`: no PBX yet), with or without MAC."""

    type: str
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    place: str | None = None
    mac: str | None = None
    project: Annotated[str, Field(max_length=100)] = ""
