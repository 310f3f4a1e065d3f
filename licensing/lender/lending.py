"""How one agent's share falls, moves and grows: arithmetic on the pools its units are drawn from.

Every function returns a state; nothing here looks at what other agents need, only at what is free.
"""

from collections.abc import Iterable

from licensing.demand import DemandClass, PoolKey, slots
from licensing.state import Bundle, Share, State


def free(state: State, key: PoolKey, software: int) -> int:
    """Units of a pool that a PBX with this software could be lent now; negative: so many are surplus.

    For every release s up to the software, holders that run s or newer never exceed what serves s (L.r6).
    """
    return min(
        units - state.lent_from(key, step) for step, units in state.pool(key).steps if step <= software
    )


def available(state: State, key: PoolKey, agent: str, software: int) -> int:
    """Units of a pool that this agent could be lent now: what is free and not kept for others (L.r35)."""
    return min(
        units - state.lent_from(key, step) - kept_from(state, key, agent, step)
        for step, units in state.pool(key).steps
        if step <= software
    )


def kept_from(state: State, key: PoolKey, agent: str, software: int) -> int:
    """Units kept for others than this agent that run this software or newer."""
    kept = state.kept_for(key, software)
    return sum(kept.values()) - kept.get(agent, 0)


def room(state: State, agent: str, class_: str) -> int:
    """Units of a class that the agent could be lent now: whole bundles only (L.r12).

    None while some of its units are surplus: drawn elsewhere than it draws now, or above what is installed
    (L.r31: nothing new is granted until used < usable).
    """
    bundle = state.bundle(agent, class_)
    if bundle is None or too_old(state, agent, class_) or surplus_draws(state, agent, class_):
        return 0
    software = state.software_for(agent, class_)
    return min(sum(max(0, available(state, key, agent, software)) for key in slot) for slot in bundle)


def too_old(state: State, agent: str, class_: str) -> bool:
    """Whether the PBX runs a software that this class is not for (7.2, L.r7)."""
    demand = state.classes.get(class_)
    return demand is not None and state.software_of(agent) < demand.min_software


def surplus_draws(state: State, agent: str, class_: str) -> bool:
    """Whether a pool that this share draws from is not its own any more, or holds too little for it."""
    bundle = state.bundle(agent, class_)
    software = state.software_for(agent, class_)
    own = {key for slot in bundle or () for key in slot}
    drawn = state.share(agent, class_).drawn
    return any(key not in own or free(state, key, software) < 0 for key in drawn)


def fall(state: State, agent: str, class_: str, granted: int) -> State:
    """The share comes down to `granted`; units drawn elsewhere or above capacity go back first."""
    share = state.share(agent, class_)
    if granted >= share.granted:
        return state
    bundle = state.bundle(agent, class_) or ()
    software = state.software_for(agent, class_)
    drawn = dict(share.drawn)
    for slot in _by_slot(state.classes[class_], drawn):
        last_first = sorted(slot, key=lambda key: _return_order(state, key, bundle, software))
        _take_away(drawn, last_first, share.granted - granted)
    return state.with_share(agent, class_, share.changed(granted, share.max_software, drawn, state.position))


def move(state: State, agent: str, class_: str) -> State:
    """Units drawn elsewhere are drawn where the PBX draws now, as far as something is free there (L.r23).

    So are those above what a pool has left, where another pool of the family has more: a phone on a removed
    SMB-Port is no reason to leave a Port unused (L.r31).
    """
    bundle = state.bundle(agent, class_)
    share = state.share(agent, class_)
    if bundle is None or not surplus_draws(state, agent, class_):
        return state
    software = state.software_for(agent, class_)
    drawn = dict(share.drawn)
    for slot, keys in zip(bundle, _by_slot(state.classes[class_], drawn), strict=True):
        leaving = {
            key: min(drawn[key], max(0, -free(state, key, software))) if key in slot else drawn[key]
            for key in keys
        }
        there = sum(max(0, available(state, key, agent, software)) for key in slot)
        moving = min(sum(leaving.values()), there)
        left = moving
        for key, units in leaving.items():
            gone = min(units, left)
            _take_away(drawn, [key], gone)
            left -= gone
        _draw(state, drawn, slot, moving, agent, software)
    changed = share.changed(share.granted, share.max_software, drawn, state.position)
    return state.with_share(agent, class_, changed)


def grow(state: State, agent: str, class_: str, units: int) -> State:
    """The share grows by `units` whole bundles, or by as many as there is room for."""
    units = min(units, room(state, agent, class_))
    if units <= 0:
        return state
    return _drawn(state, agent, class_, units, state.bundle(agent, class_) or ())


def adopt(state: State, agent: str, class_: str, granted: int, max_software: int) -> State:
    """Put on record what an agent has proved to hold, whether or not it is installed (protocol rule 3)."""
    share = state.share(agent, class_)
    if granted <= share.granted or class_ not in state.classes:
        return state
    bundle = state.bundle(agent, class_)
    if not bundle or not all(bundle):
        bundle = slots(state.classes[class_], "", agent, "")
    grown = _drawn(state, agent, class_, granted - share.granted, bundle)
    share = grown.share(agent, class_)
    return grown.with_share(
        agent, class_, Share(granted, max(share.max_software, max_software), share.drawn, share.layers)
    )


def stamp(state: State, agent: str, class_: str) -> int:
    """The highest release that all units of this share serve: its `max_software`.

    In a mixed pool under `lenient` it is the agent's own software, once the share fits there. A pool of
    which nothing is installed leaves the stamp as it was; where clients are compared there is nothing to
    compare them with (0), so that they hear of the missing licences and not of their release.
    """
    share = state.share(agent, class_)
    software = state.software_for(agent, class_)
    keys = share.drawn or {slot[0]: 0 for slot in state.bundle(agent, class_) or () if slot}
    return min((_stamp_of(state, key, software, share.max_software) for key in keys), default=0)


def _stamp_of(state: State, key: PoolKey, software: int, before: int) -> int:
    pool = state.pool(key)
    if not pool.installed:
        unknown = state.recovering or state.licences_lost
        return 0 if state.compares_clients(key.pool) and not unknown else before
    if state.settings.mixed_versions == "strict" or pool.lowest >= software:
        return pool.lowest
    return software if free(state, key, software) >= 0 else min(before, software - 1)


def _drawn(state: State, agent: str, class_: str, units: int, bundle: Bundle) -> State:
    share = state.share(agent, class_)
    drawn = dict(share.drawn)
    for slot in bundle:
        _draw(state, drawn, slot, units, agent, state.software_for(agent, class_))
    changed = share.changed(share.granted + units, share.max_software, drawn, state.position)
    return state.with_share(agent, class_, changed)


def _draw(
    state: State,
    drawn: dict[PoolKey, int],
    slot: tuple[PoolKey, ...],
    units: int,
    agent: str,
    software: int,
) -> None:
    """Draw units from the first sources that have some; what nobody has is put on the first one installed."""
    for key in slot:
        taken = min(units, max(0, available(state, key, agent, software)))
        if taken:
            drawn[key] = drawn.get(key, 0) + taken
            units -= taken
    if units:
        key = next((key for key in slot if state.pool(key).installed), slot[0])
        drawn[key] = drawn.get(key, 0) + units


def _take_away(drawn: dict[PoolKey, int], keys: Iterable[PoolKey], units: int) -> None:
    for key in keys:
        taken = min(units, drawn[key])
        units -= taken
        drawn[key] -= taken
        if not drawn[key]:
            del drawn[key]


def _by_slot(demand: DemandClass, drawn: dict[PoolKey, int]) -> list[list[PoolKey]]:
    """The drawn pools by the slot of the class that they serve, wherever they lie."""
    pools = [{source.pool for source in slot} for slot in demand.slots]
    return [[key for key in drawn if key.pool in names] for names in pools]


def _return_order(state: State, key: PoolKey, bundle: Bundle, software: int) -> tuple[bool, bool, int]:
    """Foreign pools first, then those that hold too little, then the least preferred."""
    rank = next((slot.index(key) for slot in bundle if key in slot), -1)
    return rank >= 0, free(state, key, software) >= 0, -rank
