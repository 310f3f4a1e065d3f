"""What a scenario answers: each step with its code and what it drew, the pools at the end, the warnings.

Plain structs: the command prints them as JSON under the names of their fields (docs/simulate.md).
"""

from collections.abc import Iterator, Mapping

import msgspec

from licensing import codes
from licensing.codes import Code, Refusal
from licensing.demand import PoolKey
from licensing.files import inventory
from licensing.lender import bound
from licensing.named.assignment import Assignment
from licensing.rules import LicenceWarning
from licensing.scenario.house import House
from licensing.state import State

Units = dict[str, int]


class Named(msgspec.Struct, frozen=True):
    """A licence that an object got or lost by a step, because of what is assigned to it."""

    object: str
    pbx: str
    licence: str


class StepAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step: the units it drew and gave back, by pool; `why` and `hint` where the answer is no.

    `gained` and `lost` are assignments that got or lost their unit by it.
    """

    step: int
    ok: bool
    code: Code | None
    drew: Units
    gave: Units = {}
    why: str = ""
    hint: str = ""
    gained: tuple[Named, ...] = ()
    lost: tuple[Named, ...] = ()


class PoolAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pool at the software of its place; `surplus` are units in use beyond what is usable."""

    installed: int
    usable: int
    used: int
    free: int
    surplus: int = 0
    reason: Code | None = None
    why: str = ""


class RefusedLicence(msgspec.Struct, frozen=True):
    """A row of `licences`, from 1, that could not be installed; the rest of the scenario is without it."""

    licence: int
    type: str
    code: Code
    why: str
    hint: str


class Surplus(msgspec.Struct, frozen=True):
    """An object registered beyond what is licensed: nobody cuts it, the newest leave first (L.r31)."""

    object: str
    pbx: str


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole answer."""

    steps: tuple[StepAnswer, ...]
    pools: dict[str, PoolAnswer]
    warnings: tuple[dict[str, str | int], ...]
    refused: tuple[RefusedLicence, ...] = ()
    surplus: tuple[Surplus, ...] = ()


def step_answer(
    number: int, refusal: Refusal | None, before: Mapping[PoolKey, int], after: Mapping[PoolKey, int]
) -> StepAnswer:
    """The answer to a step, from the units in use before it and after."""
    return StepAnswer(
        step=number,
        ok=refusal is None,
        code=None if refusal is None else refusal.code,
        drew=_more(before, after),
        gave=_more(after, before),
        why="" if refusal is None else refusal.sentence,
        hint="" if refusal is None else refusal.hint,
    )


def _more(before: Mapping[PoolKey, int], after: Mapping[PoolKey, int]) -> Units:
    more = {key: units - before.get(key, 0) for key, units in after.items()}
    return {str(key): units for key, units in sorted(more.items()) if units > 0}


def named(row: Assignment) -> Named:
    """An assignment as it is shown."""
    return Named(row.object, row.pbx, row.licence)


def pools(house: House) -> dict[str, PoolAnswer]:
    """Every pool of which something is installed or in use."""
    used = house.used()
    for key in house.state.pools:
        used[key] = used.get(key, 0) + bound.opened(house.state, key)
    order = {pool: number for number, pool in enumerate(house.catalogue.pools)}
    keys = {*house.state.pools, *(key for key, units in used.items() if units)}
    return {
        str(key): _pool(house.state, key, used.get(key, 0))
        for key in sorted(keys, key=lambda key: (key.place, order[key.pool]))
    }


def _pool(state: State, key: PoolKey, used: int) -> PoolAnswer:
    pool = state.pool(key)
    software = state.software_at(key)
    usable, reason = pool.usable(software), pool.why_unusable(software)
    return PoolAnswer(
        installed=pool.installed,
        usable=usable,
        used=used,
        free=max(0, usable - used),
        surplus=max(0, used - usable),
        reason=reason,
        why="" if reason is None else why_unusable(state, key, reason, software),
    )


def why_unusable(state: State, key: PoolKey, reason: Code, software: int) -> str:
    """Why none of a pool's units counts, with what would have to go or come (L.r5, L.r15)."""
    if reason is Code.LICENCE_VERSION_TOO_LOW:
        low = ", ".join(f"{row.count} {row.type}" for row in state.outgrown([key], software))
        return f"Software {software} needs newer licences; in the way: {low}"
    missing = state.pool(key).missing
    return f"{codes.sentence(reason)}; {missing} missing" if missing else codes.sentence(reason)


def warnings(state: State) -> Iterator[dict[str, str | int]]:
    """What is wrong and refuses nothing, as the contract writes it."""
    for each in inventory.warnings(state):
        yield _warning(each)


def _warning(each: LicenceWarning) -> dict[str, str | int]:
    if each.code is Code.TIER_BASE_MISSING:
        numbers = {"tier": each.tier, "have": each.have, "need": each.need}
        return {"code": str(each.code), "pool": each.pool, **numbers}
    return {"code": str(each.code), "type": each.type}


def surplus(house: House) -> Iterator[Surplus]:
    """Who would have to leave, newest first at each PBX."""
    for pbx, site in house.sites.items():
        for name in site.seats.beyond():
            yield Surplus(name, pbx)
