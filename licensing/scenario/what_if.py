"""What an upgrade would do to the licences that are there, before anybody upgrades: the live rules on a copy.

Nothing is changed: a state is a value, and its events are tried on it (decision 12, L.V13).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

from licensing.demand import PoolKey
from licensing.entitlement import Entitlement
from licensing.ledger import AnyEvent, PbxChanged, Removed, SoftwareReported, replay
from licensing.named.assignment import Assignment, moved
from licensing.state import State


@dataclass(frozen=True, slots=True)
class RowInTheWay:
    """Installed units that do not serve the new software."""

    type: str
    count: int
    place: str


@dataclass(frozen=True, slots=True)
class PoolThen:
    """A pool now and after the upgrade; `cleaned` is what is usable once the rows in the way are removed.

    `surplus` units are lent beyond what would be usable: nobody is cut, and nothing new is lent (L.r31).
    """

    pool: str
    installed: int
    now: int
    then: int
    cleaned: int
    surplus: int
    in_the_way: tuple[RowInTheWay, ...]


@dataclass(frozen=True, slots=True)
class AssignedThen:
    """An assigned licence that would lose its unit, or get one."""

    object: str
    pbx: str
    licence: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer: which PBXs would run what, every pool they draw from, and whose assignments change."""

    software: int
    pbxs: tuple[str, ...]
    pools: tuple[PoolThen, ...]
    lost: tuple[AssignedThen, ...]
    gained: tuple[AssignedThen, ...]


def what_if(state: State, software: int, pbx: str = "") -> WhatIf:
    """What happens when a PBX of the configuration, or without a name every one, runs this release."""
    names = (pbx,) if pbx else tuple(state.pbxs)
    after = replay(list(_upgraded(state, names, software)), state)
    gained, lost = moved(state.rolls, after.rolls)
    return WhatIf(
        software=software,
        pbxs=names,
        pools=tuple(_pool(state, after, key, pbx) for key in _drawn_from(after, pbx)),
        lost=tuple(_assigned(row) for _, row in lost),
        gained=tuple(_assigned(row) for _, row in gained),
    )


def _upgraded(state: State, names: Collection[str], software: int) -> Iterator[AnyEvent]:
    for name in names:
        if name in state.agents:
            yield SoftwareReported(name, software)
        else:
            yield PbxChanged(msgspec.structs.replace(state.pbxs[name], software=software))


def _drawn_from(state: State, pbx: str) -> list[PoolKey]:
    """All pools, or those at the place where one PBX draws and at its own box."""
    places = {state.place_of(pbx), pbx}
    return sorted(key for key in state.pools if not pbx or key.place in places)


def _pool(state: State, after: State, key: PoolKey, pbx: str) -> PoolThen:
    software = _software(after, key, pbx)
    rows = after.outgrown([key], software)
    then, cleaned = after.pool(key).usable(software), _without(after, rows).pool(key).usable(software)
    lent = after.lent.get(key, {}).get(pbx, 0) if pbx else after.lent_from(key)
    return PoolThen(
        pool=str(key),
        installed=after.pool(key).installed,
        now=state.pool(key).usable(_software(state, key, pbx)),
        then=then,
        cleaned=cleaned,
        surplus=max(0, lent - then),
        in_the_way=tuple(RowInTheWay(row.type, row.count, row.place) for row in rows)
        if cleaned > then
        else (),
    )


def _software(state: State, key: PoolKey, pbx: str) -> int:
    """The release that a pool is counted for: that of the PBX in question, else of the pool's place."""
    if pbx and not state.compares_clients(key.pool):
        return state.software_of(pbx)
    return state.software_at(key)


def _without(state: State, rows: Collection[Entitlement]) -> State:
    return replay([Removed(row.number, row.count) for row in rows], state)


def _assigned(row: Assignment) -> AssignedThen:
    return AssignedThen(row.object, row.pbx, row.licence)
