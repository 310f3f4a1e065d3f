"""What is asked back: idle units when someone needs them, surplus units when a pool has shrunk."""

from collections.abc import Iterable, Sequence, Set

from licensing.demand import PoolKey
from licensing.entitlement import ANY_SOFTWARE
from licensing.lender.claims import Claim, Claims
from licensing.lender.lending import room


def recalled(claims: Claims, agent: str, class_: str) -> int:
    """Units of this share that the agent is asked to give back; 0 while nobody may be lent anything new."""
    state = claims.state
    if state.recovering or state.licences_lost:
        return 0
    own = {key for slot in state.bundle(agent, class_) or () for key in slot}
    share = state.share(agent, class_)
    return max(
        (
            _recalled_at(claims, key, agent, class_) if key in own else held
            for key, held in share.drawn.items()
        ),
        default=0,
    )


def _recalled_at(claims: Claims, key: PoolKey, agent: str, class_: str) -> int:
    """Idle units first, everyone's; only what these do not cover is cut from the newest lent (L.r31)."""
    steps = claims.steps(key, ANY_SOFTWARE)
    if not any(sums.held + sums.kept + sums.unmet > units for units, sums in steps):
        return 0
    everyone = claims.at(key)
    mine = next(claim for claim in everyone if claim[:2] == (agent, class_))
    most = 0
    for step, units in claims.state.pool(key).steps:
        if step > mine.software:
            break
        above = [claim for claim in everyone if claim.software >= step]
        sums = claims.sums(key, step)
        wanted = max(0, sums.held + _asked(claims, key, step, above) - units)
        cut = max(min(mine.idle, max(0, sums.held - units)), min(mine.loose, wanted))
        if sums.held - units > sums.idle:
            cut = mine.idle + _newest(above, sums.held - units - sums.idle).get((agent, class_), 0)
        most = max(most, cut)
    return most


def _asked(claims: Claims, key: PoolKey, step: int, above: Iterable[Claim]) -> int:
    """What everyone needs; who asks finds only what is not kept for others: that counts too (L.r35)."""
    asked: dict[str, int] = {}
    for claim in above:
        if claim.unmet:
            asked[claim.agent] = asked.get(claim.agent, 0) + _useful(claims, key, claim)
    kept = claims.state.kept_for(key, step)
    if not kept or not any(asked.values()):
        return sum(asked.values())
    whole = sum(max(kept.get(name, 0), asked.get(name, 0)) for name in kept.keys() | asked.keys())
    return whole - min(max(0, kept.get(name, 0) - units) for name, units in asked.items() if units)


def _useful(claims: Claims, key: PoolKey, claim: Claim) -> int:
    """The unmet part of a claim that this pool can help: the rest of its bundle must be there too."""
    bundle = claims.state.bundle(claim.agent, claim.class_) or ()
    others = [
        sum(max(0, claims.obtainable(other, claim.agent, claim.software)) for other in slot)
        for slot in bundle
        if key not in slot
    ]
    return min(claim.unmet, *others) if others else claim.unmet


def _newest(holders: Sequence[Claim], units: int) -> dict[tuple[str, str], int]:
    """The newest `units` among those that are not idle, by who holds them."""
    layers = sorted(
        (
            (position, claim.agent, claim.class_, count)
            for claim in holders
            for position, count in _oldest(claim.share.layers, claim.held - claim.idle)
        ),
        reverse=True,
    )
    cut: dict[tuple[str, str], int] = {}
    for _, agent, class_, count in layers:
        taken = min(count, units)
        units -= taken
        cut[agent, class_] = cut.get((agent, class_), 0) + taken
    return cut


def _oldest(layers: Iterable[tuple[int, int]], units: int) -> Iterable[tuple[int, int]]:
    for position, count in layers:
        kept = min(count, units)
        units -= kept
        if kept:
            yield position, kept


def holders_of_idle(claims: Claims, agent: str, class_: str) -> frozenset[str]:
    """Other agents that answer and hold idle units of the pools this class draws from."""
    return frozenset(
        claim.agent
        for slot in claims.state.bundle(agent, class_) or ()
        for key in slot
        for claim in claims.at(key)
        if claim.idle and not claim.silent and claim.agent != agent
    )


def served_by(claims: Claims, keys: Set[PoolKey]) -> frozenset[str]:
    """Agents that answer, need units of these pools and could be lent some now."""
    return frozenset(
        claim.agent
        for key in keys
        for claim in claims.at(key)
        if claim.unmet and room(claims.state, claim.agent, claim.class_)
    )


def holders_of_surplus(claims: Claims, keys: Set[PoolKey]) -> frozenset[str]:
    """Agents that answer and will be asked to give back units of these pools."""
    return frozenset(
        claim.agent
        for key in keys
        for claim in claims.at(key)
        if claim.held and not claim.silent and recalled(claims, claim.agent, claim.class_)
    )
