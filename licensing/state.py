"""The state of one installation's ledger: what is owned, who is enrolled, what is lent to whom.

A State is a value: events make a new one. Beside what the events say it carries what follows from them
(pools, local places, lent units per pool), so that a decision reads and never adds up.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from licensing.box.judged import Judged, doubt
from licensing.demand import Classes, PoolKey, allowed, slots
from licensing.entitlement import Entitlement
from licensing.files.document import Document, Revocations
from licensing.installation import MASTER, Pbx, Settings
from licensing.named.assignment import Ground, Rolls, settled
from licensing.named.kinds import Named
from licensing.pool import Pool, box_of, empty_pool, home, master_name, reservations, stock
from licensing.rules import local_places
from licensing.terms.book import Book

Standing = Literal["good", "alert", "frozen", "quarantined"]


@dataclass(frozen=True, slots=True)
class Agent:
    """An enrolled agent; `public_key` base64, `software` as it last reported, or None."""

    name: str
    public_key: str
    epoch: int
    software: int | None = None
    revoked: bool = False
    standing: Standing = "good"


@dataclass(frozen=True, slots=True)
class Share:
    """The units of one class on record for one agent.

    `drawn` says from which pools, `layers` when they were lent: (ledger position, units), oldest first.
    """

    granted: int = 0
    max_software: int = 0
    drawn: Mapping[PoolKey, int] = field(default_factory=dict)
    layers: tuple[tuple[int, int], ...] = ()

    def changed(
        self, granted: int, max_software: int, drawn: Mapping[PoolKey, int], position: int
    ) -> "Share":
        """This share after a decision at this ledger position; the newest units leave first (L.r31)."""
        layers = self.layers
        if granted > self.granted:
            layers = (*layers, (position, granted - self.granted))
        falling = self.granted - granted
        while falling > 0:
            at, units = layers[-1]
            layers = layers[:-1] if units <= falling else (*layers[:-1], (at, units - falling))
            falling -= min(units, falling)
        return Share(granted, max_software, drawn, layers)


NO_SHARE = Share()
Shares = Mapping[str, Mapping[str, Share]]
Lent = Mapping[PoolKey, Mapping[str, int]]
Bundle = tuple[tuple[PoolKey, ...], ...]


@dataclass(frozen=True, slots=True)
class State:
    """Everything the ledger says, after `position` events.

    `waiting` are the agents that a recovery still waits for, `heard` those of them that said hello in it,
    `released` those that an operator released in it; nothing new is lent while anyone is waited for.
    `roster_complete` is False while a store made anew has learned no roster; an agent not in it may exist.
    `licences_lost` says that a store made anew has not seen an installation yet, so it recalls nothing.
    `documents` are all files ever installed, by id; `revocations` by the key id of the root that signed them;
    `spent` the files whose upgrade licences were used up (L.r18). `failed` are the PBXs that an operator
    called so, each with the units by class that stay reserved for it (L.r16).
    `named` are the licences that are assigned to a name, `rolls` who has which, of `assigned` assignments
    that were ever made. `classes` are those that shares may be of. `book` is what ends and what is paid: SSA,
    credits, devices, reminders. `boxes` is, by PBX, what is held of the MACs of those that licences are
    `bound` to.
    """

    position: int = 0
    instance: str = ""
    term: int = 0
    settings: Settings = field(default_factory=Settings)
    pbxs: Mapping[str, Pbx] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    entitlements: Mapping[int, Entitlement] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    roster_version: int = 0
    roster: Mapping[str, str] = field(default_factory=dict)
    roster_complete: bool = True
    shares: Shares = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    heard: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()
    licences_lost: bool = False
    documents: Mapping[str, Document] = field(default_factory=dict)
    revocations: Mapping[str, Revocations] = field(default_factory=dict)
    spent: frozenset[str] = frozenset()
    failed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    named: Named = field(default_factory=dict)
    classes: Classes = field(default_factory=dict)
    assigned: int = 0
    rolls: Rolls = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    boxes: Mapping[str, Judged] = field(default_factory=dict)
    # what follows from the above
    pools: Mapping[PoolKey, Pool] = field(default_factory=dict)
    local: frozenset[str] = frozenset()
    bound: frozenset[str] = frozenset()
    lent: Lent = field(default_factory=dict)
    # answers given before, for as long as nothing changes that they rest on (see `restocked`)
    _software: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    _bundles: dict[tuple[str, str], Bundle | None] = field(default_factory=dict, compare=False, repr=False)
    _reach: dict[PoolKey, frozenset[tuple[str, str]]] = field(default_factory=dict, compare=False, repr=False)
    _ground: Ground | None = field(default=None, compare=False, repr=False)
    _reserved: dict[PoolKey, Mapping[str, int]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def recovering(self) -> bool:
        """Whether some agent has still to say hello before anything new is lent."""
        return bool(self.waiting)

    @property
    def master_software(self) -> int:
        """The software of the master PBX, at which the master's pools are counted."""
        return self.software_of(master_name(self.pbxs))

    def software_of(self, name: str) -> int:
        """The release that a PBX runs: as its agent reported, else configured, else the installation's."""
        software = self._software.get(name)
        if software is None:
            software = self._software[name] = self._software_of(name)
        return software

    def _software_of(self, name: str) -> int:
        agent = self.agents.get(name)
        if agent is not None and agent.software is not None:
            return agent.software
        pbx = self.pbxs.get(name)
        if pbx is not None and pbx.software is not None:
            return pbx.software
        return self.settings.software

    def software_for(self, name: str, class_: str) -> int:
        """The release that a PBX's units of this class must serve; 0 where each client is compared (L.r4)."""
        demand = self.classes.get(class_)
        return 0 if demand is not None and demand.by_client else self.software_of(name)

    def software_at(self, key: PoolKey) -> int:
        """The release for which a pool's units are counted: its place's; 0 where clients are compared."""
        if self.compares_clients(key.pool):
            return 0
        return self.master_software if key.place == MASTER else self.software_of(key.place)

    def compares_clients(self, pool: str) -> bool:
        """Whether the units of a pool are compared with the software of clients, not of PBXs (L.r4)."""
        return any(each.by_client and pool in each.pools for each in self.classes.values())

    def place_of(self, name: str) -> str:
        """Where a PBX draws: at itself in local mode, else at the master (1.2, L.r22, L.r23)."""
        return name if name in self.local else MASTER

    def bundle(self, name: str, class_: str) -> Bundle | None:
        """The pools that class draws from at this PBX; None for a class this PBX may not draw."""
        try:
            return self._bundles[name, class_]
        except KeyError:
            bundle = self._bundles[name, class_] = self._bundle(name, class_)
            return bundle

    def _bundle(self, name: str, class_: str) -> Bundle | None:
        pbx = self.pbxs.get(name)
        demand = self.classes.get(class_)
        if pbx is None or demand is None or not allowed(demand, pbx):
            return None
        place = self.place_of(name)
        ipva_place = name if self.settings.ipva_binding == "consumer" else place
        return slots(demand, place, name, ipva_place)

    def reach(self, key: PoolKey) -> frozenset[tuple[str, str]]:
        """The PBXs that may draw from a pool, each with the class it does so for."""
        reach = self._reach.get(key)
        if reach is None:
            pairs = ((name, class_) for name in self.pbxs for class_ in self.classes)
            reach = frozenset(pair for pair in pairs if any(key in slot for slot in self.bundle(*pair) or ()))
            self._reach[key] = reach
        return reach

    def reserved(self, key: PoolKey) -> Mapping[str, int]:
        """Units of a pool that are reserved, by PBX: in the order of the configuration, as far as they go.

        Where capacity falls below what is reserved, the PBXs named last lose first (L.r31, L.r35).
        """
        found = self._reserved.get(key)
        if found is None:
            found = self._reserved[key] = reservations(
                self.pbxs, self.local, self.pool(key), self.software_of
            )
        return found

    def kept_for(self, key: PoolKey, software: int = 0) -> Mapping[str, int]:
        """Units reserved for PBXs with this software or newer and not lent to them yet, by PBX."""
        reserved = self.reserved(key)
        if not reserved:
            return reserved
        lent = self.lent.get(key, {})
        return {
            name: units - lent.get(name, 0)
            for name, units in reserved.items()
            if units > lent.get(name, 0) and self.software_of(name) >= software
        }

    def pool(self, key: PoolKey) -> Pool:
        """The pool of this key, an empty one where nothing is installed."""
        return self.pools.get(key) or empty_pool(key)

    def share(self, agent: str, class_: str) -> Share:
        """What is on record for this agent and class."""
        return self.shares.get(agent, {}).get(class_, NO_SHARE)

    def lent_from(self, key: PoolKey, software: int = 0) -> int:
        """Units of a pool on record as lent, to PBXs that run this software or newer."""
        holders = self.lent.get(key, {})
        if not software:
            return sum(holders.values())
        return sum(units for name, units in holders.items() if self.software_of(name) >= software)

    def outgrown(self, keys: Collection[PoolKey], software: int) -> list[Entitlement]:
        """The installed rows that feed these pools and do not serve this software (L.r5: rows to remove)."""
        return [
            row
            for row in self.entitlements.values()
            if row.serves < software and home(row, self.pbxs, self.settings) in keys
        ]

    @property
    def rental(self) -> bool:
        """Whether any installed unit is rented."""
        return any(each.rental is not None for each in self.entitlements.values())

    def holds_share(self, agent: str) -> bool:
        """Whether anything is on record for this agent."""
        return any(share.granted for share in self.shares.get(agent, {}).values())

    def restocked(self) -> "State":
        """This state with its pools and local places counted anew, and its assignments settled on them.

        Rented units count while iSC are left to pay them, bound ones while their MAC is believed; where they
        lie is in local mode all the same.
        """
        rows = self.entitlements.values()
        boxes = (box_of(each, self.pbxs, self.settings) for each in rows)
        bound = frozenset(box for box in boxes if box is not None)
        state = replace(
            self, local=local_places(rows), bound=bound, _software={}, _bundles={}, _reach={}, _reserved={}
        )
        counting = [each for each in rows if each.rental is None or self.book.isc > 0]
        doubts = {name: code for name in bound if (code := doubt(self.pbxs[name], self.boxes.get(name)))}
        pools = stock(counting, self.pbxs, self.settings, state.master_software, doubts)
        state = replace(state, pools=pools, _reserved={})
        return (
            state.resettled(self.rolls, state.ground().touched_since(self._ground)) if self.rolls else state
        )

    def resettled(
        self,
        rolls: Rolls,
        touched: Collection[str] | None = None,
        fresh: Mapping[str, Sequence[int]] = MappingProxyType({}),
    ) -> "State":
        """This state with these rolls, each unit where the rules want it (see `settled`)."""
        ground = self.ground()
        return replace(self, rolls=settled(ground, rolls, touched, fresh), _ground=ground)

    def ground(self) -> Ground:
        """What assignments are decided on."""
        return Ground(
            self.named,
            {name: self.software_of(name) for name in self.pbxs},
            {name: self.place_of(name) for name in self.pbxs},
            self.pools,
        )

    def with_share(self, agent: str, class_: str, share: Share) -> "State":
        """This state with another share on record; the lent units of its pools follow."""
        old = self.share(agent, class_)
        lent = dict(self.lent)
        for key in {*old.drawn, *share.drawn}:
            difference = share.drawn.get(key, 0) - old.drawn.get(key, 0)
            if difference:
                lent[key] = _with_units(lent.get(key, {}), agent, difference)
        classes = {**self.shares.get(agent, {}), class_: share}
        kept = {name: kept for name, kept in classes.items() if kept.granted}
        return replace(self, shares={**self.shares, agent: kept}, lent=lent)


def _with_units(holders: Mapping[str, int], agent: str, difference: int) -> Mapping[str, int]:
    changed = dict(holders)
    changed[agent] = changed.get(agent, 0) + difference
    if not changed[agent]:
        del changed[agent]
    return changed
