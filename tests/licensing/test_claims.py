"""Claims that are carried from one decision to the next are those that would be counted (decision 0058)."""

from dataclasses import dataclass, field
from typing import Protocol

import hypothesis.strategies as st
from hypothesis import given, settings

from licensing.demand import PoolKey
from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.ledger import CloneSuspected, SiteConfirmed, replay
from licensing.lender import allocator
from licensing.lender.claims import Claims, Demands
from licensing.wire import ClassDemand
from tests.licensing.house import CATALOGUE, House, request

CLASSES = {"hq": "seat", "lyon": "seat", "nice": "virtual_seat"}
SOFTWARE = {"hq": 13, "lyon": 12, "nice": 13}
POOLS = [PoolKey(place, name) for place in ("", "nice") for name in ("port", "smb-port", "ipva")]
ROWS = ("PBX-Port13", "PBX-Port12", "PBX-IPVA13")

names = st.sampled_from(sorted(CLASSES))
few = st.integers(0, 4)
rarely = st.sampled_from((False, False, False, True))
places = st.sampled_from((None, None, "nice"))


@dataclass
class Master:
    """It gives each decision the claims of the one before."""

    house: House
    demands: Demands = field(default_factory=dict)
    known: Claims | None = None


class Step(Protocol):
    """Something that happens at a master."""

    def take(self, master: Master) -> None:
        """Let it happen."""
        ...


@dataclass(frozen=True)
class Asked:
    """A sync, decided with what is known and without it."""

    agent: str
    used: int
    idle: int
    silent: frozenset[str]
    no_room: bool

    def take(self, master: Master) -> None:
        """Both decisions are one, and so are the claims after it."""
        demand = ClassDemand(used=self.used, want=self.used + self.idle, idle=self.idle)
        classes = {CLASSES[self.agent]: demand} if demand.want else {}
        sync = request(self.agent, classes, software=SOFTWARE[self.agent])
        carried, counted = (
            allocator.sync(
                master.house.state,
                master.demands,
                sync,
                silent=self.silent,
                no_room=self.no_room,
                known=known,
            )
            for known in (master.known, None)
        )
        assert carried == counted
        state, claims = carried.state, carried.claims
        assert claims.demands == {**master.demands, self.agent: carried.demand}
        master.house.state, master.demands, master.known = state, claims.demands, claims
        anew = Claims(state, claims.demands, self.silent - {self.agent}, self.no_room)
        for key in POOLS:
            assert sorted(claims.at(key)) == sorted(anew.at(key))
            for step, _ in state.pool(key).steps:
                assert claims.sums(key, step) == anew.sums(key, step)


@dataclass(frozen=True)
class Forgotten:
    """What an agent said is nobody's word any more."""

    agent: str

    def take(self, master: Master) -> None:
        """As if it had never spoken."""
        master.demands = {name: told for name, told in master.demands.items() if name != self.agent}


@dataclass(frozen=True)
class Installed:
    """Units come, by the administrator's hand, or go; also to and from a place of their own."""

    type_: str
    count: int
    place: str | None

    def take(self, master: Master) -> None:
        """What cannot be done is not done."""
        state, items = master.house.state, [Item(self.type_, abs(self.count), self.place)]
        command = inventory.install if self.count > 0 else inventory.remove
        change = command(state, CATALOGUE, items, demands=master.demands)
        if not isinstance(change, tuple):
            master.house.state = change.state


@dataclass(frozen=True)
class Doubted:
    """An agent seems to be two, and may not grow; or an operator says that it is one."""

    agent: str
    doubted: bool

    def take(self, master: Master) -> None:
        """Only its standing changes."""
        suspected = CloneSuspected(self.agent, "same_seq", "frozen")
        event = suspected if self.doubted else SiteConfirmed(self.agent)
        master.house.state = replay([event], master.house.state)


silent = rarely.map(lambda so: frozenset({"lyon"}) if so else frozenset())
asked = st.builds(Asked, names, few, few, silent, rarely)
installed = st.builds(Installed, st.sampled_from(ROWS), st.sampled_from((-3, -1, 1, 3)), places)
doubted = st.builds(Doubted, names, st.booleans())
forgotten = st.builds(Forgotten, names)
steps = st.lists(st.one_of(*(asked,) * 9, installed, forgotten, doubted, doubted), min_size=20, max_size=40)


@given(steps=steps, kept=st.integers(0, 2), mixed=st.sampled_from(("strict", "lenient")))
@settings(max_examples=400, deadline=None)
def test_what_is_carried_over_is_what_would_be_counted(steps: list[Step], kept: int, mixed: str) -> None:
    """Reservations, two releases, silent and doubted agents, a full disk, units that come and go, a place."""
    pbxs = (
        Pbx("hq", role="master"),
        Pbx("lyon", reserve=(("port", kept),) if kept else ()),
        Pbx("nice", platform="ipva"),
    )
    house = House(pbxs, Settings(mixed_versions="lenient" if mixed == "lenient" else "strict"))
    assert house.install("3 PBX-Port13", "2 PBX-IPVA13") is None
    master = Master(house)
    for step in steps:
        step.take(master)
