"""The allocator against the protocol's promises, in every interleaving hypothesis can think of.

A wire that loses, repeats and reorders, capacity that rises and falls, upgrades, restarts, released and
revoked sites, a store that is lost or restored; after each step everything is counted again the slow way.
"""

from collections import Counter

import hypothesis.strategies as st
import msgspec
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from licensing import administration, ledger, snapshot
from licensing.codes import Code
from licensing.demand import PoolKey
from licensing.files import inventory, transfer
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.ledger import replay
from licensing.lender import takeover
from licensing.state import State
from licensing.wire import Answer, Hello, Sync
from tests.licensing.house import CATALOGUE
from tests.licensing.peers import Master, Peer, Reply, decoded
from tests.machine import MACHINE

PBXS = (
    Pbx("hq", role="master"),
    Pbx("ann", platform="ipva"),
    Pbx("bob", standby_for=("hq",)),
    Pbx("cid", platform="ipva", standby_for=("hq",)),
)

NAMES = [pbx.name for pbx in PBXS]
CLASSES_OF = {
    "hq": ["seat", "relay_channel"],
    "ann": ["virtual_seat", "conference_leg"],
    "bob": ["seat", "standby_seat"],
    "cid": ["virtual_seat", "virtual_standby_seat"],
}
TYPES = ["PBX-Port{}", "PBX-IPVA{}", "PBX-Standby{}", "PBX-Channels{}", "Relay-Channels"]

names = st.sampled_from(NAMES)
small = st.integers(0, 4)


def drawn(state: State) -> Counter[PoolKey]:
    """Units lent from each pool, added up from the shares."""
    total: Counter[PoolKey] = Counter()
    for shares in state.shares.values():
        for share in shares.values():
            total.update(share.drawn)
    return total


def units(state: State, key: PoolKey) -> list[int]:
    """The release of each unit installed at a pool; hardware serves anything."""
    found = []
    for row in state.entitlements.values():
        place = "hq" if row.hardware and not row.place else row.place
        if (place, row.pool) == key:
            found += [row.release or 999] * row.count
    return found


def holders(state: State, key: PoolKey) -> list[int]:
    """The software of each unit's holder."""
    found = []
    for agent, shares in state.shares.items():
        for share in shares.values():
            found += [state.software_of(agent)] * share.drawn.get(key, 0)
    return found


def excess_at(state: State, key: PoolKey, software: int) -> int:
    """By how much holders that run this software or newer exceed the units that serve them (L.r5, L.r6)."""
    installed = units(state, key)
    if key.pool == "standby" and not standby_on(state):
        installed = []
    if state.settings.mixed_versions == "strict" and installed:
        installed = [min(installed)] * len(installed)
    lent = holders(state, key)
    return sum(held >= software for held in lent) - sum(release >= software for release in installed)


def excess(state: State, key: PoolKey, software: int, but: str | None = None) -> int:
    """The worst excess for any release up to this software; with `but` what others reserved counts too."""
    return max(
        excess_at(state, key, s) + (sum(kept(state, key, s, but)) if but is not None else 0)
        for s in range(software + 1)
    )


def reserved(state: State, key: PoolKey) -> dict[str, int]:
    """L.r35 in its own words: unit for unit, first come in the configuration, while there are some."""
    found: dict[str, int] = {}
    for name, pbx in state.pbxs.items():
        local = any(row.place == name and not row.hardware for row in state.entitlements.values())
        for pool, count in pbx.reserve if not local and not key.place else ():
            for _ in range(count if pool == key.pool else 0):
                usable = -excess_at(state, key, state.software_of(name)) + sum(
                    held >= state.software_of(name) for held in holders(state, key)
                )
                if sum(found.values()) < usable:
                    found[name] = found.get(name, 0) + 1
    return found


def kept(state: State, key: PoolKey, software: int, but: str) -> list[int]:
    """What is reserved for each other PBX with this software or newer, and not lent to it."""
    return [
        max(0, units - sum(share.drawn.get(key, 0) for share in state.shares.get(name, {}).values()))
        for name, units in reserved(state, key).items()
        if name != but and state.software_of(name) >= software
    ]


def standby_on(state: State) -> bool:
    """L.r15 in its own words."""
    software = state.software_of("hq")

    def usable(pool: str) -> int:
        installed = units(state, PoolKey("", pool))
        if state.settings.mixed_versions == "strict":
            return len(installed) if installed and min(installed) >= software else 0
        return sum(release >= software for release in installed)

    return usable("standby") >= usable("port") >= 1


class AllocatorMachine(RuleBasedStateMachine):
    """Four agents, one master, and everything that may go wrong between them."""

    @initialize(lenient=st.booleans(), counts=st.lists(st.integers(0, 6), min_size=5, max_size=5))
    def found(self, lenient: bool, counts: list[int]) -> None:
        self.master = Master.found(PBXS, Settings(mixed_versions="lenient" if lenient else "strict"))
        self.peers = {name: Peer(name) for name in NAMES}
        self.backup = self.master.copy()
        self.calm = 0
        for name in NAMES:
            self.peers[name].enrol(self.master)
        for type_, count in zip(TYPES, counts, strict=True):
            if count:
                self.change("install", type_.format(13), count, None)

    def change(self, verb: str, type_: str, count: int, place: str | None) -> Code | None:
        """Install or remove, whatever comes of it."""
        command = inventory.install if verb == "install" else inventory.remove
        state, demands = self.master.state, self.master.demands
        return self.master.commit(command(state, CATALOGUE, [Item(type_, count, place)], demands=demands))

    # ---- what agents do
    @rule(name=names, needs=st.lists(small, min_size=2, max_size=2), idle=small)
    def write(self, name: str, needs: list[int], idle: int) -> None:
        demand = {c: (need, idle) for c, need in zip(CLASSES_OF[name], needs, strict=True)}
        self.peers[name].write(demand)

    @rule(name=names, back=st.integers(0, 3))
    def deliver(self, name: str, back: int) -> None:
        """The newest message or an older one, perhaps again."""
        sent = self.peers[name].sent
        if sent:
            request = sent[max(0, len(sent) - 1 - back)]
            self.peers[name].inbox.append((request.seq, self.received(request)))

    @rule(name=names, back=small)
    def answer(self, name: str, back: int) -> None:
        """An answer arrives; it stays on the wire and may arrive again."""
        inbox = self.peers[name].inbox
        if inbox:
            self.peers[name].take(*inbox[max(0, len(inbox) - 1 - back)])

    @rule(name=names, needs=st.lists(small, min_size=2, max_size=2), idle=small)
    def exchange(self, name: str, needs: list[int], idle: int) -> None:
        self.write(name, needs, idle)
        self.deliver(name, 0)
        self.answer(name, 0)

    @rule(demands=st.lists(st.tuples(small, small, small), min_size=4, max_size=4))
    def everyone_exchanges(self, demands: list[tuple[int, int, int]]) -> None:
        for name, (first, second, idle) in zip(NAMES, demands, strict=True):
            self.exchange(name, [first, second], idle)
            if self.peers[name].must_hello:
                self.exchange(name, [first, second], idle)

    @rule(name=names, which=st.integers(0, 1), difference=st.integers(-2, 2))
    def use(self, name: str, which: int, difference: int) -> None:
        peer, class_ = self.peers[name], CLASSES_OF[name][which]
        now = peer.used.get(class_, 0) + difference
        if difference <= 0 or now <= peer.usable(class_):
            peer.used[class_] = max(0, now)

    @rule(name=names)
    def restart(self, name: str) -> None:
        self.peers[name].restart()

    @rule(name=names, software=st.integers(12, 14))
    def upgrade(self, name: str, software: int) -> None:
        self.peers[name].software = software

    # ---- what administrators do
    @rule(type_=st.sampled_from(TYPES), release=st.integers(11, 14), count=st.integers(1, 4))
    def install(self, type_: str, release: int, count: int) -> None:
        self.change("install", type_.format(release), count, None)

    @rule(type_=st.sampled_from(TYPES[:4]), release=st.integers(11, 14), count=st.integers(1, 4))
    def remove(self, type_: str, release: int, count: int) -> None:
        self.change("remove", type_.format(release), count, None)

    @rule(name=names, pool=st.sampled_from(["port", "ipva"]), count=st.integers(0, 4))
    def reserve(self, name: str, pool: str, count: int) -> None:
        """Keep so many units of a pool for a PBX, instead of those kept before."""
        state = self.master.state
        pbxs = [
            msgspec.structs.replace(pbx, reserve=((pool, count),) if count else ())
            if pbx.name == name
            else pbx
            for pbx in state.pbxs.values()
        ]
        self.master.commit(administration.configure(state, state.settings, pbxs, {}))

    @rule(
        name=st.sampled_from(["ann", "bob"]),
        count=st.integers(1, 3),
        verb=st.sampled_from(["install", "remove"]),
    )
    def make_local(self, name: str, count: int, verb: str) -> None:
        self.change(verb, "PBX-Port13", count, name)

    @rule(name=st.sampled_from(["ann", "bob"]), count=st.integers(1, 3), back=st.booleans())
    def transfer(self, name: str, count: int, back: bool) -> None:
        place, to = (name, None) if back else (None, name)
        item, state = Item("PBX-Port13", count, place), self.master.state
        self.master.commit(transfer.transfer(state, CATALOGUE, item, to, demands=self.master.demands))

    @rule(fails=st.booleans())
    def fail_or_recover(self, fails: bool) -> None:
        """hq, which two stand by for."""
        order = takeover.fail if fails else takeover.recover
        self.master.commit(order(self.master.state, "hq", demands=self.master.demands))

    @rule(name=names)
    @precondition(lambda self: self.calm > 6)
    def release(self, name: str) -> None:
        self.calm = 0
        self.master.commit(administration.release_site(self.master.state, name))

    @rule(name=names)
    @precondition(lambda self: self.calm > 6)
    def revoke_and_join_again(self, name: str) -> None:
        self.calm = 0
        self.master.commit(administration.revoke(self.master.state, name))
        self.peers[name].enrol(self.master)

    # ---- what happens to the store
    @rule()
    def back_up(self) -> None:
        self.backup = self.master.copy()

    @rule()
    @precondition(lambda self: self.calm > 9)
    def restore(self) -> None:
        """An older store, by the command that says so."""
        self.calm = 0
        self.master = self.backup.copy()
        self.master.commit(administration.start_recovery(self.master.state))

    @rule()
    @precondition(lambda self: self.calm > 9)
    def lose_the_store(self) -> None:
        """`serve` makes a new one in recovery; keys and configuration are elsewhere, licences are not."""
        self.calm = 0
        settings = self.master.state.settings
        instance = self.master.state.instance + "'"
        self.master = Master.found(PBXS, settings, instance=instance, recovery=True)
        self.backup = self.master.copy()

    # ---- what must hold
    def received(self, request: Sync) -> Reply:
        """The master answers; check the decision itself against the words of the rules."""
        self.calm += 1
        before, stored = self.master.state, self.master.answers.get(request.agent)
        reply = self.master.receive(request)
        after = self.master.state
        if isinstance(reply, Code):
            assert after.shares == before.shares, "a refused message changes no share"
            return reply
        if reply is stored:
            assert after is before, "a repeat changes nothing"
            return reply
        self.check_sums(before, after)
        if before.recovering and after.recovering:
            self.check_nothing_new(before, after, request)
        self.check_reserved(before, after, request.agent)
        if not before.recovering:  # else the record becomes what the agent shows
            self.check_reserve(before, after, request.agent)
        self.check_needs(request, reply, after)
        return reply

    def check_sums(self, before: State, after: State) -> None:
        """No decision raises a sum that exceeds what is installed, unless an agent proved that it has it."""
        for key in drawn(after):
            for software in range(11, 16):
                grown = sum(held >= software for held in holders(after, key)) - sum(
                    after.software_of(agent) >= software for agent in agents_of(before, key)
                )
                assert before.recovering or grown <= 0 or excess_at(after, key, software) <= 0, key

    def check_reserved(self, before: State, after: State, name: str) -> None:
        """No share grows into what is kept for others (L.r35), whatever else it may have had."""
        if before.recovering or after.recovering:
            return
        software = after.software_of(name)
        for class_, share in after.shares.get(name, {}).items():
            for key, units in share.drawn.items():
                if units > before.share(name, class_).drawn.get(key, 0):
                    assert excess(after, key, software, but=name) <= 0, (name, key)

    def check_reserve(self, before: State, after: State, name: str) -> None:
        """What a failed PBX had when it failed waits for its objects, whatever its agent says (L.r16)."""
        for class_, reserved in after.failed.get(name, {}).items():
            had = before.share(name, class_).granted
            assert after.share(name, class_).granted >= min(reserved, had)

    def check_nothing_new(self, before: State, after: State, request: Sync) -> None:
        """In a recovery an agent only gets on record what it proves to have had."""
        proofs = decoded(request) if isinstance(request, Hello) else []
        for class_, share in after.shares.get(request.agent, {}).items():
            shown = max((p.shares[class_].granted for p in proofs if class_ in p.shares), default=0)
            assert share.granted <= max(before.share(request.agent, class_).granted, shown)

    def check_needs(self, request: Sync, answer: Answer, after: State) -> None:
        """A need is met, or denied, and denied only when one more unit would break a rule."""
        name = request.agent
        for class_, demand in request.classes.items():
            share = after.share(name, class_)
            grant = answer.shares.get(class_)
            need = demand.want - demand.idle
            reserved = after.failed.get(name, {}).get(class_, 0)
            assert share.granted <= max(demand.want, reserved)
            assert grant is None or grant.granted == min(share.granted, demand.want)
            if (
                after.recovering
                or need <= share.granted
                or after.agents[name].standing not in ("good", "alert")
            ):
                continue
            if need > demand.used:
                assert class_ in answer.denials
            assert not self.one_more(after, name, class_), f"{name} could have one more {class_}"

    def one_more(self, state: State, name: str, class_: str) -> bool:
        """Whether one more bundle would break no rule, tried slowly."""
        bundle = state.bundle(name, class_)
        if bundle is None or state.recovering:
            return False
        own = {key for slot in bundle for key in slot}
        software = state.software_of(name)
        held = state.share(name, class_).drawn
        if any(key not in own or excess(state, key, software) > 0 for key in held):
            return False
        return all(any(excess(state, key, software, but=name) < 0 for key in slot) for slot in bundle)

    @invariant()
    def nothing_is_used_that_is_not_on_record(self) -> None:
        state = self.master.state
        for name, peer in self.peers.items():
            known = state.agents.get(name)
            if known is None or name in state.waiting or peer.epoch < known.epoch:
                continue  # who was released, or is not known yet, uses what it was told: the operator's risk
            for class_ in CLASSES_OF[name]:
                assert peer.reach(class_) <= state.share(name, class_).granted, (name, class_)

    @invariant()
    def bundles_are_whole(self) -> None:
        for shares in self.master.state.shares.values():
            for class_, share in shares.items():
                for slot in self.master.state.classes[class_].slots:
                    pools = {source.pool for source in slot}
                    assert sum(n for key, n in share.drawn.items() if key.pool in pools) == share.granted
                assert sum(count for _, count in share.layers) == share.granted

    @invariant()
    def lent_units_add_up(self) -> None:
        state = self.master.state
        assert {key: state.lent_from(key) for key in state.lent if state.lent[key]} == drawn(state)

    def teardown(self) -> None:
        """The events, written and read again, make the same state, also from a snapshot in between on."""
        if hasattr(self, "master"):
            events = [ledger.decode(ledger.encode(event)) for event in self.master.events]
            middle = len(events) // 2
            begin = snapshot.decode(snapshot.encode(replay(events[:middle])))
            again = replay(events[middle:], begin)
            assert again == self.master.state
            assert snapshot.digest(again, b"") == snapshot.digest(self.master.state, b"")


def agents_of(state: State, key: PoolKey) -> list[str]:
    """Each unit's holder by name."""
    return [
        agent
        for agent, shares in state.shares.items()
        for share in shares.values()
        for _ in range(share.drawn.get(key, 0))
    ]


TestAllocator = AllocatorMachine.TestCase
TestAllocator.settings = MACHINE
