"""Records for somebody else as they come: where they go, by the configuration, and what they come from."""

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from pydantic import Field, model_validator

from runtime.config import ConfigModel, ConfigPath

Form = Literal["csv", "jsonl"]


class Push(ConfigModel):
    """Records as files of `format`, into a directory or to an HTTP endpoint, as they come."""

    directory: ConfigPath | None = None
    url: Annotated[str, Field(pattern=r"^https?://[!-~]{1,500}$")] | None = None
    format: Form = "jsonl"
    every_s: Annotated[int, Field(ge=1, le=86_400)] = 60

    @model_validator(mode="after")
    def _one_way(self) -> "Push":
        if (self.directory is None) == (self.url is None):
            raise ValueError("write either directory or url")
        return self


class Target(Protocol):
    """Where files go; a name always has the same content, so that a second time does no harm."""

    async def put(self, name: str, body: bytes) -> None:
        """Returns when it is there; OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file: its name without the ending, its bytes, and the number of its last record."""

    name: str
    body: bytes
    last: int


class Outbox(Protocol):
    """Records in the order of their numbers, and how far they were pushed."""

    async def pushed(self) -> int:
        """The number of the last record that is there; 0: none yet."""
        ...

    async def behind(self, number: int) -> Parcel | None:
        """The next file of what came after this number; None: nothing came."""
        ...

    async def keep(self, number: int) -> None:
        """Everything up to here is there; returns when that is on disk."""
        ...
