"""What comes of messages leaves here, in order: sent, stored, counted.

What is about registrations never leaves before what it rests on is on disk (sip-guard; protocol
"Durability rules"; decision 0011). Calls and keep-alives rest on nothing and leave at once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from agent.service.carriers import Carriers
from agent.service.chronicle import Chronicle
from agent.service.counting import Counting, Sender
from agent.service.seats import SeatVerdict
from agent.store.journal import Journal
from runtime.clock import Clock
from telephony.binding import Registration
from telephony.output import Output, Record, Rejected, Send


class Outbound:
    """The way out of one PBX's guard; until `serve` nothing is sent."""

    def __init__(
        self, verdict: SeatVerdict, journal: Journal, chronicle: Chronicle, counting: Counting, clock: Clock
    ) -> None:
        self.rejections: Counter[str] = Counter()
        self.carriers = Carriers()
        self._verdict = verdict
        self._journal = journal
        self._chronicle = chronicle
        self._counting = counting
        self._clock = clock
        self._send: Sender | None = None
        self._noting = 0
        self._behind: list[Callable[[], None]] = []  # of the newest note
        self._waiting = 0
        self._recording: asyncio.Future[None] | None = (
            None  # the newest first binding that is not on disk yet
        )

    def serve(self, send: Sender | None) -> None:
        """Messages leave by `send`; None: no more."""
        self._send = send
        self._counting.serve(send)

    @property
    def serving(self) -> bool:
        """Whether messages leave."""
        return self._send is not None

    @property
    def writing(self) -> bool:
        """Whether something waits for the disk before it may leave."""
        return bool(self._noting or self._waiting or self._recording or self._counting.behind)

    def at_once(self, outputs: Iterable[Output], now_ms: int) -> None:
        """Send, store, count, whatever the disk does."""
        send = self._send
        for output in outputs:
            if type(output) is Send:
                if send is not None:
                    send(output.flow, output.data)
            elif type(output) is Record:
                self._store(output, now_ms)
            elif type(output) is Rejected:
                self.rejections[output.reason] += 1
                self._chronicle.rejected(output, now_ms)
            else:
                self._counting.carry_out(output, now_ms)

    def in_order(self, groups: Sequence[Sequence[Output]], now_ms: int) -> None:
        """Carry out what came of each message about registrations, behind all that came before.

        A new reservation is on disk before its REGISTER leaves (decision 0011).
        """
        self.forget_failed()  # before a new note of the same object
        reserved, self._verdict.reserved = self._verdict.reserved, []
        if not reserved and not self._noting:
            for outputs in groups:
                self._in_order(outputs, now_ms)
        elif reserved or any(groups):
            stored = self._journal.reserve(reserved) if reserved else self._journal.barrier()
            self._noting += 1
            self._behind = []
            stored.add_done_callback(partial(self._noted, groups, self._behind))

    def behind(self, work: Callable[[], None]) -> None:
        """Do this in one step with what came of the messages before it: now, unless that waits for a note.

        What it writes is then in no earlier transaction: no history tells of a binding that a crash undid.
        """
        if self._noting:
            self._behind.append(work)
        else:
            work()

    def forget_failed(self) -> None:
        """Take the notes of reservations away that ended without a binding."""
        if self._verdict.failed:
            self._journal.forget_reservations(self._verdict.failed)
            self._verdict.failed = []

    def _noted(
        self,
        groups: Sequence[Sequence[Output]],
        behind: Sequence[Callable[[], None]],
        stored: asyncio.Future[None],
    ) -> None:
        self._noting -= 1
        if _is_stored(stored):
            now_ms = self._clock.monotonic_ms()
            for outputs in groups:
                self._in_order(outputs, now_ms)
            for work in behind:
                work()

    def _in_order(self, outputs: Sequence[Output], now_ms: int) -> None:
        """Store the records, which come first; all else waits for them, also for those of other messages.

        A repeated answer and the 200 of a refresh rest on the first binding as its own 200 does.
        """
        records = 0
        for output in outputs:
            if type(output) is not Record:
                break
            records += 1
            stored = self._store(output, now_ms)
            if output.durable:
                self._recording = stored
                stored.add_done_callback(self._recorded)
        if self._recording is None:
            self.at_once(outputs[records:] if records else outputs, now_ms)
        elif records < len(outputs):
            self._waiting += 1
            self._recording.add_done_callback(partial(self._late, outputs[records:]))

    def _recorded(self, stored: asyncio.Future[None]) -> None:
        if self._recording is stored:
            self._recording = None

    def _late(self, outputs: Sequence[Output], stored: asyncio.Future[None]) -> None:
        self._waiting -= 1
        if _is_stored(stored):
            self.at_once(outputs, self._clock.monotonic_ms())

    def _store(self, record: Record, now_ms: int) -> asyncio.Future[None]:
        self.carriers.note(record)
        registration = Registration(record.aor, record.name, record.kind, record.bindings)
        return self._journal.replace(registration, now_ms, self._clock.wall_ms())


def _is_stored(stored: asyncio.Future[None]) -> bool:
    return not stored.cancelled() and stored.exception() is None
