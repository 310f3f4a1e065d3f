"""`Seats` against a plain model: each observable after each step, integer time, jumps to each expiry."""

import hashlib
from functools import reduce
from operator import xor

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from licensing.codes import Code
from licensing.site.record import Limit
from licensing.site.seat import Seats, State
from licensing.wire import Denial, Policy
from tests.licensing.seat_model import SeatModel
from tests.machine import MACHINE

KIND = {
    **{f"u{n}": "user" for n in range(8)},
    **{f"t{n}": "trunk" for n in range(2)},
    "g0": "group",
}
NAMES = st.sampled_from(sorted(KIND))
UNITS = st.integers(0, 6) | st.sampled_from([0, 1, 12, 25])
RECALL = st.none() | st.integers(0, 5)
DENIAL = st.none() | st.tuples(
    st.sampled_from([Code.NO_FREE_LICENCE, Code.IPVA_MISSING]), st.sampled_from([0, 1])
)


def policy(enforcement: str, away: str) -> Policy:
    return Policy(
        etag="p",
        kinds={"user": "seat", "trunk": "seat", "group": None},
        linger_s={"user": 5, "trunk": 0},
        enforcement="report" if enforcement == "report" else "enforce",
        away="report" if away == "report" else "refuse",
    )


class SeatMachine(RuleBasedStateMachine):
    """Both do the same; neither may see a difference."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.seats = Seats(policy("enforce", "refuse"))
        self.model = SeatModel()
        self.told: dict[str, str] = {}

    @initialize(units=UNITS, proven=st.sets(NAMES), synced=st.booleans())
    def begin(self, units: int, proven: set[str], synced: bool) -> None:
        self.seats = Seats(policy("enforce", "refuse"), proven)
        self.model = SeatModel(proven=set(proven))
        self.seats.lend({"seat": Limit(units, units)}, self.now, synced=synced)
        self.model.lend(units, units, None, False, False, synced, self.now)

    @rule(ms=st.sampled_from([1, 500, 1_999, 2_000, 4_999, 5_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @precondition(lambda self: self.model.next_expiry() is not None)
    @rule(early=st.booleans())
    def jump_to_next_expiry(self, early: bool) -> None:
        expiry = self.seats.next_expiry()
        assert expiry is not None
        self.now = max(self.now, expiry - early)
        self.seats.expire(self.now)
        self.model.expire(self.now)

    @precondition(lambda self: self.tried_again(self.now))
    @rule(early=st.booleans())
    def jump_to_the_end_of_what_lingered(self, early: bool) -> None:
        """A unit that lingered and is tried again has no timer, but its time still ends."""
        self.now = self.tried_again(self.now)[0] - early
        self.seats.expire(self.now)
        self.model.expire(self.now)

    def tried_again(self, now: int) -> list[int]:
        reserved = self.model.those(State.RESERVED)
        return [thing.until for thing in reserved if thing.until > now]

    @rule(name=NAMES)
    def register(self, name: str) -> None:
        self.decide(name)
        self.commit(name)

    @rule(name=NAMES)
    def decide(self, name: str) -> None:
        kind = KIND[name]
        assert self.seats.decide(name, kind, self.now) == self.model.decide(name, kind, self.now)

    @rule(name=NAMES)
    def commit(self, name: str) -> None:
        kind = KIND[name]
        assert self.seats.commit(name, kind, self.now) == self.model.commit(name, kind, self.now)

    @rule(name=NAMES)
    def release(self, name: str) -> None:
        self.seats.release(name, self.now)
        self.model.release(name, self.now)

    @rule()
    def settle(self) -> None:
        assert self.seats.settle(self.now) == self.model.settle(self.now)

    @rule(name=NAMES, units=UNITS, soon=st.booleans())
    def a_wait_and_its_end(self, name: str, units: int, soon: bool) -> None:
        """The wait began after the sync that is answered (not soon), or before."""
        if not soon:
            self.ask()
        self.decide(name)
        if soon:
            self.ask()
        self.answer(units, None, False, (Code.NO_FREE_LICENCE, 0))

    @rule()
    def ask(self) -> None:
        want, idle = self.model.want, self.model.idle
        demand = self.seats.ask()["seat"]
        self.model.ask()
        assert (demand.want, demand.idle) == (want, idle)
        assert (demand.peak, demand.refused) == (self.model.peak_asked, self.model.refused_asked)

    @precondition(lambda self: self.model.asks > self.model.covered)
    @rule(units=UNITS, recall=RECALL, short=st.booleans(), denial=DENIAL)
    def answer(self, units: int, recall: int | None, short: bool, denial: tuple[Code, int] | None) -> None:
        limit = Limit(units, units, "short" if short else "open", recall)
        denials = {}
        if denial is not None:
            denials["seat"] = Denial(1, 0, denial[0], 6, 6, recalling=denial[1])
        self.seats.answer({"seat": limit}, denials, self.now)
        self.model.answer(units, recall, short, denial, self.now)

    @invariant()
    def nobody_sees_a_difference(self) -> None:
        for name in KIND:
            thing = self.model.things.get(name)
            assert self.seats.state_of(name) is (thing.state if thing else State.FREE), name
            assert (self.seats.may_call(name) is None) is self.model.may_call(name), name
        assert self.seats.next_expiry() == self.model.next_expiry()
        demand = self.seats.demand()["seat"]
        assert (demand.want, demand.idle) == (self.model.want, self.model.idle)
        assert self.seats.urgent is self.model.urgent

    @invariant()
    def the_books_agree(self) -> None:
        counts = self.seats.counts()["seat"]
        held = [thing.name for thing in self.model.those(State.HELD)]
        assert counts.used == len(held)
        assert counts.used + counts.reserved + counts.lingering <= counts.usable
        prints = (int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) for name in held)
        assert self.seats.holders()["seat"].digest == f"{reduce(xor, prints, 0):016x}"
        assert self.seats.holder_page("seat").names == tuple(sorted(held))

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        waiting = self.model.those(State.WAITING)
        assert not any(self.model.admits(thing.proven) for thing in waiting)

    @invariant()
    def history_ends_where_things_stand(self) -> None:
        for event in self.seats.drain_events():
            self.told[event.object] = event.event
        for name in KIND:
            match self.seats.state_of(name):
                case State.HELD:
                    assert self.told[name] == "held"
                case State.LINGERING:
                    assert self.told[name] == "lingering"
                case State.SURPLUS:
                    assert self.told[name] == "surplus"
                case State.FREE | State.WAITING:
                    assert self.told.get(name) in (None, "released", "refused", "reported"), name
                case State.RESERVED | State.PASSING:
                    pass


class UpheavalMachine(SeatMachine):
    """The same with everything that seldom happens: restarts, snapshots, bypass, another policy or share."""

    @rule(lent=UNITS, newer=st.booleans(), recall=RECALL, short=st.booleans(), over=st.booleans())
    def lend(self, lent: int, newer: bool, recall: int | None, short: bool, over: bool) -> None:
        usable = 0 if newer else lent
        limit = Limit(lent, usable, "short" if short else "open", recall)
        self.seats.lend({"seat": limit}, self.now, synced=not over, closed=over)
        self.model.lend(lent, usable, recall, short, over, not over, self.now)

    @rule(ms=st.none() | st.sampled_from([0, 1_000, 5_000]))
    def bypass(self, ms: int | None) -> None:
        until = None if ms is None else self.now + ms
        self.seats.bypass(until, self.now)
        self.model.bypass(until, self.now)

    @rule(
        enforcement=st.sampled_from(["enforce", "enforce", "report"]),
        away=st.sampled_from(["refuse", "report"]),
    )
    def adopt(self, enforcement: str, away: str) -> None:
        self.seats.adopt(policy(enforcement, away), self.now)
        self.model.enforcement, self.model.away = enforcement, away

    @rule(clean=st.booleans(), lost=st.sets(NAMES, max_size=2))
    def restart(self, clean: bool, lost: set[str]) -> None:
        before = self.model
        bound = [
            (thing.name, thing.kind)
            for thing in before.those(State.HELD, State.SURPLUS)
            if clean or thing.name not in lost
        ]
        until = None if clean else self.now + 10_000
        self.seats = Seats(policy(before.enforcement, before.away), proven=before.proven)
        self.seats.lend({"seat": Limit(before.lent, before.usable)}, self.now)
        self.seats.restore(bound, self.now, until)
        self.model = SeatModel(proven=set(before.proven), enforcement=before.enforcement, away=before.away)
        self.model.lend(before.lent, before.usable, None, False, False, True, self.now)
        self.model.restore(bound, self.now, until)
        self.told = {
            name: "held" if thing.state is State.HELD else "surplus"
            for name, thing in self.model.things.items()
        }

    @rule(names=st.sets(NAMES), ago=st.sampled_from([0, 1, 1_000]))
    def snapshot(self, names: set[str], ago: int) -> None:
        present = {name: KIND[name] for name in sorted(names)}
        self.seats.snapshot(present.items(), self.now - ago, self.now)
        self.model.snapshot(present, self.now - ago, self.now)


for machine in (SeatMachine, UpheavalMachine):
    machine.TestCase.settings = MACHINE
TestSeats = SeatMachine.TestCase
TestUpheaval = UpheavalMachine.TestCase
