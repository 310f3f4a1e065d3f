"""Units find whoever needs them: recall and wake alone bring idle units to waiting phones."""

from collections import Counter

import hypothesis.strategies as st
import msgspec
from hypothesis import given, settings

from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.lender.lending import room
from licensing.wire import Answer
from tests.licensing.house import CATALOGUE
from tests.licensing.peers import Master, Peer

PBXS = (Pbx("hq", role="master"), Pbx("ann", platform="ipva"), Pbx("bob"), Pbx("cid", platform="ipva"))
CLASS = {"hq": "seat", "ann": "virtual_seat", "bob": "seat", "cid": "virtual_seat"}
NAMES = list(CLASS)


class Site:
    """A peer that keeps some idle units while it may and gives them back when it is told to."""

    def __init__(self, name: str, master: Master) -> None:
        self.peer = Peer(name)
        self.class_ = CLASS[name]
        self.need = self.idle = 0
        self.peer.enrol(master)

    def exchange(self, master: Master) -> bool:
        """One exchange; True when the answer makes it say something else at once."""
        reply = self.peer.exchange(master, {self.class_: (self.need, self.idle)})
        assert isinstance(reply, Answer)
        grant = reply.shares[self.class_]
        idle = self.idle
        if grant.recall_to is not None:
            idle = min(idle, max(0, grant.recall_to - self.need))
        if grant.state == "short":
            idle = 0
        again, self.idle = idle < self.idle, idle
        return again

    @property
    def granted(self) -> int:
        return self.peer.granted(self.class_)


def settle(sites: dict[str, Site], master: Master, first: list[str]) -> int:
    """Let these sites speak, then whoever is woken or has to answer; the number of messages it took."""
    queue, messages = list(first), 0
    while queue:
        name = queue.pop(0)
        if sites[name].exchange(master):
            queue.append(name)
        queue += [woken for woken in sorted(master.woken) if woken not in queue]
        messages += 1
        assert messages < 200, "they wake each other for ever"
    return messages


amounts = st.lists(st.integers(0, 6), min_size=4, max_size=4)


@settings(max_examples=300, deadline=None)
@given(
    ports=st.integers(0, 14),
    ipva=st.integers(0, 8),
    kept=st.just([0] * 4) | amounts,
    before=amounts,
    idle=amounts,
    after=amounts,
)
def test_needs_are_met_when_there_is_enough(
    ports: int, ipva: int, kept: list[int], before: list[int], idle: list[int], after: list[int]
) -> None:
    """Beside what is kept for others (L.r35), whoever they are."""
    pairs = zip(PBXS, kept, strict=True)
    pbxs = [msgspec.structs.replace(pbx, reserve=(("port", units),)) for pbx, units in pairs]
    master = Master.found(tuple(pbxs), Settings())
    sites = {name: Site(name, master) for name in NAMES}
    for type_, count in (("PBX-Port13", ports), ("PBX-IPVA13", ipva)):
        if count:
            master.commit(inventory.install(master.state, CATALOGUE, [Item(type_, count)]))
    for name, need, spare in zip(NAMES, before, idle, strict=True):
        sites[name].need, sites[name].idle = need, spare
    settle(sites, master, NAMES)
    for name, need in zip(NAMES, after, strict=True):
        sites[name].need = need
    settle(sites, master, NAMES)
    total: Counter[bool] = Counter()
    for name in NAMES:
        total[CLASS[name] == "virtual_seat"] += sites[name].need
    most = sum(max(site.need, units) for site, units in zip(sites.values(), kept, strict=True))
    if most <= ports and total[True] <= ipva:
        assert all(site.granted >= site.need for site in sites.values())
    for name, site in sites.items():
        missing = site.granted < site.need
        assert not (missing and room(master.state, name, site.class_)), f"{name} waits beside free units"


@settings(max_examples=200, deadline=None)
@given(idle=st.integers(1, 6), needs=st.integers(1, 6))
def test_an_idle_unit_reaches_a_waiting_phone_in_four_messages(idle: int, needs: int) -> None:
    master = Master.found(PBXS, Settings())
    sites = {name: Site(name, master) for name in NAMES}
    master.commit(inventory.install(master.state, CATALOGUE, [Item("PBX-Port13", 6)]))
    sites["hq"].idle = idle
    settle(sites, master, ["hq"])
    sites["bob"].need = needs
    messages = settle(sites, master, ["bob"])
    assert sites["bob"].granted >= needs
    # bob asks, hq is woken and told, hq gives back, bob is woken
    assert messages <= 4


@settings(max_examples=200, deadline=None)
@given(before=amounts, removed=st.integers(1, 12), added=st.integers(1, 12))
def test_capacity_that_goes_and_comes_wakes_whom_it_concerns(
    before: list[int], removed: int, added: int
) -> None:
    master = Master.found(PBXS, Settings())
    sites = {name: Site(name, master) for name in NAMES}
    master.commit(
        inventory.install(master.state, CATALOGUE, [Item("PBX-Port13", 12), Item("PBX-IPVA13", 12)])
    )
    for name, need in zip(NAMES, before, strict=True):
        sites[name].need, sites[name].idle = need, 2
    settle(sites, master, NAMES)
    demands = master.demands
    change = inventory.remove(master.state, CATALOGUE, [Item("PBX-Port13", removed)], demands=demands)
    master.commit(change)
    woken = sorted(master.woken)
    settle(sites, master, woken)
    lent = sum(site.granted for site in sites.values())
    need = sum(min(site.need, site.granted) for site in sites.values())
    assert lent <= max(12 - removed, need), "idle units stay above what is installed"
    change = inventory.install(master.state, CATALOGUE, [Item("PBX-Port13", added)], demands=demands)
    master.commit(change)
    settle(sites, master, sorted(master.woken))
    for name, site in sites.items():
        missing = site.granted < site.need
        assert not (missing and room(master.state, name, site.class_)), f"{name} was not woken"
