"""One source of call records: what its connections bring is read, and on disk before anybody hears of it."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from agent.cdrs import CdrSource
from agent.service.cdr import dialect
from agent.store.spool import Position, Spool
from runtime.clock import Clock
from runtime.logs import logger
from telephony.cdr import innovaphone
from telephony.cdr.gaps import Counted, Gap
from telephony.cdr.reading import Origin, Parser, Quarantined, Reading, UnreadableError
from telephony.cdr.record import Cdr
from telephony.cdr.wire import Missing, SourceState

AT_ONCE: Final = 64
"""Pieces of one source that are read and not yet on disk; whoever comes with more waits."""


ROOM_AGAIN_S: Final = 1.0


class NoRoomError(Exception):
    """Nothing is taken in now: the spool is full, or its disk nearly. The source must keep what it has."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """What a source remembers of itself."""

    last_ms: int | None = None
    highest: int | None = None
    gaps: tuple[tuple[int, int], ...] = ()
    restarts: int = 0
    forgotten: int = 0


class Source:
    """A configured source over an open spool; `resume` before its first byte."""

    def __init__(self, settings: CdrSource, origin: Origin, spool: Spool, clock: Clock) -> None:
        self.settings = settings
        self.name = origin.source
        self.spool = spool
        self.connected = False
        self.trouble = ""
        self.refused = 0
        self.held_back = False
        self._clock = clock
        self._log = logger(pbx=origin.pbx, source=origin.source)
        self._began_ms = clock.wall_ms()
        self._last_ms: int | None = None
        self._counted = Counted() if settings.dialect in dialect.COUNTING else None
        self._parser = dialect.parser(settings, origin)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def resume(self) -> None:
        """Be where the last process was: what goes on is read again, and what that says is known already."""
        for raw, taken_ms in await self.spool.parts(self.name):
            self._parser.feed(raw, taken_ms)
            self._parser.end(taken_ms)
        body = await self.spool.state(self.name)
        if body is None:
            return
        kept = msgspec.msgpack.decode(body, type=_Kept)
        self._last_ms = kept.last_ms
        if self._counted is not None:
            self._counted.highest = kept.highest
            self._counted.gaps = [Gap(*gap) for gap in kept.gaps]
            self._counted.restarts, self._counted.forgotten = kept.restarts, kept.forgotten

    def branch(self) -> Parser:
        """A parser for one connection, file or request."""
        return self._parser.branch()

    async def take(self, parser: Parser, pieces: Sequence[bytes], *, end: bool = False) -> None:
        """Read these bytes, with `end` each as a whole; returns when it is kept. NoRoomError, StoreError."""
        async with self._turns:
            readings: list[Reading] = []
            for piece in pieces:
                readings += self.read(parser, piece, end=end)
            await self.keep(readings)

    async def take_when_room(self, parser: Parser, pieces: Sequence[bytes], *, end: bool = False) -> None:
        """As `take`, for a source that is told to wait by nobody reading on."""
        while True:
            try:
                await self.take(parser, pieces, end=end)
            except NoRoomError:
                await asyncio.sleep(ROOM_AGAIN_S)
            else:
                return

    def read(self, parser: Parser, data: bytes, *, end: bool = False) -> list[Reading]:
        """What these bytes say; `keep` it before anything else is awaited. NoRoomError before it is read."""
        if self.spool.full or self.held_back:
            self.refused += 1
            raise NoRoomError
        now_ms = self._clock.wall_ms()
        readings = parser.feed(data, now_ms)
        return readings + parser.end(now_ms) if end else readings

    def keep(self, readings: list[Reading], position: Position | None = None) -> "asyncio.Future[None]":
        """Have it on disk, with the place in its file; the future is done when it is there. StoreError."""
        now_ms = self._clock.wall_ms()
        said = [reading for reading in readings if isinstance(reading, Cdr | Quarantined)]
        for reading in said:
            self._note(reading, now_ms)
        state = self._stored() if said else None
        return self.spool.keep(self.name, readings, now_ms, position=position, state=state)

    def _note(self, reading: Cdr | Quarantined, now_ms: int) -> None:
        self._last_ms = now_ms
        if isinstance(reading, Quarantined) and reading.bug:
            self._log.error("cdr.reader_failed", dialect=self.settings.dialect, bug=reading.bug)
        if self._counted is None or isinstance(reading, Quarantined):
            return
        try:
            number = innovaphone.seq(reading)
        except UnreadableError:  # a gateway's line, which has none
            return
        if number is not None:
            self._counted.take(number)

    def _stored(self) -> bytes:
        counted = self._counted or Counted()
        gaps = tuple((gap.first, gap.last) for gap in counted.gaps)
        kept = _Kept(self._last_ms, counted.highest, gaps, counted.restarts, counted.forgotten)
        return msgspec.msgpack.encode(kept)

    def state(self) -> SourceState:
        """How it is now."""
        counted = self._counted or Counted()
        return SourceState(
            self.name,
            self._last_ms,
            self._silent(),
            self.connected,
            tuple(Missing(first, last) for first, last in counted.gaps),
            counted.forgotten,
            counted.restarts,
            self.spool.lost.get(self.name, 0),
        )

    def _silent(self) -> bool:
        """Nothing came for longer than its administrator expects; from the start on, if nothing ever came."""
        after_s = self.settings.silent_after_s
        since_ms = self._began_ms if self._last_ms is None else max(self._last_ms, self._began_ms)
        return after_s is not None and self._clock.wall_ms() - since_ms > after_s * 1_000
