"""What must hold, looked at after every tick of virtual time and whenever something becomes durable.

The watch keeps its own record: what is durable on each disk (from the transactions themselves), what the
PBXs hold, what was answered to whom. It never asks the services what they think happened.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from licensing import wire
from licensing.ledger import SiteReleased, decode, evolve, replay
from licensing.site import record as records
from licensing.site.occupancy import State as Seat
from licensing.state import State
from runtime.store import Statement
from tests.simulation.services.machines import AgentMachine, MasterMachine
from tests.simulation.services.sip import DOMAIN
from tests.simulation.services.wan import Asked, Told

FAMILY = ("seat", "virtual_seat")
STAYS = {"held", "surplus"}
EXAMINED = {"epoch_old", "seq_old", "hello_needed", "agent_revoked", "clone_suspected"}
GRAIN_US = 60_000  # timers that are due within 10 ms are served together
PATIENCE_MS = 12_000  # for a turn; for a unit it is 2 s (licensing.site.waiting)
LOOK_US = 100_000  # time alone changes something too


class BrokenError(AssertionError):
    """An invariant that does not hold."""


@dataclass
class SiteRecord:
    """What the simulation itself knows of one agent."""

    caps: dict[str, int] = field(default_factory=dict)
    epoch: int = 0
    synced: bool = False
    released: int = 0  # the epoch from which on its share counts again
    floor: dict[str, int] = field(default_factory=dict)
    floor_until_us: int = 0
    live: dict[str, dict[bytes, int]] = field(default_factory=dict)  # user to contact to end, us
    refreshing: dict[str, tuple[int, int]] = field(default_factory=dict)  # user to CSeq, and how long at most
    told: list[tuple[int, str, str]] = field(default_factory=list)  # durable activity: n, object, event
    waits: dict[str, int] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)  # AORs with a binding on disk
    reserved: set[str] = field(default_factory=set)  # objects with a reservation on disk
    longest_s: int = 0
    looked_us: int = 0

    def end_of(self, user: str) -> int:
        """When the last binding of this user ends for the agent, us; 0 when there is none."""
        return max([*self.live[user].values(), self.refreshing.get(user, (0, 0))[1]])


class Watch:
    """The invariants of one world."""

    def __init__(self, master: MasterMachine, agents: Sequence[AgentMachine]) -> None:
        self.master = master
        self.agents = {agent.name: agent for agent in agents}
        self.sites = {agent.name: SiteRecord() for agent in agents}
        self.durable = State()
        self.answers: dict[str, list[bytes]] = {}
        self.denials = 0
        self.possible = {0}
        self.on_record = 0
        self.ticks = 0
        self.holds: Callable[[str, str], bool] = lambda name, user: False  # at the PBX, where nothing is lost
        self._changed = False
        self.lost_history = False
        self.unknowing = False  # a store was set back and has not begun its recovery yet
        master.disk.watch = self.master_committed
        master.answered = self.answered
        for agent in agents:
            agent.disk.watch = partial(self.agent_committed, agent.name)

    # what becomes durable

    def reread(self) -> None:
        """The master's store was set back or lost."""
        rows = self.master.disk.rows("SELECT body FROM event ORDER BY seq")
        self.durable = replay([decode(row[0]) for row in rows], State())
        self.possible = {self.ports()}
        stored = self.master.disk.rows("SELECT agent, body FROM answer")
        self.answers = {agent: [body] for agent, body in stored}
        self.lost_history = self.unknowing = self._changed = True

    def master_committed(self, statements: Sequence[Statement]) -> None:
        """A transaction of the master."""
        self._changed = True
        before = self.durable
        for sql, rows in statements:  # of several changes: an answer goes with what stands before it
            if sql.startswith("INSERT INTO event"):
                for row in rows:
                    self._event(row[4])  # type: ignore[arg-type] # body
            elif sql.startswith("INSERT OR REPLACE INTO answer"):
                for row in rows:
                    self._answer(str(row[0]), row[6])  # type: ignore[arg-type] # body
        if self.durable is not before:
            self.require(self.ports() in self.possible, f"{self.ports()} ports, not one of {self.possible}")

    def _event(self, body: bytes) -> None:
        event, before = decode(body), self.durable
        self.durable = evolve(before, event)
        self._records(before)
        if isinstance(event, SiteReleased):
            self.sites[event.agent].released = event.epoch

    def _answer(self, agent: str, body: bytes) -> None:
        """Audit: an answer and the shares it lends are in one transaction."""
        known = self.answers.setdefault(agent, [])
        known.append(body)
        del known[:-6]
        if b'"master_key"' in body:
            return
        answer = msgspec.json.decode(body, type=wire.Answer)
        self.denials += sum(not denial.recalling for denial in answer.denials.values())
        for class_, grant in answer.shares.items():
            on_record = self.durable.share(agent, class_).granted
            self.require(
                grant.granted == on_record,
                f"{agent} is answered {grant.granted} {class_}, the ledger beside it says {on_record}",
            )

    @property
    def recovering(self) -> bool:
        """Whether the master does not know yet what it has lent."""
        return self.unknowing or self.durable.recovering

    def _records(self, before: State) -> None:
        if self.durable.recovering:
            self.unknowing = False
            return
        for key, holders in self.durable.lent.items():
            lent, usable = sum(holders.values()), self.durable.pool(key).usable(13)
            self.require(
                lent <= max(usable, before.lent_from(key)) or before.recovering,
                f"{lent} of {usable} {key} on record, {before.lent_from(key)} before",
            )

    def agent_committed(self, name: str, statements: Sequence[Statement]) -> None:
        """A transaction of an agent."""
        self._changed = True
        site = self.sites[name]
        news: dict[str, str] = {}
        for sql, rows in statements:
            if sql.startswith("INSERT OR REPLACE INTO share"):
                for row in rows:
                    record = records.decode(row[0], 0)  # type: ignore[arg-type] # body
                    site.caps = {c: records.usable(record, c, 13) for c in record.shares}
                    site.epoch, site.synced = record.epoch, record.synced
            elif sql.startswith("INSERT OR REPLACE INTO activity"):
                for _, body in rows:
                    event = msgspec.msgpack.decode(body, type=wire.Activity)  # type: ignore[arg-type]
                    site.told.append((event.n, event.object, event.event))
                    news[event.object] = event.event
            elif sql.startswith("DELETE FROM binding"):
                site.bound.difference_update(str(row[0]) for row in rows)
            elif sql.startswith("INSERT OR REPLACE INTO binding"):
                site.bound.update(str(row[0]) for row in rows)
            elif sql.startswith("DELETE FROM reservation"):
                site.reserved.difference_update(str(row[0]) for row in rows)
            elif sql.startswith("INSERT OR REPLACE INTO reservation"):
                site.reserved.update(str(row[0]) for row in rows)
        for user, last in news.items():
            known = f"{user}@{DOMAIN}" in site.bound or user in site.reserved
            self.require(known or last not in STAYS, f"history tells {user} {last}, and no disk knows of it")

    def ports(self) -> int:
        """Ports installed, by the durable ledger."""
        return sum(e.count for e in self.durable.entitlements.values() if e.type.startswith("PBX-Port"))

    # what leaves

    def answered(self, asked: Asked, told: Told, position: int) -> None:
        """The master answers: everything that this rests on is durable."""
        if told.status == 200:
            if asked.method == "POST":
                known = self.answers.get(asked.agent, [])
                self.require(told.body in known, f"an answer to {asked.agent} that is not durable leaves")
            return
        code = msgspec.json.decode(told.body, type=wire.Problem).code
        self.require(code != "clone_suspected", f"{asked.agent} is taken for a clone")
        if code in EXAMINED:
            self.require(
                self.durable.position >= position, f"{code} to {asked.agent} rests on what is not durable"
            )

    def speaks(self, name: str, path: str, body: bytes) -> None:
        """An agent asks: after an unclean stop no want has fallen (safety rule 4)."""
        site = self.sites[name]
        if not site.floor or path.endswith("bye"):
            return
        if self.master.loop.now_us >= site.floor_until_us:
            site.floor = {}
            return
        demand = msgspec.json.decode(body, type=wire.Sync).classes
        for class_, units in site.floor.items():
            want = demand[class_].want if class_ in demand else 0
            self.require(want >= units, f"{name} wants {want} {class_} of {units} while in doubt")

    # every tick

    def tick(self) -> None:
        """Use ≤ share ≤ record, Σ shares ≤ capacity or a falling surplus, no dead seats, nobody waits on."""
        self.ticks += 1
        if self._changed:
            self._changed = False
            for name in self.agents:
                self._share(name)
            self._sum()
        now_us = self.master.loop.now_us
        for name, agent in self.agents.items():
            process, site = agent.process, self.sites[name]
            if process is not None and (process.stirred or now_us - site.looked_us > LOOK_US):
                process.stirred, site.looked_us = False, now_us
                self._site(name, agent, now_us)

    def _share(self, name: str) -> None:
        site = self.sites[name]
        if self.recovering or site.epoch < site.released:
            return
        for class_, cap in site.caps.items():
            on_record = self.durable.share(name, class_).granted
            if cap > on_record:
                raise BrokenError(f"{name} may use {cap} {class_}, on record are {on_record}")

    def _site(self, name: str, agent: AgentMachine, now_us: int) -> None:
        site = self.sites[name]
        if agent.open is None:
            return
        seats = agent.open.site.seats
        told = agent.open.conversation.record.epoch >= site.released  # that its site was released
        for class_ in FAMILY:
            occupied, usable = seats.units(class_)
            if occupied > usable or (told and usable > site.caps.get(class_, 0)):
                raise BrokenError(f"{name}: {occupied} {class_} in use, {usable} usable, {site.caps} on disk")
        for user, ends in site.live.items():
            state = seats.state_of(user)
            if state is Seat.FREE and self.holds(name, user):
                raise BrokenError(f"{name}: {user} is registered and nobody counts it")
            if state is Seat.WAITING:
                since = site.waits.setdefault(user, now_us)
                late = now_us - since > PATIENCE_MS * 1_000 + GRAIN_US
                if late and not agent.open.journal.full and not agent.paused:
                    raise BrokenError(f"{name}: {user} waits since {since}")
            else:
                site.waits.pop(user, None)
            if state is Seat.HELD and ends and not agent.paused and now_us > site.end_of(user) + GRAIN_US:
                raise BrokenError(f"{name}: {user} holds a unit, its binding ended at {site.end_of(user)}")

    def _sum(self) -> None:
        """Shares fit the capacity, or a surplus that was on record when the master knew all."""
        counted = [(name, site) for name, site in self.sites.items() if site.epoch >= site.released]
        capacity = self.ports()
        if not self.recovering:
            self.on_record = sum(self.durable.share(name, c).granted for name in self.sites for c in FAMILY)
        total = sum(site.caps.get(class_, 0) for _, site in counted for class_ in FAMILY)
        if total > max(capacity, self.on_record):
            raise BrokenError(f"agents may use {total} of {capacity}, on record were {self.on_record}")

    def require(self, holds: bool, text: str) -> None:
        """Raise with this text unless it holds."""
        if not holds:
            raise BrokenError(text)


def denials_on_record(master: MasterMachine) -> int:
    """Denials in the history, repetitions counted."""
    return int(master.disk.rows("SELECT coalesce(sum(times), 0) FROM denial")[0][0])


def history_of(master: MasterMachine, agent: str) -> list[tuple[int, str, str]]:
    """What the master's history says of an agent's objects."""
    sql = "SELECT n, object, event FROM activity WHERE agent = ? ORDER BY id"
    return [(n, name, event) for n, name, event in master.disk.rows(sql, agent)]


def holders_of(master: MasterMachine, agent: str) -> Counter[str]:
    """Who holds what there by the master's history."""
    rows = master.disk.rows("SELECT upto, body FROM holding WHERE agent = ?", agent)
    upto, listed = rows[0] if rows else (0, "{}")
    found: dict[str, str] = {}
    for held, surplus in json.loads(listed).values():
        found |= dict.fromkeys(held, "held") | dict.fromkeys(surplus, "surplus")
    later = "SELECT object, event FROM activity WHERE agent = ? AND id > ? ORDER BY id"
    for name, event in master.disk.rows(later, agent, upto):
        if event in ("held", "surplus"):
            found[name] = event
        elif event in ("released", "lingering"):
            found.pop(name, None)
    return Counter(f"{name} {state}" for name, state in found.items())
