"""The states of a seat as a table, and the seats of one class: every move passes through the table.

Always used + reserved + lingering ≤ the share (protocol "States of a seat"). A seat that is free is not
kept at all, so that names nobody ever admitted leave nothing behind.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from licensing.codes import Code
from licensing.site.holders import digest, fingerprint
from licensing.site.record import ShareState
from licensing.wire import Denial, HolderDigest

UNPROVEN_PART = 10


class State(Enum):
    """Where a seat stands; the first five draw on the share, `PASSING` draws nothing."""

    __hash__ = object.__hash__  # there is one object of each; a hash of its name is made in Python each time

    FREE = auto()
    WAITING = auto()
    RESERVED = auto()
    HELD = auto()
    LINGERING = auto()
    SURPLUS = auto()
    PASSING = auto()


class Event(Enum):
    """What happens to a seat."""

    __hash__ = object.__hash__  # as above

    DRAW = auto()  # a unit is taken for a request on its way to the PBX
    SHORT = auto()  # no unit is free: the request waits for the master
    EXCUSED = auto()  # admitted without a unit: report mode, away policy, bypass
    DENIED = auto()  # the wait ends with a refusal
    DECLINED = auto()  # … that is not the last word: another class may serve it
    BOUND = auto()  # the PBX holds a binding, and there is a unit for it
    OVERFLOW = auto()  # the PBX holds a binding, and there is none
    FAILED = auto()  # the request was not accepted, or given up
    KEPT = auto()  # … and the time it may linger is not over
    GONE = auto()  # the last binding is gone
    DROPPED = auto()  # … and its kind does not linger
    LAPSED = auto()  # lingered long enough, or another needs the unit
    CUT = auto()  # the share fell below its use


TABLE: dict[tuple[State, Event], State] = {
    (State.FREE, Event.DRAW): State.RESERVED,
    (State.FREE, Event.SHORT): State.WAITING,
    (State.FREE, Event.EXCUSED): State.PASSING,
    (State.FREE, Event.DENIED): State.FREE,
    (State.FREE, Event.DECLINED): State.FREE,
    (State.FREE, Event.BOUND): State.HELD,
    (State.FREE, Event.OVERFLOW): State.SURPLUS,
    (State.WAITING, Event.DRAW): State.RESERVED,
    (State.WAITING, Event.DENIED): State.FREE,
    (State.WAITING, Event.DECLINED): State.FREE,
    (State.WAITING, Event.EXCUSED): State.PASSING,
    (State.WAITING, Event.BOUND): State.HELD,
    (State.WAITING, Event.OVERFLOW): State.SURPLUS,
    (State.WAITING, Event.FAILED): State.FREE,
    (State.RESERVED, Event.BOUND): State.HELD,
    (State.RESERVED, Event.FAILED): State.FREE,
    (State.RESERVED, Event.KEPT): State.LINGERING,
    (State.RESERVED, Event.CUT): State.PASSING,
    (State.HELD, Event.GONE): State.LINGERING,
    (State.HELD, Event.DROPPED): State.FREE,
    (State.HELD, Event.CUT): State.SURPLUS,
    (State.LINGERING, Event.DRAW): State.RESERVED,
    (State.LINGERING, Event.BOUND): State.HELD,
    (State.LINGERING, Event.LAPSED): State.FREE,
    (State.SURPLUS, Event.BOUND): State.HELD,
    (State.SURPLUS, Event.DROPPED): State.FREE,
    (State.PASSING, Event.BOUND): State.HELD,
    (State.PASSING, Event.OVERFLOW): State.SURPLUS,
    (State.PASSING, Event.FAILED): State.FREE,
}


@dataclass(slots=True, eq=False)
class Seat:
    """One object and its place in the table.

    `proven`: the PBX once accepted it; `since_ms`: when it came to this state; `until_ms`: when its wait
    or its lingering ends; `turn`: how many syncs had been asked when its wait began; `excused`: how many
    had been answered when it was admitted without a unit; `marked`: it held a unit that the share lost, or
    was registered before anyone here could ask; `tentative`: who asks decides what a refusal means.
    """

    name: str
    kind: str
    class_: str
    proven: bool
    state: State = State.FREE
    since_ms: int = 0
    until_ms: int = 0
    turn: int = 0
    excused: int = -1
    marked: bool = False
    tentative: bool = False


Group = dict[str, Seat]


def _groups() -> dict[State, Group]:
    return {state: {} for state in State if state is not State.FREE}


@dataclass(slots=True, eq=False)
class Occupancy:
    """The seats of one class, each group in order of arrival, and what the share allows.

    Those waiting are also in `queues`, by whether the PBX knows them, and in `patience`, in the order in
    which their waits end.
    """

    class_: str
    lent: int = 0
    usable: int = 0
    recall_to: int | None = None
    state: ShareState = "open"
    blocked: Code | None = None
    max_software: int = 0
    denial: Denial | None = None
    closed: bool = False
    groups: dict[State, Group] = field(default_factory=_groups)
    queues: dict[bool, Group] = field(default_factory=lambda: {True: {}, False: {}})
    patience: Group = field(default_factory=dict)
    unproven: int = 0
    unmarked: int = 0  # of those surplus
    peak: int = 0
    _lingering: list[tuple[int, str]] = field(default_factory=list)
    _fingerprints: int = 0

    def count(self, state: State) -> int:
        """Seats in a state."""
        return len(self.groups[state])

    @property
    def busy(self) -> int:
        """Units that nobody else may take: used and reserved."""
        return len(self.groups[State.HELD]) + len(self.groups[State.RESERVED])

    @property
    def occupied(self) -> int:
        """Units that are not free: used, reserved and lingering."""
        return self.busy + len(self.groups[State.LINGERING])

    @property
    def limit(self) -> int:
        """Units this class may occupy: the usable share, or what a recall leaves of it."""
        return self.usable if self.recall_to is None else min(self.usable, self.recall_to)

    @property
    def room(self) -> int:
        """Units another object may take, lingering ones included; none once the grace period is over."""
        return 0 if self.closed else max(0, self.limit - self.busy)

    @property
    def kept(self) -> int:
        """Units that a marked object may take: also what is recalled, for its need keeps it lent."""
        return 0 if self.closed else max(0, self.usable - self.busy)

    @property
    def beyond(self) -> int:
        """Holders beyond a recall."""
        return 0 if self.recall_to is None else max(0, len(self.groups[State.HELD]) - self.recall_to)

    def admits(self, proven: bool) -> bool:
        """Whether a request may take a unit now.

        The PBX never yet accepted unproven ones: together they reserve at most a tenth of the free units,
        at least one, so that made-up names cannot starve real phones (sip-guard "What it must do").
        """
        room = self.room
        return room > 0 and (proven or self.unproven < max(1, (room + self.unproven) // UNPROVEN_PART))

    def move(self, seat: Seat, event: Event, now_ms: int) -> None:
        """One step of the table; a step it does not have is a `KeyError`."""
        state = TABLE[seat.state, event]
        if seat.state is not State.FREE:
            del self.groups[seat.state][seat.name]
            self._left(seat)
        seat.state, seat.since_ms = state, now_ms
        if state is not State.FREE:
            self.groups[state][seat.name] = seat
            self._arrived(seat)

    def _left(self, seat: Seat) -> None:
        match seat.state:
            case State.HELD:
                self._fingerprints ^= fingerprint(seat.name)
            case State.RESERVED if not seat.proven:
                self.unproven -= 1
            case State.SURPLUS if not seat.marked:
                self.unmarked -= 1
            case State.WAITING:
                del self.queues[seat.proven][seat.name]
                del self.patience[seat.name]
            case _:
                pass

    def _arrived(self, seat: Seat) -> None:
        match seat.state:
            case State.HELD:
                self._fingerprints ^= fingerprint(seat.name)
                self.peak = max(self.peak, len(self.groups[State.HELD]))
            case State.RESERVED if not seat.proven:
                self.unproven += 1
            case State.SURPLUS if not seat.marked:
                self.unmarked += 1
            case State.WAITING:
                self.queues[seat.proven][seat.name] = seat
                self.patience[seat.name] = seat
            case State.LINGERING:
                heapq.heappush(self._lingering, (seat.until_ms, seat.name))
            case _:
                pass

    def digest(self) -> HolderDigest:
        """How many objects hold a unit, and the digest of their names."""
        return digest(len(self.groups[State.HELD]), self._fingerprints)

    def first_lingering(self) -> Seat | None:
        """The lingering seat whose time ends first."""
        lingering = self.groups[State.LINGERING]
        while self._lingering:
            until_ms, name = self._lingering[0]
            seat = lingering.get(name)
            if seat is not None and seat.until_ms == until_ms:
                return seat
            heapq.heappop(self._lingering)
        return None

    def first_waiting(self) -> Seat | None:
        """The seat whose wait ends first."""
        return next(iter(self.patience.values()), None)

    def wait_on(self, seat: Seat, until_ms: int) -> None:
        """Its wait ends then, after all others."""
        seat.until_ms = until_ms
        del self.patience[seat.name]
        self.patience[seat.name] = seat

    def next_served(self) -> Seat | None:
        """Whose turn it is for a unit: surplus first, then known objects, then those never yet accepted."""
        if surplus := self.groups[State.SURPLUS]:
            if self.room:
                return next(iter(surplus.values()))
            return next((seat for seat in surplus.values() if seat.marked), None) if self.kept else None
        for proven, queue in self.queues.items():
            if queue and self.admits(proven):
                return next(iter(queue.values()))
        return None

    def short(self) -> list[Seat]:
        """Those who wait because no unit is here; the first of the unproven only wait for their turn."""
        waiting = [*self.queues[True].values(), *self.queues[False].values()]
        return waiting[self.room :]

    def unasked(self, asks: int) -> bool:
        """Whether someone waits for a unit and no sync has told the master yet."""
        if self.count(State.WAITING) <= self.room:
            return False
        newest = next(reversed(self.groups[State.WAITING].values()))
        return newest.turn == asks

    def marked(self) -> Iterator[Seat]:
        """The newest holders beyond a recall, newest first: their units leave first (L.r31)."""
        newest = reversed(self.groups[State.HELD].values())
        return (seat for seat, _ in zip(newest, range(self.beyond), strict=False))
