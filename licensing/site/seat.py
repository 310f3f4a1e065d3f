"""The seats of one PBX: which object uses a unit of the share, decided here and at once.

The caller gives monotonic time to every call, calls `settle` after each batch of inputs, and `expire` or
`settle` at `next_expiry()`. One sync is in flight at a time: `ask` for its content, then `answer`.
Rules: protocol "States of a seat", sip-guard "What it must do"; L.r8, L.r9, L.r11, L.r31.
"""

from collections.abc import Iterable, Mapping

from licensing.codes import Code
from licensing.demand import STANDBY_CLASSES, USES, base_kind, is_use
from licensing.history import SeatEvent
from licensing.offers import compares_clients, uses
from licensing.site.counts import Counts, counts
from licensing.site.decision import ADMITTED, RESERVED, WAITING, Admitted, Decision, Refused, Waiting, refused
from licensing.site.holders import page
from licensing.site.lines import disbelieved
from licensing.site.occupancy import Event, Seat, State
from licensing.site.record import Limit
from licensing.site.seating import LEAVING, NEVER, Seating
from licensing.site.waiting import conclude, deny, excuse, reason, refuse, wait
from licensing.wire import ClassDemand, Denial, HolderDigest, HolderPage, Policy

__all__ = ["Admitted", "Counts", "Decision", "Refused", "SeatEvent", "Seats", "State", "Waiting"]

LINGER_S = 120


class Seats:
    """Every object of one PBX that draws on its share."""

    def __init__(self, policy: Policy, proven: Iterable[str] = ()) -> None:
        """Start with nothing lent; `proven` are the objects that the PBX has ever accepted."""
        self._seating = Seating(policy, proven)
        self._bypass_until_ms: int | None = None
        self._floor_until_ms: int | None = None

    # What the guard asks

    def decide(self, name: str, kind: str, now_ms: int, *, tentative: bool = False) -> Decision:
        """May this object register? After `Admitted(reserved=True)` call `commit` or `release`.

        A `tentative` refusal is neither counted nor told: the caller tries another kind, or calls `refuse`.
        """
        seating = self._seating
        self.expire(now_ms)
        seat = seating.seats.get(name)
        if seat is not None:
            return self._again(seat, now_ms)
        class_ = seating.class_of(kind)
        if class_ is None:
            return ADMITTED
        settled = seating.settled.get(name)
        if settled is not None:
            return settled
        seat = seating.new(name, kind, class_)
        seat.tentative = tentative
        return self._first(seat, now_ms)

    def _again(self, seat: Seat, now_ms: int) -> Decision:
        """An object that has a seat is never refused a further device or a refresh (L.r9)."""
        match seat.state:
            case State.WAITING:
                return WAITING
            case State.LINGERING:
                self._seating.move(seat, Event.DRAW, now_ms)
                return RESERVED
            case _:
                return ADMITTED

    def _first(self, seat: Seat, now_ms: int) -> Decision:
        seating = self._seating
        if seating.no_room:
            return refuse(seating, seat, Code.DISK_FULL, 503, now_ms)
        occupancy = seating.occupancy(seat)
        if occupancy.admits(seat.proven):
            seating.take(occupancy, now_ms)
            seating.move(seat, Event.DRAW, now_ms)
            return RESERVED
        if seating.bypassed:
            return excuse(seating, seat, Code.NO_FREE_LICENCE, now_ms)
        if seating.want(seat.class_).complete:
            code = disbelieved(seating.policy) or Code.RELAY_CHANNELS_EXHAUSTED
            return refuse(seating, seat, code, seating.policy.refuse, now_ms)
        return wait(seating, seat, now_ms)

    def refuse(self, name: str, kind: str, no: Refused, now_ms: int) -> Decision:
        """The last word on what was refused: counted and told, or excused where the policy says so."""
        seating = self._seating
        class_ = seating.class_of(kind)
        known = seating.seats.get(name)
        if known is not None and known.state is State.LINGERING:
            seating.move(known, Event.LAPSED, now_ms)
            seating.rebalance(seating.occupancy(known), now_ms)
        if class_ is None or name in seating.seats:  # a seat that others hold, and keep
            return ADMITTED if seating.lenient else no
        seat = seating.new(name, kind, class_)
        if no.excused:
            return excuse(seating, seat, no.code, now_ms)
        return refuse(seating, seat, no.code, no.status, now_ms)

    def serves(self, kind: str, software: int) -> bool:
        """Whether units of this kind serve a client of this release, as far as it is known here (L.r4)."""
        class_ = self._seating.class_of(kind)
        if class_ is None or not compares_clients(self._seating.policy, class_):
            return True
        want = self._seating.wants.get(class_)
        return want is None or not 0 < want.occupancy.max_software < software

    def commit(self, name: str, kind: str, now_ms: int) -> bool:
        """The PBX holds a binding of this object; False when there was no unit and it is surplus."""
        seating = self._seating
        self.expire(now_ms)
        seat = seating.seats.get(name)
        if seat is None:
            class_ = seating.class_of(kind)
            if class_ is None:
                return True
            seat = seating.new(name, kind, class_)
        if seat.state in (State.HELD, State.SURPLUS):
            return seat.state is State.HELD
        return seating.bind(seat, now_ms)

    def release(self, name: str, now_ms: int) -> None:
        """The last binding is gone, or the reserved or waiting request failed; unknown names do nothing."""
        seating = self._seating
        self.expire(now_ms)
        seat = seating.seats.get(name)
        if seat is None or seat.state is State.LINGERING:
            return
        event = LEAVING[seat.state]
        if event is Event.FAILED:
            seating.settled.pop(name, None)
        if seat.state is State.HELD:
            default_s = 0 if is_use(seat.kind) else LINGER_S
            linger_s = seating.policy.linger_s.get(base_kind(seat.kind), default_s)
            if linger_s > 0:
                event = Event.GONE
                seating.timer(seat, now_ms + 1_000 * linger_s)
        elif seat.state is State.RESERVED and seat.until_ms > now_ms:
            event = Event.KEPT
            seating.timer(seat, seat.until_ms)
        seating.move(seat, event, now_ms)
        seating.rebalance(seating.occupancy(seat), now_ms)

    def may_call(self, name: str) -> Refused | None:
        """None when outgoing calls may pass; a refusal for an object registered without a licence.

        Objects that held a unit which the share lost go on calling (L.r31), and so do those admitted by
        report mode, a bypass in force, or the away policy until the next answer of the master.
        """
        seating = self._seating
        seat = seating.seats.get(name)
        if seat is None or seat.state is not State.SURPLUS or seat.marked:
            return None
        if seating.lenient or seat.excused == seating.answers:
            return None
        return refused(name, reason(seating.occupancy(seat)), seating.policy.refuse)

    def settle(self, now_ms: int) -> list[tuple[str, Decision]]:
        """The objects whose wait has ended since the last call, in that order."""
        self.expire(now_ms)
        settled = list(self._seating.settled.items())
        self._seating.settled.clear()
        return settled

    # Time

    def expire(self, now_ms: int) -> None:
        """End what is over at `now_ms`: lingering, waits, bypass, recovery."""
        seating = self._seating
        if now_ms < seating.due_ms:
            return
        if self._bypass_until_ms is not None and self._bypass_until_ms <= now_ms:
            self._bypass_until_ms, seating.bypassed = None, False
        if self._floor_until_ms is not None and self._floor_until_ms <= now_ms:
            self._recovered()
        for want in seating.wants.values():
            occupancy = want.occupancy
            while (seat := occupancy.first_lingering()) is not None and seat.until_ms <= now_ms:
                seating.move(seat, Event.LAPSED, now_ms)
            seating.rebalance(occupancy, now_ms)
            conclude(seating, occupancy, now_ms)
        due_ms = self.next_expiry()
        seating.due_ms = NEVER if due_ms is None else due_ms

    def next_expiry(self) -> int | None:
        """The monotonic ms at which `expire` has something to do, or None."""
        times = [self._bypass_until_ms, self._floor_until_ms]
        for want in self._seating.wants.values():
            first = (want.occupancy.first_lingering(), want.occupancy.first_waiting())
            times.extend(seat.until_ms for seat in first if seat is not None)
        return min((time for time in times if time is not None), default=None)

    # What the sync says and brings

    @property
    def urgent(self) -> bool:
        """Whether a sync should leave at once: someone waits unasked, more is wanted, units go back."""
        asks = self._seating.asks
        return any(want.urgent or want.occupancy.unasked(asks) for want in self._seating.wants.values())

    def demand(self) -> dict[str, ClassDemand]:
        """What every class has and wants now, for display; `ask` is for a sync."""
        return {class_: want.demand() for class_, want in self._seating.wants.items()}

    def ask(self) -> dict[str, ClassDemand]:
        """The demand of a new sync; its wants cap the seats from this moment (safety rule 1)."""
        self._seating.asks += 1
        return {class_: want.ask() for class_, want in self._seating.wants.items()}

    def answer(
        self,
        limits: Mapping[str, Limit],
        denials: Mapping[str, Denial],
        now_ms: int,
        policy: Policy | None = None,
    ) -> None:
        """The answer to the last `ask` is stored: use its shares, refuse those whom it denied."""
        seating = self._seating
        seating.answers += 1
        seating.covered = seating.asks
        if policy is not None:
            self.adopt(policy, now_ms)
        for class_, want in seating.wants.items():
            want.answered()
            want.occupancy.denial = denials.get(class_)
        self.lend(limits, now_ms)
        for want in seating.wants.values():
            deny(seating, want.occupancy, now_ms)

    def lend(
        self, limits: Mapping[str, Limit], now_ms: int, *, synced: bool = True, closed: bool = False
    ) -> None:
        """What the share allows now: from the store at the start, and whenever the record changed.

        With `closed` only objects that hold a seat are served.
        """
        seating = self._seating
        seating.synced = synced
        for class_ in limits:
            seating.want(class_)
        for class_, want in seating.wants.items():
            limit = limits.get(class_, Limit(0, 0))
            if seating.asks == 0:
                want.written = limit.lent
            occupancy = want.occupancy
            occupancy.lent, occupancy.usable = limit.lent, limit.usable
            occupancy.state, occupancy.recall_to = limit.state, limit.recall_to
            occupancy.blocked, occupancy.closed = limit.blocked, closed
            occupancy.max_software = limit.max_software
            seating.rebalance(occupancy, now_ms)
        self.expire(now_ms)

    def adopt(self, policy: Policy, now_ms: int) -> None:
        """Another policy; objects whose kind draws another class now move to it and are never cut.

        Who holds a Standby unit keeps it until it leaves, also when its own PBX is back (L.r16).
        """
        self._seating.policy = policy
        self._seating.open_classes()
        self._reclassify(now_ms)

    def stand_in(self, homes: Iterable[str], now_ms: int) -> None:
        """Somebody here says that these PBXs failed, whatever the master knows (decision 0031)."""
        self._seating.standing_in = frozenset(homes)
        self._reclassify(now_ms)

    def _reclassify(self, now_ms: int) -> None:
        seating = self._seating
        for seat in list(seating.seats.values()):
            stays = seat.state is State.HELD and seat.class_ in STANDBY_CLASSES
            if seat.state is not State.FREE and not stays and seating.class_of(seat.kind) != seat.class_:
                seating.reclassify(seat, now_ms)

    def bypass(self, until_ms: int | None, now_ms: int) -> None:
        """Admit everything until then, without a master; None ends it."""
        seating = self._seating
        self.expire(now_ms)
        seating.bypassed = until_ms is not None and until_ms > now_ms
        self._bypass_until_ms = until_ms if seating.bypassed else None
        if self._bypass_until_ms is not None:
            seating.due_ms = min(seating.due_ms, self._bypass_until_ms)
            for want in seating.wants.values():
                for seat in list(want.occupancy.groups[State.WAITING].values()):
                    seating.settled[seat.name] = excuse(seating, seat, Code.NO_FREE_LICENCE, now_ms)

    def hold_back(self, no_room: bool) -> None:
        """With no room on the disk newcomers are refused; whoever has a seat goes on (decision 0021)."""
        self._seating.no_room = no_room

    # After a restart

    def restore(
        self, objects: Iterable[tuple[str, str]], now_ms: int, unclean_until_ms: int | None = None
    ) -> None:
        """The stored objects (name, kind) with a binding, oldest first, after `lend` of the stored share.

        After an unclean stop, no want falls below what was lent until `unclean_until_ms`, the end of the
        longest expiry that may have been forwarded, or until a snapshot (safety rule 4). There is no doubt
        about uses, which are on disk before anyone hears of them.
        """
        seating = self._seating
        for name, kind in objects:
            seating.find(name, kind, now_ms)
        told = [event for event in seating.events if event.event == "surplus"]  # a crash may have lost it
        seating.events.clear()
        seating.events.extend(told)
        if unclean_until_ms is not None and unclean_until_ms > now_ms:
            self._floor_until_ms = unclean_until_ms
            seating.due_ms = min(seating.due_ms, unclean_until_ms)
            certain = {seating.class_of(kind) for kind in USES}
            certain |= {use.class_ for use in uses(seating.policy).values()}
            for class_, want in seating.wants.items():
                want.floor = 0 if class_ in certain else want.occupancy.lent

    def snapshot(self, objects: Iterable[tuple[str, str]], asked_ms: int, now_ms: int) -> None:
        """What the PBX, asked at `asked_ms`, said is registered: it ends the doubt of an unclean stop.

        It says nothing of uses.
        """
        seating = self._seating
        self.expire(now_ms)
        present = dict(objects)
        for seat in list(seating.seats.values()):
            bound = seat.state in (State.HELD, State.SURPLUS)
            if bound and not is_use(seat.kind) and seat.name not in present and seat.since_ms < asked_ms:
                self.release(seat.name, now_ms)
        for name, kind in present.items():
            known = seating.seats.get(name)
            if known is None or (known.state is State.LINGERING and known.since_ms < asked_ms):
                seating.find(name, kind, now_ms)
        self._recovered()

    def _recovered(self) -> None:
        self._floor_until_ms = None
        for want in self._seating.wants.values():
            want.floor = 0

    @property
    def recovering(self) -> bool:
        """Whether the doubt of an unclean stop still holds every want up."""
        return self._floor_until_ms is not None

    # What others want to know

    @property
    def policy(self) -> Policy:
        """What the administrator decided for this PBX."""
        return self._seating.policy

    def class_of(self, kind: str) -> str | None:
        """The class an object kind draws, or None."""
        return self._seating.class_of(kind)

    def state_of(self, name: str) -> State:
        """Where an object stands."""
        seat = self._seating.seats.get(name)
        return State.FREE if seat is None else seat.state

    def beyond(self) -> list[str]:
        """Registered objects that the share has no unit for, or is asked to return: newest first (L.r31)."""
        found: list[str] = []
        for want in self._seating.wants.values():
            found += reversed(want.occupancy.groups[State.SURPLUS])
            found += (seat.name for seat in want.occupancy.marked())
        return found

    def kind_of(self, name: str) -> str:
        """The kind that an object with a seat came as; empty for an object without one."""
        seat = self._seating.seats.get(name)
        return "" if seat is None else seat.kind

    def units(self, class_: str) -> tuple[int, int]:
        """Units of a class that are not free, and how many may be used."""
        want = self._seating.wants.get(class_)
        return (0, 0) if want is None else (want.occupancy.occupied, want.occupancy.usable)

    def counts(self) -> dict[str, Counts]:
        """Every class, for status and metrics."""
        return {class_: counts(want) for class_, want in self._seating.wants.items()}

    def holders(self) -> dict[str, HolderDigest]:
        """Per class how many objects hold a unit, and the digest of their names."""
        return {class_: want.occupancy.digest() for class_, want in self._seating.wants.items()}

    def holder_page(self, class_: str, after: str = "") -> HolderPage:
        """The next holders of a class in order of name; an unknown class has none."""
        want = self._seating.wants.get(class_)
        return page(class_, want.occupancy.groups[State.HELD] if want is not None else (), after)

    def drain_events(self) -> list[SeatEvent]:
        """What happened since the last call, oldest first."""
        events = list(self._seating.events)
        self._seating.events.clear()
        return events
