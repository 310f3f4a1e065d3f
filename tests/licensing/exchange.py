"""An installation whose agents are the live ones: seats, uses and shares here, ledger and allocator there.

The wire loses nothing and takes no time; `away` cuts it. Time stands still unless a test moves it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from licensing.box.sighting import Sighting
from licensing.catalogue import Catalogue
from licensing.demand import PoolKey, kinds
from licensing.installation import Pbx, Settings
from licensing.ledger import replay
from licensing.lender import allocator, bound
from licensing.lender.box_events import MacDoubted, MacProven
from licensing.offers import CHANNELS, OPERATOR, QUEUE_MONITOR, offered
from licensing.site import record as records
from licensing.site import share
from licensing.site.calls import Calls
from licensing.site.clients import Clients
from licensing.site.decision import Admitted, Decision, Refused, Waiting
from licensing.site.record import ShareRecord
from licensing.site.seat import Seats
from licensing.site.use import Use
from licensing.site.uses import Uses
from licensing.wire import Answer, Enrolled, Policy, Roster, Software, Sync
from tests.licensing.house import CATALOGUE, House


@dataclass
class Branch:
    """The agent of one PBX."""

    record: ShareRecord
    seats: Seats
    uses: Uses
    calls: Calls
    clients: Clients
    stored: dict[str, Use] = field(default_factory=dict)
    sighting: Sighting | None = None


class Exchange:
    """A master and its agents; questions go to the agent of a PBX, `hq` unless another is named."""

    def __init__(
        self,
        *rows: str,
        pbxs: tuple[Pbx, ...] = (Pbx("hq", role="master"),),
        software: dict[str, int] | None = None,
        settings: Settings | None = None,
        catalogue: Catalogue = CATALOGUE,
        **policy: object,
    ) -> None:
        self.house = House(pbxs, settings or Settings(), software or {}, catalogue)
        assert not rows or self.house.install(*rows) is None
        self.now = 0
        self.away = False
        self.policy = policy
        self.sightings: dict[str, Sighting] = {}
        self.woken: frozenset[str] = frozenset()
        self.branches = {pbx.name: self._branch(pbx) for pbx in pbxs}
        self.settle()

    def _branch(self, pbx: Pbx) -> Branch:
        enrolled = Enrolled(
            v=1,
            agent=pbx.name,
            installation="acme",
            epoch=1,
            instance="one",
            term=1,
            master_key="key",
            nonce="n0",
            policy=self._policy(pbx.name),
            roster=Roster(0, {}),
        )
        record = share.enrolled(enrolled, 0, 0)
        seats = Seats(record.policy)
        uses = Uses(seats)
        return Branch(record, seats, uses, Calls(uses), Clients(uses))

    def _policy(self, name: str) -> Policy:
        pbx = self.house.state.pbxs[name]
        usual = {"etag": "1", "kinds": kinds(pbx), "uses": offered(self.house.state.classes.values())}
        said = msgspec.convert({**usual, **self.policy}, Policy)
        return bound.with_lines(self.house.state, pbx, said)

    # the wire

    def settle(self) -> None:
        """Sync until nobody has anything urgent to say."""
        for _ in range(10):
            for name, branch in self.branches.items():
                self.sync(name)
                self._ended(branch)
            if self.away or not any(branch.seats.urgent for branch in self.branches.values()):
                return
        raise AssertionError("they talk for ever")

    def sync(self, name: str) -> None:
        """One sync of this agent, as the service does it."""
        if self.away:
            return
        branch = self.branches[name]
        pbx = self.house.state.pbxs[name]
        software = self.house.software.get(name, pbx.software or self.house.settings.software)
        statement = share.Statement(
            boot="b", software=Software(software), classes=branch.seats.ask(), relay=branch.sighting
        )
        prepared = share.prepare(branch.record, statement, self.now, self.now)
        request = msgspec.json.decode(prepared.request.body, type=Sync)
        outcome = allocator.sync(self.house.state, self.house.demands, request, sightings=self.sightings)
        if request.relay is not None:
            self.sightings[name] = request.relay
        self.woken |= outcome.wake
        assert replay(outcome.events, self.house.state) == outcome.state
        self.house.events += outcome.events
        self.house.state = outcome.state
        self.house.demands[name] = dict(outcome.demand)
        answer = Answer(
            v=1,
            instance="one",
            term=1,
            epoch=1,
            ack_seq=request.seq,
            ack_activity=0,
            nonce=f"n{request.seq}",
            now_ms=self.now,
            next_ms=30_000,
            shares=dict(outcome.shares),
            denials=dict(outcome.denials),
            policy=self._policy(name),
        )
        reply = share.Reply(200, msgspec.json.encode(answer), "", "")
        applied = share.answered(prepared.record, prepared.request, reply, self.now, self.now)
        assert isinstance(applied, share.Applied)
        branch.record = applied.record
        limits = records.limits(applied.record, software)
        branch.seats.answer(limits, answer.denials, self.now, applied.record.policy)

    def see(self, name: str, sighting: Sighting) -> list[MacProven | MacDoubted]:
        """This agent sees its box so; it and all whom that wakes sync. What the ledger says of it."""
        before = len(self.house.events)
        self.branches[name].sighting, self.woken = sighting, frozenset()
        self.sync(name)
        for other in [name, *sorted(self.woken)]:
            for _ in range(2):  # what it gives back goes with a sync of its own
                self._ended(self.branches[other])
                self.sync(other)
        return [event for event in self.house.events[before:] if isinstance(event, MacProven | MacDoubted)]

    def _ended(self, branch: Branch) -> dict[str, Decision]:
        ended: dict[str, Decision] = {}
        while settled := branch.seats.settle(self.now):
            ended |= {each.key: each.decision for each in branch.uses.settle(settled, self.now)}
        for change in branch.uses.drain_changes():
            if change.use is None:
                del branch.stored[change.key]
            else:
                branch.stored[change.key] = change.use
        assert branch.stored == branch.uses.all()
        return ended

    # the questions

    def _asked(self, at: str, ask: Callable[[Branch], Decision]) -> str | None:
        """The code of a refusal, or None: admitted; who waits waits until the agents have nothing to say."""
        branch = self.branches[at]
        decision = ask(branch)
        if isinstance(decision, Waiting):
            (key,) = branch.uses.asked()
            for _ in range(10):
                for name in self.branches:
                    self.sync(name)
                if self.away:
                    self.now += 2_000
                if (ended := self._ended(branch).get(key)) is not None:
                    decision = ended
                    break
        assert not isinstance(decision, Waiting), "nobody ends this wait"
        if isinstance(decision, Refused):
            self._settled(at)
            return str(decision.code)
        assert isinstance(decision, Admitted)
        self._settled(at)
        return None

    def _settled(self, at: str) -> None:
        self._ended(self.branches[at])
        self.settle()

    def call(self, call: str, interface: str = "", at: str = "hq", *, emergency: bool = False) -> str | None:
        return self._asked(at, lambda b: b.calls.call(call, "gw1", interface, self.now, emergency=emergency))

    def hangup(self, call: str, at: str = "hq") -> bool:
        known = self.branches[at].calls.hangup(call, self.now)
        self._settled(at)
        return known

    def join(
        self, room: str, call: str, at: str = "hq", *, prefer_local: bool = False, licence: str = CHANNELS
    ) -> str | None:
        return self._asked(
            at,
            lambda b: b.calls.join(room, call, self.now, prefer_local=prefer_local, licence=licence),
        )

    def leave(self, room: str, call: str, at: str = "hq", *, licence: str = CHANNELS) -> bool:
        known = self.branches[at].calls.leave(room, call, self.now, licence=licence)
        self._settled(at)
        return known

    def login(
        self, user: str, software: int = 13, at: str = "hq", client: str = "", licence: str = OPERATOR
    ) -> str | None:
        return self._asked(
            at, lambda b: b.clients.login(user, software, self.now, client=client, licence=licence)
        )

    def logout(self, user: str, at: str = "hq", *, licence: str = OPERATOR) -> bool:
        known = self.branches[at].clients.logout(user, self.now, licence=licence)
        self._settled(at)
        return known

    def monitor(
        self, queue: str, client: str, software: int = 13, at: str = "hq", licence: str = QUEUE_MONITOR
    ) -> str | None:
        return self._asked(
            at, lambda b: b.clients.monitor(queue, client, software, self.now, licence=licence)
        )

    def unmonitor(self, queue: str, client: str, at: str = "hq", *, licence: str = QUEUE_MONITOR) -> bool:
        known = self.branches[at].clients.unmonitor(queue, client, self.now, licence=licence)
        self._settled(at)
        return known

    # what there is to see

    def used(self, name: str) -> int:
        """Units of a pool that are in use: what the agents say, drawn from it."""
        key = PoolKey.parse(name)
        shares = self.house.state.shares
        used = sum(
            min(self.house.demands[agent][class_].used, drawn.drawn.get(key, 0))
            for agent, classes in shares.items()
            for class_, drawn in classes.items()
        )
        return used + bound.opened(self.house.state, key)

    def refused(self, class_: str, at: str = "hq") -> int:
        """How many refusals of a class were counted."""
        return self.branches[at].seats.counts()[class_].refused

    def told(self, at: str = "hq") -> list[tuple[str, str, str | None]]:
        """What history heard since the last time: object, what happened, code."""
        events = self.branches[at].seats.drain_events()
        return [(event.object, event.event, event.code) for event in events]

    def restart(self, at: str = "hq") -> None:
        """A crash: the stored record and the stored uses are all that is left."""
        branch = self.branches[at]
        uses = list(branch.stored.values())
        record = records.decode(records.encode(branch.record), self.now)
        seats = Seats(record.policy)
        seats.lend(records.limits(record, 13), self.now, synced=record.synced)
        seats.restore([(use.seat, use.kind) for use in uses], self.now, self.now + 3_600_000)
        fresh = Uses(seats, uses)
        self.branches[at] = Branch(record, seats, fresh, Calls(fresh), Clients(fresh), branch.stored)
        self.settle()
