"""Call records on their way to the master: one batch at a time, again until it says that it has it."""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Callable
from typing import Final

import msgspec

from agent.service.alarms import Alarms
from agent.service.link import CDRS, Link, NoAnswerError
from agent.service.sync import JITTER, PASSING, Spread
from agent.store.cdr_row import Row
from agent.store.spool import Outgoing, Spool
from licensing import wire
from licensing.codes import Code
from runtime.clock import Clock
from runtime.logs import logger
from telephony.cdr.wire import MAX_BATCH, VERSION, Batch, BatchAnswer, Record, SourceState, Unread

HEAD_BYTES: Final = 64 * 1024
"""Of a batch, for what is not entries: names, and how the sources are."""
ROOM: Final = MAX_BATCH - HEAD_BYTES
CUT_RAW: Final = 96 * 1024
"""Bytes of a longer record's own that travel, with a line that says so; the whole stays in the spool."""
GATHER_S: Final = 0.2
SAY_EVERY_S: Final = 30.0
SAY_AT_LEAST_S: Final = 600.0
"""A batch without records then: a master that was restored hears what it lost, however quiet the PBX is."""
FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 60.0
MISSING_TOLD: Final = 100

States = Callable[[], tuple[SourceState, ...]]


class Delivery:
    """Brings one spool to its master, for ever."""

    def __init__(
        self,
        spool: Spool,
        states: States,
        identity: tuple[str, str],
        link: Link,
        clock: Clock,
        alarms: Alarms,
        spread: Spread = random.uniform,
    ) -> None:
        """`identity`: names of installation and agent."""
        self.last_answer_ms: int | None = None
        self._spool = spool
        self._states = states
        self._identity = identity
        self._link = link
        self._clock = clock
        self._alarms = alarms
        self._spread = spread
        self._log = logger(pbx=identity[1])
        self._said: tuple[SourceState, ...] = ()
        self._failures = 0

    async def run(self) -> None:
        """Send what waits, then wait for more; StoreError ends it."""
        while True:
            outgoing = await self._next()
            if outgoing is None:
                await self._rest()
            elif not await self._sent(outgoing):
                await asyncio.sleep(self._pause_s())

    async def _next(self) -> Outgoing | None:
        """The next batch: without records only if a source has something else to say."""
        self._spool.arrived.clear()
        outgoing = await self._spool.outgoing(_size, ROOM)
        if outgoing is None and self._spool.waiting:  # what came twice
            await self._spool.measure()
        if outgoing is None and (_words(self._states()) != _words(self._said) or self._quiet()):
            outgoing = await self._spool.cut_empty()
        return outgoing

    def _quiet(self) -> bool:
        now_ms = self._clock.wall_ms()
        return self.last_answer_ms is None or now_ms - self.last_answer_ms > SAY_AT_LEAST_S * 1_000

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAY_EVERY_S):
                await self._spool.arrived.wait()
                await asyncio.sleep(GATHER_S)

    async def _sent(self, outgoing: Outgoing) -> bool:
        """Send it; False: not now."""
        states = self._states()
        body = msgspec.json.encode(self._batch(outgoing, states))
        try:
            reply = await self._link.post(CDRS, body)
        except NoAnswerError as error:
            return self._failed(error.code, error.detail)
        if reply.status != 200:
            return self._failed(_code(reply.body), f"the master answered {reply.status}")
        try:
            answer = msgspec.json.decode(reply.body, type=BatchAnswer)
        except msgspec.DecodeError as error:
            return self._failed(Code.VERSION_UNSUPPORTED, str(error))
        if answer.spool != self._spool.name:
            return self._failed(Code.VERSION_UNSUPPORTED, f"an answer for spool {answer.spool}")
        if not await self._spool.answered(answer.kept):
            lost = sum(self._spool.lost.values())
            self._log.warning("cdr.resent", number=outgoing.number, kept=answer.kept, lost=lost)
        elif outgoing.rows:
            self._log.info("cdr.delivered", number=outgoing.number, entries=len(outgoing.rows))
        self._failures, self._said = 0, states
        self.last_answer_ms = self._clock.wall_ms()
        self._alarms.clear(Code.CDR_UNDELIVERED)
        return True

    def _batch(self, outgoing: Outgoing, states: tuple[SourceState, ...]) -> Batch:
        entries = [_cut(row.read()) for row in outgoing.rows]
        records = tuple(entry for entry in entries if isinstance(entry, Record))
        unread = tuple(entry for entry in entries if isinstance(entry, Unread))
        installation, agent = self._identity
        name, said = self._spool.name, tuple(map(_brief, states))
        return Batch(VERSION, installation, agent, name, outgoing.number, records, unread, said)

    def _failed(self, code: Code, detail: str) -> bool:
        """No answer that counts: the same batch again, later and later."""
        self._failures += 1
        if self._failures == 1:
            self._log.warning("cdr.undelivered", code=code.value, detail=detail)
        if code not in PASSING:
            self._alarms.raise_(Code.CDR_UNDELIVERED, self._clock.wall_ms(), f"{code.value}: {detail}")
        return False

    def _pause_s(self) -> float:
        pause_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(self._failures - 1, 10))
        return float(pause_s * self._spread(1 - JITTER, 1 + JITTER))


def _words(states: tuple[SourceState, ...]) -> list[SourceState]:
    """What is worth a batch of its own: not that a record came, which tells itself."""
    return [msgspec.structs.replace(state, last_ms=None) for state in states]


def _brief(state: SourceState) -> SourceState:
    """The newest gaps fit into a batch; of those before them only how many numbers they are."""
    older = sum(gap.last - gap.first + 1 for gap in state.missing[:-MISSING_TOLD])
    newest = state.missing[-MISSING_TOLD:]
    return msgspec.structs.replace(state, missing=newest, forgotten=state.forgotten + older)


def _size(row: Row) -> int:
    """Bytes of an entry in a batch, with its comma."""
    return len(msgspec.json.encode(_cut(row.read()))) + 1


def _cut(entry: Record | Unread) -> Record | Unread:
    """An entry that fits into a batch: of a very long one the first bytes travel; its hash is the same."""
    size = len(entry.raw)
    if size <= CUT_RAW:
        return entry
    digest = hashlib.sha256(entry.raw).hexdigest()
    note = f"cut, the first {CUT_RAW} of {size} bytes"
    raw = entry.raw[:CUT_RAW] + f"\n[pbx-agent: {note}; SHA-256 of all: {digest}]\n".encode()
    if isinstance(entry, Unread):
        return msgspec.structs.replace(entry, raw=raw, detail=f"{entry.detail} ({note})")
    return msgspec.structs.replace(entry, raw=raw)


def _code(body: bytes) -> Code:
    """Why the master refused, as far as it said so."""
    try:
        return Code(msgspec.json.decode(body, type=wire.Problem).code)
    except (msgspec.DecodeError, ValueError):
        return Code.MASTER_AWAY
