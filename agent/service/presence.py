"""What a PBX holds, told to the seats: registrations the guard did not see, legs in rooms, calls that ended.

Whoever the PBX shows registered holds a seat, and keeps it until the guard and the PBX both know it no more.
A leg that nobody asked for is asked for when it is seen; without a licence it is removed where that may be
done, else it is surplus. Who was found in a room stays there (L.r31).
"""

import asyncio
from collections.abc import Callable, Iterable

from agent.service.counting import Counting
from agent.service.driver import CannotEvictError, LinkLostError, Session
from agent.service.seats import SeatVerdict
from licensing.codes import Code
from licensing.site.decision import Refused
from licensing.site.seat import State
from licensing.site.use import Leg
from runtime.clock import Clock
from runtime.logs import logger
from telephony.directory import Subject
from telephony.guard import Guard
from telephony.pbx.picture import Call, Change, Contact, Gone, Key, Member, Picture, Present, Snapshot

# Refusals that say nothing of licences: nobody is removed from a room because our disk is behind.
OURS = (Code.RATE_LIMITED, Code.DISK_FULL)
BOUND = (State.HELD, State.SURPLUS)


class Presence:
    """The picture of one PBX and what follows from it; everything happens on the event loop."""

    def __init__(
        self,
        name: str,
        guard: Guard,
        verdict: SeatVerdict,
        find: Callable[[str], Subject | None],
        clock: Clock,
        counting: Counting,
        *,
        evicts: bool,
    ) -> None:
        """`find` gives the object of an AOR as the PBX names it; `evicts`: unlicensed legs are removed."""
        self.picture = Picture()
        self.session: Session | None = None
        self._guard = guard
        self._seats = verdict.seats
        self._desk = verdict.desk
        self._find = find
        self._clock = clock
        self._counting = counting
        self._evicts = evicts
        self._log = logger(pbx=name)
        self._contacts: dict[str, set[Key]] = {}
        self._asked_ms = 0
        self._tasks: asyncio.TaskGroup | None = None
        verdict.elsewhere = self.keeps

    def serve(self, tasks: asyncio.TaskGroup) -> None:
        """From now on questions may be asked, each in a task of its own."""
        self._tasks = tasks

    def keeps(self, name: str) -> bool:
        """Whether this object holds its seat by the word of the PBX, which can be asked, too."""
        shown = self.session is not None and name in self._contacts
        return shown and self._seats.state_of(name) in BOUND

    # what the driver says

    def attached(self, session: Session) -> None:
        """The PBX can be asked from now on."""
        self.session = session

    def detached(self) -> None:
        """It cannot any more: nothing is over for that."""
        self.session = None
        self.picture.unanswered()

    def changed(self, change: Change) -> None:
        """One change, as it came."""
        now_ms = self._clock.monotonic_ms()
        effects = self.picture.change(change)
        if not effects and isinstance(change, Gone):  # what a leg asked for may be unknown to the picture
            effects = [change]
        self._follow(effects, now_ms, found=False)

    def ask(self) -> None:
        """A snapshot is asked for."""
        self._asked_ms = self._clock.monotonic_ms()
        self.picture.ask()

    def unanswered(self) -> None:
        """None came: everything stays as it is."""
        self.picture.unanswered()

    def settle(self, snapshot: Snapshot) -> None:
        """The snapshot is here: what it does not show is over, what nobody knew was there before."""
        now_ms = self._clock.monotonic_ms()
        effects = self.picture.settle(snapshot)
        if snapshot.calls is not None:
            self._end_legs(now_ms)
        self._follow(effects, now_ms, found=True)
        if snapshot.contacts is not None:
            self._register(now_ms)
        if snapshot.ongoing is not None:
            self._counting.snapshot(snapshot.ongoing, self._asked_ms)
        self._desk.noticed()

    def expire(self) -> None:
        """The PBX cannot be asked: contacts end by their own time."""
        now_ms = self._clock.monotonic_ms()
        self._follow(self.picture.expire(now_ms), now_ms, found=True)

    # what follows

    def _follow(self, effects: Iterable[Change], now_ms: int, *, found: bool) -> None:
        """`found`: it was there before anybody looked."""
        for effect in effects:
            came = isinstance(effect, Present)
            match effect.item:
                case Contact() as contact if came:
                    self._arrived(contact, now_ms, found=found)
                case Contact() as contact:
                    self._left(contact, now_ms)
                case Member() as member if came:
                    self._joined(member, found=found)
                case Member(room, call):
                    self._desk.calls.leave(room, call, now_ms)
                case Call(call):
                    if not came:
                        self._desk.calls.hangup(call, now_ms)
        self._desk.noticed()

    def _arrived(self, contact: Contact, now_ms: int, *, found: bool) -> None:
        subject = self._find(contact.aor)
        if subject is not None:
            self._contacts.setdefault(subject.name, set()).add(contact.key)
            if not found:
                self._seats.commit(subject.name, subject.kind, now_ms)

    def _left(self, contact: Contact, now_ms: int) -> None:
        subject = self._find(contact.aor)
        if subject is None:
            return
        contacts = self._contacts.get(subject.name, set())
        contacts.discard(contact.key)
        if contacts:
            return
        self._contacts.pop(subject.name, None)
        bound = self._seats.state_of(subject.name) in BOUND  # else a REGISTER is on its way
        if bound and not self._guard.holds(subject.name):
            self._seats.release(subject.name, now_ms)

    def _register(self, now_ms: int) -> None:
        """Every object that is registered, by the word of the PBX or the guard, holds a seat; no other."""
        guarded = [(each.name, each.kind) for each in self._guard.snapshot()]
        subjects = [self._find(contact.aor) for contact in self.picture.contacts()]
        shown = {subject.name: subject.kind for subject in subjects if subject is not None}
        self._seats.snapshot([*guarded, *shown.items()], self._asked_ms, now_ms)
        for name, kind in shown.items():
            if self._seats.state_of(name) not in BOUND:  # a REGISTER of it is on its way
                self._seats.commit(name, kind, now_ms)

    # legs

    def _end_legs(self, now_ms: int) -> None:
        """The legs of calls that the PBX does not know are over, also those that never came to their room."""
        calls = {call.call for call in self.picture.calls()}
        uses = self._desk.uses
        going = [use for use in uses.all().values() if isinstance(use, Leg) and use.call in calls]
        uses.snapshot(Leg, going, self._asked_ms, now_ms)

    def _joined(self, member: Member, *, found: bool) -> None:
        known = self._desk.uses.get(Leg(member.room, member.call).key) is not None
        if not known and self._tasks is not None:
            self._tasks.create_task(self._draw(member, removable=self._evicts and not found))

    async def _draw(self, member: Member, *, removable: bool) -> None:
        """Ask for a leg that is in its room already."""
        leg, calls = Leg(member.room, member.call), self._desk.calls
        decision = await self._desk.ask(
            leg, lambda now_ms: calls.join(leg.room, leg.call, now_ms), self._clock.monotonic_ms()
        )
        now_ms = self._clock.monotonic_ms()
        if not self.picture.has(member):  # it left meanwhile
            calls.leave(leg.room, leg.call, now_ms)
        elif isinstance(decision, Refused) and not (removable and await self._removed(member, decision)):
            self._desk.uses.found(leg, now_ms)
        self._desk.noticed()

    async def _removed(self, member: Member, refused: Refused) -> bool:
        facts = {"room": member.room, "call": member.call, "code": refused.code.value}
        try:
            if self.session is None or refused.code in OURS:
                return False
            await self.session.evict(member)
        except (CannotEvictError, LinkLostError) as error:
            self._log.warning("leg.not_removed", why=str(error), **facts)
            return False
        self._log.info("leg.removed", **facts)
        return True
