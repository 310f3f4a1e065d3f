"""Pushes records in small files as they come, each until it is taken (`runtime.targets`)."""

import asyncio
from typing import Any, Final, NoReturn

from runtime.clock import Clock
from runtime.push import Outbox, Push, Target

FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 300.0


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
