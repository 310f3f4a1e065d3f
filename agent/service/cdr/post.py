"""Call records as they come, for somebody else: small files into a directory, or to an HTTP endpoint."""

import asyncio
from typing import Final, NoReturn, Protocol

from agent.cdrs import CdrPush
from agent.store.cdr_row import Row, cdr_of
from agent.store.spool import Spool
from runtime.clock import Clock
from runtime.logs import logger
from telephony.cdr.columns import csv_header, csv_row, json_line
from telephony.cdr.wire import MAX_RECORDS, Record

MARK: Final = "pushed"
FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 300.0


class Target(Protocol):
    """Where files go; a name always has the same content, so that a second time does no harm."""

    async def put(self, name: str, body: bytes) -> None:
        """Returns when it is there; OSError."""
        ...


class Poster:
    """Pushes one spool's records, each at least once; a record that is replayed goes out again."""

    def __init__(self, spool: Spool, settings: CdrPush, pbx: str, target: Target, clock: Clock) -> None:
        self.pushed = 0
        """The last entry that is there."""
        self.pushed_ms: int | None = None
        self._spool = spool
        self._settings = settings
        self._pbx = pbx
        self._target = target
        self._clock = clock
        self._log = logger(pbx=pbx)

    async def run(self) -> NoReturn:
        """Push what is new, now and then, for ever; StoreError."""
        self.pushed = await self._spool.mark(MARK)
        while True:
            while rows := await self._spool.records_behind(self.pushed, MAX_RECORDS):
                await self._put(f"{self._pbx}-{self._spool.name[:8]}-{rows[0].n}-{rows[-1].n}", rows)
                await self._spool.keep_mark(MARK, rows[-1].n)
                self.pushed, self.pushed_ms = rows[-1].n, self._clock.wall_ms()
            await asyncio.sleep(self._settings.every_s)

    async def _put(self, name: str, rows: list[Row]) -> None:
        body = _written(rows, self._settings.format)
        pause_s = FIRST_RETRY_S
        while True:
            try:
                await self._target.put(f"{name}.{self._settings.format}", body)
            except OSError as error:
                self._log.warning("cdr.unpushed", file=name, error=str(error), again_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(LAST_RETRY_S, 2 * pause_s)
            else:
                return


def _written(rows: list[Row], form: str) -> bytes:
    records = [record for row in rows if isinstance(record := row.read(), Record)]
    if form == "csv":
        return (csv_header() + "".join(csv_row(cdr_of(record)) for record in records)).encode()
    return "".join(json_line(cdr_of(record)) for record in records).encode()
