"""How seats move: the steps that `Seats` is made of, each leaving no one waiting for a unit that is free.

After every step the units of a class are rebalanced: lingering seats give way, a share that fell below
its use marks its newest holders surplus, and free units go to surplus objects, then to those who wait.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from licensing.codes import Code
from licensing.demand import ANY_KIND, RELAY_CHANNEL, STANDBY_OF, is_use, licence_of
from licensing.history import Happening, SeatEvent, history
from licensing.offers import on_demand, uses
from licensing.site.decision import ADMITTED, RESERVED, Decision
from licensing.site.occupancy import Event, Occupancy, Seat, State
from licensing.site.want import Want
from licensing.wire import Policy

NEVER = 1 << 62

TOLD: dict[State, Happening] = {
    State.HELD: "held",
    State.LINGERING: "lingering",
    State.SURPLUS: "surplus",
}
LEAVING = {
    State.WAITING: Event.FAILED,
    State.RESERVED: Event.FAILED,
    State.HELD: Event.DROPPED,
    State.LINGERING: Event.LAPSED,
    State.SURPLUS: Event.DROPPED,
    State.PASSING: Event.FAILED,
}


def _happening(before: State, event: Event, after: State, had_unit: bool) -> Happening | None:
    """What history says of a step; steps that end where history already stands say nothing."""
    if event is Event.KEPT:
        return None
    if event is Event.DENIED:
        return "refused"
    if event is Event.EXCUSED:
        return "reported"
    if after is State.FREE:
        without_news = before in (State.RESERVED, State.PASSING) and had_unit  # last told: lingering
        return "released" if before in TOLD or without_news else None
    return TOLD.get(after)


class Seating:
    """Seats by name, their classes, the policy, and what has been asked and answered so far."""

    def __init__(self, policy: Policy, proven: Iterable[str]) -> None:
        self.policy = policy
        self.proven = set(proven)
        self.seats: dict[str, Seat] = {}
        self.wants: dict[str, Want] = {}
        self.settled: dict[str, Decision] = {}
        self.events: deque[SeatEvent] = history()
        self.synced = False
        self.asks = 0
        self.covered = 0
        self.answers = 0
        self.bypassed = False
        self.no_room = False
        self.standing_in: frozenset[str] = frozenset()
        self.due_ms = NEVER
        self.open_classes()

    def open_classes(self) -> None:
        """Classes of the policy have a want, also with nobody there: spare is asked for in advance.

        Not those that are asked for from their first use on; of bound ones all that is installed is kept.
        """
        for class_ in self.policy.kinds.values():
            if class_ is not None and not on_demand(self.policy, class_):
                self.want(class_)
        for class_ in self.policy.keep:
            self.want(class_)
        for class_, want in self.wants.items():
            want.keep = self.policy.keep.get(class_, 0)

    def want(self, class_: str) -> Want:
        """The want of a class, new where there is none."""
        want = self.wants.get(class_)
        if want is None:
            want = Want(Occupancy(class_), bound=class_ == RELAY_CHANNEL)
            self.wants[class_] = want
        return want

    def occupancy(self, seat: Seat) -> Occupancy:
        """The class a seat belongs to."""
        return self.want(seat.class_).occupancy

    def class_of(self, kind: str) -> str | None:
        """The class an object kind draws, or None; a kind without a row draws as any kind does (L.r8).

        An object of a PBX that this one does not stand by for, or no more, draws as its own do. Where
        somebody here said that its PBX failed, it draws Standby though no master says so.
        A use without a row draws a class of its own name: a master that does not know it lends none.
        """
        base, _, home = kind.partition("@")
        class_ = self._class_of(kind, base, home)
        if home in self.standing_in and home in self.policy.protected:
            return STANDBY_OF.get(class_ or "", class_)
        return class_

    def _class_of(self, kind: str, base: str, home: str) -> str | None:
        kinds = self.policy.kinds
        if kind in kinds:
            return kinds[kind]
        if is_use(kind):
            licence = licence_of(kind) or kind
            use = uses(self.policy).get(licence)
            return licence if use is None else use.class_
        if home:
            theirs = f"{ANY_KIND}@{home}"
            return kinds[theirs] if theirs in kinds else self._class_of(base, base, "")
        return kinds.get(ANY_KIND, kinds.get("user"))

    def new(self, name: str, kind: str, class_: str) -> Seat:
        """A free seat, not kept until it moves."""
        return Seat(name, kind, class_, proven=is_use(kind) or name in self.proven)

    @property
    def waiting(self) -> int:
        """Objects that wait, of all classes."""
        return sum(want.occupancy.count(State.WAITING) for want in self.wants.values())

    @property
    def lenient(self) -> bool:
        """Whether nothing is refused: report mode, or a bypass in force."""
        return self.bypassed or self.policy.enforcement == "report"

    # One step

    def move(self, seat: Seat, event: Event, now_ms: int, code: Code | None = None) -> None:
        """One step of the table, told to history."""
        before, drew = seat.state, seat.until_ms
        self.occupancy(seat).move(seat, event, now_ms)
        if seat.state is State.FREE:
            self.seats.pop(seat.name, None)
        else:
            self.seats[seat.name] = seat
        happening = _happening(before, event, seat.state, had_unit=drew > 0)
        if happening is not None:
            until_ms = seat.until_ms if seat.state is State.LINGERING else None
            self.tell(seat, happening, now_ms, code, until_ms)

    def tell(
        self, seat: Seat, event: Happening, now_ms: int, code: Code | None = None, until_ms: int | None = None
    ) -> None:
        """One line of history."""
        self.events.append(SeatEvent(now_ms, seat.name, seat.kind, seat.class_, event, code, until_ms))

    def timer(self, seat: Seat, until_ms: int) -> None:
        """The seat's wait or lingering ends then."""
        seat.until_ms = until_ms
        self.due_ms = min(self.due_ms, until_ms)

    # Units find their objects

    def rebalance(self, occupancy: Occupancy, now_ms: int) -> None:
        """Bring the class within its limit, then give what is free to whoever is next."""
        while occupancy.occupied > occupancy.limit and (seat := occupancy.first_lingering()) is not None:
            self.move(seat, Event.LAPSED, now_ms)
        self._cut(occupancy, occupancy.busy - occupancy.usable, now_ms)
        while (seat := occupancy.next_served()) is not None:
            self.take(occupancy, now_ms)
            if seat.state is State.SURPLUS:
                self.move(seat, Event.BOUND, now_ms)
            else:
                seat.until_ms = 0
                self.move(seat, Event.DRAW, now_ms)
                self.settled[seat.name] = RESERVED

    def take(self, occupancy: Occupancy, now_ms: int) -> None:
        """Make a free unit where there is room: a lingering seat gives way, the one that ends first."""
        if occupancy.occupied >= occupancy.limit:
            lingering = occupancy.first_lingering()
            if lingering is not None:
                self.move(lingering, Event.LAPSED, now_ms)
            assert occupancy.occupied < occupancy.usable, "room that no unit makes"

    def _cut(self, occupancy: Occupancy, excess: int, now_ms: int) -> None:
        """Mark the newest holders surplus, ahead of those marked before, who are newer (L.r31)."""
        if excess <= 0:
            return
        surplus = occupancy.groups[State.SURPLUS]
        later = dict(surplus)
        surplus.clear()
        newest = list(islice(reversed(occupancy.groups[State.HELD].values()), excess))
        reserved = list(islice(reversed(occupancy.groups[State.RESERVED].values()), excess - len(newest)))
        for seat in [*reversed(newest), *reserved]:
            seat.marked = True
            self.move(seat, Event.CUT, now_ms)
        surplus.update(later)

    # The PBX holds a binding

    def bind(self, seat: Seat, now_ms: int) -> bool:
        """A seat not yet held gets its own unit, or a free one; False when it is surplus."""
        occupancy = self.occupancy(seat)
        if not is_use(seat.kind):  # their names never come again
            self.proven.add(seat.name)
        if seat.state is State.WAITING:
            self.settled[seat.name] = ADMITTED
        if seat.state in (State.RESERVED, State.LINGERING):
            self.move(seat, Event.BOUND, now_ms)
        elif (occupancy.kept if seat.marked else occupancy.room) > 0:
            self.take(occupancy, now_ms)
            self.move(seat, Event.BOUND, now_ms)
        else:
            self.move(seat, Event.OVERFLOW, now_ms)
        seat.proven, seat.until_ms = True, 0
        self.rebalance(occupancy, now_ms)
        return seat.name in occupancy.groups[State.HELD]

    def find(self, name: str, kind: str, now_ms: int) -> None:
        """An object found registered: it is not to blame when there is no unit for it."""
        class_ = self.class_of(kind)
        if class_ is None:
            return
        seat = self.seats.get(name) or self.new(name, kind, class_)
        if seat.state not in (State.HELD, State.SURPLUS):
            seat.marked = True
            self.bind(seat, now_ms)

    def reclassify(self, seat: Seat, now_ms: int) -> None:
        """The policy gave this kind another class, or none: the object moves there and is not cut."""
        state, class_ = seat.state, self.class_of(seat.kind)
        before = self.occupancy(seat)
        self.move(seat, LEAVING[state], now_ms)
        self.rebalance(before, now_ms)
        if class_ is None:
            if state is State.WAITING:
                self.settled[seat.name] = ADMITTED
        elif state in (State.HELD, State.SURPLUS):
            self.find(seat.name, seat.kind, now_ms)
        elif state is not State.LINGERING:
            self.move(self.new(seat.name, seat.kind, class_), Event.EXCUSED, now_ms)
            if state is State.WAITING:
                self.settled[seat.name] = RESERVED
