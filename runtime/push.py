"""Records for somebody else as they come, in small files, each until it is taken (`runtime.targets`)."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NoReturn, Protocol

from pydantic import Field, model_validator

from runtime.clock import Clock
from runtime.config import ConfigModel, ConfigPath

FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 300.0

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


class Poster:
    """Pushes what an outbox has, each record at least once; `log` is a bound logger."""

    def __init__(self, outbox: Outbox, settings: Push, target: Target, clock: Clock, log: Any) -> None:
        self.pushed = 0
        """The last record that is there."""
        self.pushed_ms: int | None = None
        self._outbox = outbox
        self._settings = settings
        self._target = target
        self._clock = clock
        self._log = log

    async def run(self) -> NoReturn:
        """Push what is new, now and then, for ever; what the outbox raises."""
        self.pushed = await self._outbox.pushed()
        while True:
            while parcel := await self._outbox.behind(self.pushed):
                await self._put(f"{parcel.name}.{self._settings.format}", parcel.body)
                await self._outbox.keep(parcel.last)
                self.pushed, self.pushed_ms = parcel.last, self._clock.wall_ms()
            await asyncio.sleep(self._settings.every_s)

    async def _put(self, name: str, body: bytes) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            try:
                await self._target.put(name, body)
            except OSError as error:
                self._log.warning("cdr.unpushed", file=name, error=str(error), again_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(LAST_RETRY_S, 2 * pause_s)
            else:
                return
