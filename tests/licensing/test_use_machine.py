"""Uses on live agents against a few counters: who holds which unit of which pool, after each step.

Among the licences are two that no code knows (`new_rows`): they behave as those of their mode.
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from licensing.installation import Pbx
from tests.licensing.exchange import Exchange
from tests.licensing.new_rows import CATALOGUE
from tests.machine import CHAOS, MACHINE

PBXS = (
    Pbx("hq", role="master", model="IP811", interfaces=("bri1", "pri1", "bri2")),
    Pbx("lyon", platform="ipva", mac="0090330a0b0c"),
)
PLACES = st.sampled_from([pbx.name for pbx in PBXS])
CALLS = st.sampled_from(["c1", "c2", "c3", "c4"])
ROOMS = st.sampled_from(["r1", "r2"])
USERS = st.sampled_from(["anna", "bob", "cora"])
QUEUES = st.sampled_from(["q1", "q2", "q3", "q4"])
CLIENTS = st.sampled_from(["pc1", "pc2"])
LINES = st.sampled_from(["bri1", "bri2", "pri1", ""])
SOFTWARE = st.sampled_from([12, 13, 14])
FEW = st.integers(0, 3)
PER_LOGIN = st.sampled_from(["operator", "attendant"])
PER_QUEUE = {"queue-monitor": 2, "wallboard": 3}
"""How many queues one client may watch."""
WATCHED = st.sampled_from(list(PER_QUEUE))
TYPES = {
    "operator": "PBX-Operator13",
    "attendant": "PBX-Attendant13",
    "queue-monitor": "PBX-QueueMonitor13",
    "wallboard": "PBX-Wallboard13",
    "pbx-channels": "PBX-Channels13",
    "relay-channel@hq": "Relay-Channels",
    "relay-bri@hq": "Relay-BRIs",
    "relay-pri@hq": "Relay-PRIs",
}


class UseMachine(RuleBasedStateMachine):
    """First come, first served: a model of four tables, each a use and the pool that its unit is from."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange(pbxs=PBXS, catalogue=CATALOGUE)
        self.units: dict[str, int] = {}
        self.legs: dict[tuple[str, str, str], str] = {}
        self.calls: dict[str, str] = {}
        self.logins: set[tuple[str, str, str]] = set()
        self.watches: dict[tuple[str, str, str, str], None] = {}

    @initialize(units=st.fixed_dictionaries(dict.fromkeys(TYPES, FEW)))
    def begin(self, units: dict[str, int]) -> None:
        self.units = units
        rows = [f"{count} {TYPES[pool]}" for pool, count in units.items() if count]
        self.exchange = Exchange(*rows, pbxs=PBXS, catalogue=CATALOGUE)

    def used(self) -> Counter[str]:
        queues = {(licence, at, queue) for licence, at, queue, _ in self.watches}
        opened = {
            "relay-bri@hq": min(2, self.units["relay-bri@hq"]),
            "relay-pri@hq": min(1, self.units["relay-pri@hq"]),
        }
        used = Counter([*self.legs.values(), *["relay-channel@hq"] * len(self.calls)])
        return used + Counter(each[0] for each in (*self.logins, *queues)) + Counter(opened)

    def free(self, pool: str) -> bool:
        return self.used()[pool] < self.units.get(pool, 0)

    @rule(room=ROOMS, call=CALLS, at=PLACES, local=st.booleans())
    def join(self, room: str, call: str, at: str, local: bool) -> None:
        ways = {"pbx-channels": "no_free_licence", f"relay-channel@{at}": "relay_channels_exhausted"}
        order = list(ways)[::-1] if local else list(ways)
        pool = next((pool for pool in order if self.free(pool)), None)
        known = (at, room, call) in self.legs
        expected = None if known or pool else ways[order[0]]
        assert self.exchange.join(room, call, at, prefer_local=local) == expected
        if pool is not None and not known:
            self.legs[at, room, call] = pool

    @rule(room=ROOMS, call=CALLS, at=PLACES)
    def leave(self, room: str, call: str, at: str) -> None:
        known = self.legs.pop((at, room, call), None) is not None
        assert self.exchange.leave(room, call, at) is known

    @rule(call=CALLS, line=LINES)
    def call_begins(self, call: str, line: str) -> None:
        known = call in self.calls
        code = None if known else self._closed(line)
        if not known and code is None and not self.free("relay-channel@hq"):
            code = "relay_channels_exhausted"
        assert self.exchange.call(call, line) == code
        if code is None:
            self.calls.setdefault(call, line)

    def _closed(self, line: str) -> str | None:
        """Units open interfaces in configuration order: bri1 with the first, bri2 with the second."""
        if not line:
            return None
        if self.units[f"relay-{line[:3]}@hq"] < int(line[3]):
            return "relay_missing"
        busy = sum(each == line for each in self.calls.values())
        return "relay_channels_exhausted" if busy >= {"b": 2, "p": 30}[line[0]] else None

    @rule(call=CALLS)
    def hangup(self, call: str) -> None:
        legs = [leg for leg in self.legs if leg[0] == "hq" and leg[2] == call]
        known = self.calls.pop(call, None) is not None or bool(legs)
        for leg in legs:
            del self.legs[leg]
        assert self.exchange.hangup(call) is known

    @rule(licence=PER_LOGIN, user=USERS, software=SOFTWARE, at=PLACES)
    def login(self, licence: str, user: str, software: int, at: str) -> None:
        expected = self._client((licence, at, user) in self.logins, software, licence)
        assert self.exchange.login(user, software, at, licence=licence) == expected
        if expected is None:
            self.logins.add((licence, at, user))

    def _client(self, known: bool, software: int, pool: str) -> str | None:
        if software > 13 and self.units[pool]:
            return "licence_version_too_low"
        return None if known or self.free(pool) else "no_free_licence"

    @rule(licence=PER_LOGIN, user=USERS, at=PLACES)
    def logout(self, licence: str, user: str, at: str) -> None:
        known = (licence, at, user) in self.logins
        self.logins.discard((licence, at, user))
        assert self.exchange.logout(user, at, licence=licence) is known

    @rule(licence=WATCHED, queue=QUEUES, client=CLIENTS, software=SOFTWARE, at=PLACES)
    def monitor(self, licence: str, queue: str, client: str, software: int, at: str) -> None:
        there = [each for each in self.watches if each[:2] == (licence, at)]
        expected = self._client(queue in {each[2] for each in there}, software, licence)
        if len({each[2] for each in there if each[3] == client} - {queue}) >= PER_QUEUE[licence]:
            expected = "queues_per_client"
        assert self.exchange.monitor(queue, client, software, at, licence) == expected
        if expected is None:
            self.watches[licence, at, queue, client] = None

    @rule(licence=WATCHED, queue=QUEUES, client=CLIENTS, at=PLACES)
    def unmonitor(self, licence: str, queue: str, client: str, at: str) -> None:
        known = (licence, at, queue, client) in self.watches
        self.watches.pop((licence, at, queue, client), None)
        assert self.exchange.unmonitor(queue, client, at, licence=licence) is known

    @rule(at=PLACES)
    def crash(self, at: str) -> None:
        self.exchange.restart(at)

    @invariant()
    def every_unit_is_where_it_should_be(self) -> None:
        used = self.used()
        assert {pool: self.exchange.used(pool) for pool in TYPES} == {pool: used[pool] for pool in TYPES}

    @invariant()
    def nothing_is_lent_twice(self) -> None:
        state = self.exchange.house.state
        assert all(state.lent_from(key) <= pool.installed for key, pool in state.pools.items())


TestUses = UseMachine.TestCase
TestUses.settings = MACHINE if CHAOS else settings(MACHINE, max_examples=60, stateful_step_count=30)
