"""One PBX: its guard, its seats and its journal, with the outside passed in as functions.

What the cores return is done here, in their order. A `Send` that follows a `Record` which must be durable
leaves only when the journal has it (sip-guard; protocol "Durability rules").
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from agent.service.alarms import Alarms, DenialAlarms
from agent.service.carriers import Carriers
from agent.service.chronicle import Chronicle
from agent.service.counting import Counting, Sender
from agent.service.intake import Arrived, Intake
from agent.service.seats import SeatVerdict
from agent.store.journal import Journal
from licensing import wire
from licensing.codes import Code
from licensing.site import record as records
from licensing.site import share
from licensing.site.record import ShareRecord
from runtime.clock import Clock
from telephony.address import Flow
from telephony.binding import Registration
from telephony.guard import Guard
from telephony.meter import Meter
from telephony.output import Output, Record, Rejected, Send
from telephony.sip.stream import Broken

# No timer of the guard or the seats is shorter: looking again after it misses none.
SHORTEST_TIMER_MS = 500
# Timers that are due within this time are served together: of T1 it is a fiftieth.
TIMER_GRAIN_MS = 10
IDLE_MS = 60_000


class Site:
    """One PBX of this agent; everything happens on the event loop, and nothing here waits for the network."""

    def __init__(
        self,
        software: int,
        guard: Guard,
        meter: Meter,
        verdict: SeatVerdict,
        journal: Journal,
        chronicle: Chronicle,
        alarms: Alarms,
        clock: Clock,
        boot: str,
    ) -> None:
        self.guard = guard
        self.seats = verdict.seats
        self.desk = verdict.desk
        self.counting = Counting(guard, verdict.desk, journal, chronicle, clock)
        self.alarms = alarms
        self.rejections: Counter[str] = Counter()
        self.intake = Intake(meter, guard, self.take_in, clock)
        self._software = software
        self._verdict = verdict
        self._journal = journal
        self._chronicle = chronicle
        self._clock = clock
        self._boot = boot
        self._send: Sender | None = None
        self._speak: Callable[[], None] = _nobody
        self._mention: Callable[[], None] = _nobody
        self._behind = 0
        self._carriers = Carriers()
        self._unrecorded = 0
        self._held: set[bytes] = set()  # what leaves once a record is on disk
        self._doubted: tuple[str, ...] = ()
        self._doubted_until_ms = 0
        self._pages: dict[str, str] = {}
        self._pages_sent: tuple[wire.HolderPage, ...] = ()
        self._denials = DenialAlarms(alarms)
        self._policy: wire.Policy | None = None
        self._bypass_until_at_ms = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0

    # the SIP side

    def serve(
        self, send: Sender, speak: Callable[[], None], mention: Callable[[], None] = lambda: None
    ) -> None:
        """From now on answers leave by `send` and time passes.

        `speak` asks for a sync at once, `mention` for one soon, so that the master's picture follows.
        """
        self._send, self._speak, self._mention = send, speak, mention
        self.counting.serve(send)
        self.desk.serve(self._moved)
        self._look_again(self._clock.monotonic_ms(), SHORTEST_TIMER_MS)

    @property
    def idle(self) -> bool:
        """Whether everything that was taken in has been answered."""
        return not self.guard.pending and not self.writing and not self.intake.behind

    @property
    def writing(self) -> bool:
        """Whether something waits for the disk before it may leave."""
        return bool(self._behind or self._unrecorded or self.counting.behind)

    def close(self) -> None:
        """Send nothing more."""
        self._send = None
        self.counting.serve(None)
        self.intake.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def offer(self, data: bytes, flow: Flow, now_ms: int, *, again: bool = False) -> bool:
        """One message of a stream; False when its source, or the disk, must wait: offer it `again` later.

        Nobody repeats what was sent by a stream, so nothing is lost there, and what waits is counted once.
        Call `settle` after a turn.
        """
        if again and (self._journal.full or self.intake.meter.owes(flow.host, now_ms)):
            return False
        admitted = self.intake.meter.admit(flow.host, now_ms) or self.intake.urgent(data, flow, now_ms)
        if not admitted:
            return False
        if not self._journal.full:
            self._receive([(data, flow)], now_ms)
            return True
        return self._receive_unstored(data, flow, now_ms)

    def take_in(self, admitted: Sequence[Arrived], now_ms: int) -> None:
        """What arrived together and may be read; then settle."""
        if self._journal.full:
            for data, flow in admitted:
                if not self._receive_unstored(data, flow, now_ms):
                    self.rejections["store_busy"] += 1  # the sender repeats it
        else:
            self._receive(admitted, now_ms)
        self.settle(now_ms)

    def _receive(self, arrived: Sequence[Arrived], now_ms: int) -> None:
        """Calls, keep-alives and answers to what is no SIP leave at once; registrations wait for the disk."""
        passing, groups = self.guard.receive_all(arrived, now_ms)
        self._carry_out(passing, now_ms)
        self._carry_out_noted(groups, now_ms)

    def opened(self, flow: Flow) -> None:
        """A connection can be reached from now on."""
        self.guard.opened(flow)

    def closed(self, flow: Flow) -> None:
        """A connection can be reached no more."""
        self.guard.closed(flow)

    def expects(self, flow: Flow) -> bool:
        """Whether more may come by this connection, however long it is silent: from a phone, or the PBX."""
        return flow in self._carriers or self.guard.is_pbx(flow)

    def broken(self, broken: Broken, flow: Flow, now_ms: int) -> None:
        """A stream that cannot be read on; what there is to answer is sent."""
        self._carry_out(self.guard.broken(broken, flow), now_ms)

    def tell(self, rejected: Rejected) -> None:
        """A connection that was refused or cut: counted, and logged unless there are very many."""
        self._carry_out([rejected], self._clock.monotonic_ms())

    def _receive_unstored(self, data: bytes, flow: Flow, now_ms: int) -> bool:
        """The disk is behind: calls and all else that stores nothing pass; False for what must wait."""
        outputs = self.guard.relay(data, flow, now_ms)
        self._carry_out(outputs or (), now_ms)
        return outputs is not None

    def settle(self, now_ms: int) -> None:
        """End the waits that are over, tell history, and ask the master when there is need."""
        if self._verdict.touched:
            while self._verdict.touched:  # ending one wait may give another object its unit
                self._verdict.touched = False
                for name, decision in self._verdict.settle(now_ms):
                    self._carry_out_noted([self.guard.settle(name, decision, now_ms)], now_ms)
            self._forget_failed()
            self.desk.write()
            if self._chronicle.tell(self.seats.drain_events(), now_ms):
                self._mention()
            if self.seats.urgent:
                self._speak()
        if self._timer_ms > now_ms + SHORTEST_TIMER_MS:
            self._look_again(now_ms, SHORTEST_TIMER_MS)

    def _moved(self) -> None:
        """A use began or ended."""
        self._verdict.touched = True
        self.settle(self._clock.monotonic_ms())

    def _carry_out_noted(self, groups: Sequence[Sequence[Output]], now_ms: int) -> None:
        """Carry out what came of each message; what must be durable holds back the rest of its own group.

        A new reservation is on disk before its REGISTER leaves (decision 0011).
        """
        self._forget_failed()  # before a new note of the same object
        reserved, self._verdict.reserved = self._verdict.reserved, []
        if not reserved and not self._behind:
            send = None if self._held else self._send
            for outputs in groups:
                if send is not None and len(outputs) == 1 and type(outputs[0]) is Send:  # a refresh, mostly
                    send(outputs[0].flow, outputs[0].data)
                else:
                    self._carry_out(outputs, now_ms)
            return
        if not reserved and not any(groups):
            return
        # While a note is on its way to the disk all that is about registrations waits behind it, in order.
        stored = self._journal.reserve(reserved) if reserved else self._journal.barrier()
        self._behind += 1
        stored.add_done_callback(partial(self._carry_out_behind, groups))

    def _carry_out_behind(self, groups: Sequence[Sequence[Output]], stored: asyncio.Future[None]) -> None:
        self._behind -= 1
        for outputs in groups:
            self._carry_out_stored(outputs, stored)

    def _forget_failed(self) -> None:
        if self._verdict.failed:
            self._journal.forget_reservations(self._verdict.failed)
            self._verdict.failed = []

    def _carry_out(self, outputs: Sequence[Output], now_ms: int) -> None:
        """Send, store, count: in order, and what follows a durable record waits for it."""
        send = self._send
        for index, output in enumerate(outputs):
            if type(output) is Send:
                # Who repeats a request gets the same bytes again, but never before they may leave.
                if send is not None and output.data not in self._held:
                    send(output.flow, output.data)
            elif type(output) is Record:
                stored = self._store(output, now_ms)
                if output.durable:
                    rest = outputs[index + 1 :]
                    self._unrecorded += 1
                    self._held.update(each.data for each in rest if type(each) is Send)
                    stored.add_done_callback(partial(self._carry_out_recorded, rest))
                    return
            elif type(output) is Rejected:
                self.rejections[output.reason] += 1
                self._chronicle.rejected(output, now_ms)
            else:
                self.counting.carry_out(output, now_ms)

    def _carry_out_recorded(self, outputs: Sequence[Output], stored: asyncio.Future[None]) -> None:
        self._unrecorded -= 1
        self._held.difference_update(each.data for each in outputs if type(each) is Send)
        self._carry_out_stored(outputs, stored)

    def _carry_out_stored(self, outputs: Sequence[Output], stored: asyncio.Future[None]) -> None:
        if not stored.cancelled() and stored.exception() is None:
            self._carry_out(outputs, self._clock.monotonic_ms())

    def _store(self, record: Record, now_ms: int) -> asyncio.Future[None]:
        self._carriers.note(record)
        registration = Registration(record.aor, record.name, record.kind, record.bindings)
        return self._journal.replace(registration, now_ms, self._clock.wall_ms())

    # time

    def _look_again(self, now_ms: int, in_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = now_ms + in_ms
        self._timer = asyncio.get_running_loop().call_later(in_ms / 1_000, self._time_passed)

    def _time_passed(self) -> None:
        now_ms = self._clock.monotonic_ms()
        self._look_again(now_ms, SHORTEST_TIMER_MS)  # whatever happens here: no surprise is the last timer
        if self._journal.full:  # nothing may be decided that cannot be stored
            return
        self._carry_out_noted([self.guard.handle_timers(now_ms)], now_ms)
        self._end_doubt(now_ms)
        self._verdict.touched = True
        self._timer_ms = now_ms
        self.settle(now_ms)
        due = [time for time in (self.guard.next_timer(), self.seats.next_expiry()) if time is not None]
        if self._doubted:
            due.append(self._doubted_until_ms)
        self._look_again(now_ms, max(TIMER_GRAIN_MS, min(due) - now_ms) if due else IDLE_MS)

    def doubt(self, names: Iterable[str], until_ms: int) -> None:
        """These objects may be registered since before a crash; who has not shown up by then is not."""
        self._doubted, self._doubted_until_ms = tuple(names), until_ms

    @property
    def doubting(self) -> bool:
        """Whether a crash still leaves it open who is registered."""
        return bool(self._doubted) or self.seats.recovering

    def _end_doubt(self, now_ms: int) -> None:
        if not self._doubted or now_ms < self._doubted_until_ms:
            return
        for name in self._doubted:
            if not self.guard.holds(name) and not self._verdict.is_open(name):
                self._verdict.release(name, now_ms)
                self._journal.forget_reservations([name])
        self._doubted = ()

    # the master's side (agent.service.sync.Local)

    def statement(self) -> share.Statement:
        """What the site has and wants; from here on its seats keep within these wants."""
        pages = tuple(self.seats.holder_page(class_, after) for class_, after in self._pages.items())
        self._pages_sent = pages
        return share.Statement(
            boot=self._boot,
            software=wire.Software(release=self._software),
            classes=self.seats.ask(),
            holders=self.seats.holders(),
            pages=pages,
            activity=self._journal.activity(),
            alarms=tuple(alarm.code.value for alarm in self.alarms.all()),
        )

    def answered(self, record: ShareRecord, answer: wire.Answer) -> None:
        """Use what the answer lends, end the waits it decides, and go on where it left something open."""
        now_ms = self._clock.monotonic_ms()
        policy = record.policy if record.policy != self._policy else None
        self._policy = record.policy  # an answer brings it only when it changed since the last one
        before = self.seats.counts()
        self.seats.answer(self._limits(record), answer.denials, now_ms, policy)
        self._turn_pages(answer.holders_wanted)
        self._verdict.touched = True
        self.settle(now_ms)
        self._denials.note(answer.denials, before, self.seats.counts(), now_ms, self._clock.wall_ms())
        if self._pages:
            self._speak()

    def unanswered(self, record: ShareRecord) -> None:
        """No answer: the share may have shrunk or be doubted, or the grace period ended."""
        now_ms, at_ms = self._clock.monotonic_ms(), self._clock.wall_ms()
        closed = records.closed(record, now_ms, at_ms)
        self.seats.lend(self._limits(record), now_ms, synced=record.synced, closed=closed)
        self._verdict.touched = True
        self.settle(now_ms)

    def _limits(self, record: ShareRecord) -> dict[str, records.Limit]:
        return records.limits(record, self._software)

    def _turn_pages(self, wanted: Sequence[str]) -> None:
        """Holder lists go a page a sync, until their last page."""
        for page in self._pages_sent:
            if page.last or not page.names:
                self._pages.pop(page.class_, None)
            else:
                self._pages[page.class_] = page.names[-1]
        self._pages_sent = ()
        for class_ in wanted:
            self._pages.setdefault(class_, "")

    def hold_back(self, advice: str) -> None:
        """The disk is nearly full, and what to do about it; empty: it is not, or no more (decision 0021)."""
        self.seats.hold_back(bool(advice))
        self._journal.no_room = bool(advice)
        if advice:
            self.alarms.raise_(Code.DISK_FULL, self._clock.wall_ms(), advice)
        else:
            self.alarms.clear(Code.DISK_FULL)

    # the administrator's side

    @property
    def bypass_until_at_ms(self) -> int | None:
        """Wall time until which everything is admitted, or None."""
        return self._bypass_until_at_ms if self._bypass_until_at_ms > self._clock.wall_ms() else None

    async def bypass(self, for_s: int) -> None:
        """Admit everything for so many seconds (0: no longer); remembered across a restart."""
        now_ms, at_ms = self._clock.monotonic_ms(), self._clock.wall_ms()
        until_at_ms = at_ms + for_s * 1_000 if for_s else 0
        await self._journal.keep_marks(bypass_until_ms=until_at_ms)
        self.resume_bypass(until_at_ms, now_ms, at_ms)
        self._chronicle.bypassed(until_at_ms)

    def resume_bypass(self, until_at_ms: int, now_ms: int, at_ms: int) -> None:
        """Admit everything until that wall time, counted from here by the monotonic clock."""
        left_ms = until_at_ms - at_ms
        self._bypass_until_at_ms = until_at_ms
        self.seats.bypass(now_ms + left_ms if left_ms > 0 else None, now_ms)
        self.ordered(now_ms)

    def ordered(self, now_ms: int) -> None:
        """The seats follow another order now: do what comes of it."""
        self._verdict.touched = True
        if self._send is not None:
            self.settle(now_ms)


def _nobody() -> None:
    """Before `serve` there is nobody to ask."""
