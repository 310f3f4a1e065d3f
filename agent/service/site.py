"""One PBX: its guard, its seats and its journal, with the outside passed in as functions."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from agent.service.alarms import Alarms, DenialAlarms
from agent.service.chronicle import Chronicle
from agent.service.counting import Counting, Sender
from agent.service.intake import Arrived, Intake
from agent.service.outbound import Outbound
from agent.service.seats import SeatVerdict
from agent.store.journal import Journal
from licensing import wire
from licensing.codes import Code
from licensing.history import SeatEvent
from licensing.site import record as records
from licensing.site import share
from licensing.site.record import ShareRecord
from runtime.clock import Clock
from telephony.address import Flow
from telephony.guard import Guard
from telephony.meter import Meter
from telephony.output import Rejected
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
        self.outbound = Outbound(verdict, journal, chronicle, self.counting, clock)
        self.alarms = alarms
        self.intake = Intake(meter, guard, self.take_in, clock)
        self._software = software
        self._verdict = verdict
        self._journal = journal
        self._chronicle = chronicle
        self._clock = clock
        self._boot = boot
        self._speak: Callable[[], None] = _nobody
        self._mention: Callable[[], None] = _nobody
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
        self._speak, self._mention = speak, mention
        self.outbound.serve(send)
        self.desk.serve(self._moved)
        self._look_again(self._clock.monotonic_ms(), SHORTEST_TIMER_MS)

    @property
    def idle(self) -> bool:
        """Whether everything that was taken in has been answered."""
        return not self.guard.pending and not self.outbound.writing and not self.intake.behind

    def close(self) -> None:
        """Send nothing more."""
        self.outbound.serve(None)
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
                    self.outbound.rejections["store_busy"] += 1  # the sender repeats it
        else:
            self._receive(admitted, now_ms)
        self.settle(now_ms)

    def _receive(self, arrived: Sequence[Arrived], now_ms: int) -> None:
        """Calls, keep-alives and answers to what is no SIP leave at once; registrations wait for the disk."""
        passing, groups = self.guard.receive_all(arrived, now_ms)
        self.outbound.at_once(passing, now_ms)
        self.outbound.in_order(groups, now_ms)

    def opened(self, flow: Flow) -> None:
        """A connection can be reached from now on."""
        self.guard.opened(flow)

    def closed(self, flow: Flow) -> None:
        """A connection can be reached no more."""
        self.guard.closed(flow)

    def expects(self, flow: Flow) -> bool:
        """Whether more may come by this connection, however long it is silent: from a phone, or the PBX."""
        return flow in self.outbound.carriers or self.guard.is_pbx(flow)

    def broken(self, broken: Broken, flow: Flow, now_ms: int) -> None:
        """A stream that cannot be read on; what there is to answer is sent."""
        self.outbound.at_once(self.guard.broken(broken, flow), now_ms)

    def tell(self, rejected: Rejected) -> None:
        """A connection that was refused or cut: counted, and logged unless there are very many."""
        self.outbound.at_once([rejected], self._clock.monotonic_ms())

    def _receive_unstored(self, data: bytes, flow: Flow, now_ms: int) -> bool:
        """The disk is behind: calls and all else that stores nothing pass; False for what must wait."""
        outputs = self.guard.relay(data, flow, now_ms)
        self.outbound.at_once(outputs or (), now_ms)
        return outputs is not None

    def settle(self, now_ms: int) -> None:
        """End the waits that are over, tell history, and ask the master when there is need."""
        if self._verdict.touched:
            while self._verdict.touched:  # ending one wait may give another object its unit
                self._verdict.touched = False
                for name, decision in self._verdict.settle(now_ms):
                    self.outbound.in_order([self.guard.settle(name, decision, now_ms)], now_ms)
            self.outbound.forget_failed()
            self.desk.write()
            if events := self.seats.drain_events():
                self.outbound.behind(partial(self._tell, events))
            if self.seats.urgent:
                self._speak()
        if self._timer_ms > now_ms + SHORTEST_TIMER_MS:
            self._look_again(now_ms, SHORTEST_TIMER_MS)

    def _tell(self, events: Sequence[SeatEvent]) -> None:
        self._chronicle.tell(events)
        self._mention()

    def _moved(self) -> None:
        """A use began or ended."""
        self._verdict.touched = True
        self.settle(self._clock.monotonic_ms())

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
        self.outbound.in_order([self.guard.handle_timers(now_ms)], now_ms)
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
        if any(self._pages.values()):  # a list that has begun; one that is wanted again and again has time
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
        if self.outbound.serving:
            self.settle(now_ms)


def _nobody() -> None:
    """Before `serve` there is nobody to ask."""
