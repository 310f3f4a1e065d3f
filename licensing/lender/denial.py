"""Why an agent got less than its objects need, with the numbers and what would help."""

from licensing import codes
from licensing.codes import Code
from licensing.demand import PoolKey
from licensing.installation import MASTER
from licensing.lender.claims import Claims
from licensing.lender.lending import available, free, too_old
from licensing.state import State
from licensing.wire import Denial

_SHORT = (Code.NO_FREE_LICENCE, Code.IPVA_MISSING)
"""What a shortage is called where no units are kept for anybody."""


def denial(claims: Claims, agent: str, class_: str, asked: int) -> Denial:
    """The denial of a class of which the agent needs `asked` and has less on record."""
    state = claims.state
    granted = state.share(agent, class_).granted
    code, slot = _cause(state, agent, class_)
    if claims.no_room and code is not Code.NOT_LICENSED:
        code = Code.DISK_FULL
    software = state.software_for(agent, class_)
    at_pools = [claim for key in slot for claim in claims.at(key)]
    kept = _kept_for(claims, agent, slot) if code in _SHORT else {}
    if kept:
        code = Code.RESERVED
    used = sum(claim.used for claim in at_pools)
    return Denial(
        asked=asked,
        granted=granted,
        code=code,
        capacity=sum(state.pool(key).usable(software) for key in slot),
        used=used,
        reserved=sum(claim.held for claim in at_pools) - used,
        stranded=sum(claim.idle for claim in at_pools if claim.silent),
        recalling=max(0, min(asked - granted, _coming(claims, agent, class_))),
        hint=_hint(state, code, slot, class_, software, kept),
    )


def short_pool(state: State, agent: str, class_: str) -> str:
    """The name of the pool that is short for this class now, empty where none draws it."""
    _, slot = _cause(state, agent, class_)
    key = next((key for key in slot if state.pool(key).installed), slot[0] if slot else None)
    return str(key) if key is not None else ""


def _cause(state: State, agent: str, class_: str) -> tuple[Code, tuple[PoolKey, ...]]:
    """The code and the slot that was short; the slots are asked in their order (L.r12)."""
    known = state.agents.get(agent)
    bundle = state.bundle(agent, class_)
    if bundle is None:
        return Code.NOT_LICENSED, ()
    if state.recovering:
        return Code.RECOVERING, bundle[0]
    if known is not None and known.standing in ("frozen", "quarantined"):
        return Code.FROZEN, bundle[0]
    if too_old(state, agent, class_):
        return Code.MIN_SOFTWARE, bundle[0]
    software = state.software_for(agent, class_)
    none_left = (slot for slot in bundle if all(available(state, key, agent, software) <= 0 for key in slot))
    short = next(none_left, bundle[0])
    return _code(state, short, software), short


def _code(state: State, slot: tuple[PoolKey, ...], software: int) -> Code:
    if not slot:
        return Code.LOCAL_MODE  # Standby lies on the master only (L.r16)
    key = next((key for key in slot if state.pool(key).installed), slot[0])
    unusable = state.pool(key).why_unusable(software)
    if unusable is not None:
        return unusable
    if free(state, key, 0) > 0 >= free(state, key, software):
        return Code.LICENCE_VERSION_TOO_LOW
    if key.pool == "ipva":
        return Code.IPVA_MISSING
    if key.pool == "relay-channel":
        return Code.RELAY_CHANNELS_EXHAUSTED
    if key.pool == "standby" and not state.pool(key).installed:
        return Code.STANDBY_SHORT
    return Code.NO_FREE_LICENCE if key.place == MASTER else Code.LOCAL_MODE


def _coming(claims: Claims, agent: str, class_: str) -> int:
    """Units that are free or can be recalled from agents that answer, as whole bundles.

    After a start an agent that was not heard yet may have any of its units idle: it is worth a wait.
    """
    state = claims.state
    if not claims.may_grow(agent) or too_old(state, agent, class_):
        return 0
    software = state.software_for(agent, class_)
    slots = state.bundle(agent, class_) or ()
    return min(
        (
            sum(
                max(0, claims.obtainable(key, agent, software)) + _unheard(claims, key, software)
                for key in slot
            )
            for slot in slots
        ),
        default=0,
    )


def _unheard(claims: Claims, key: PoolKey, software: int) -> int:
    """Units held by agents that have said nothing since the start, and for which it is not too late yet."""
    if not claims.state.pool(key).usable(software):
        return 0
    return sum(
        claim.held for claim in claims.at(key) if claim.agent not in claims.demands and not claim.silent
    )


def _kept_for(claims: Claims, agent: str, slot: tuple[PoolKey, ...]) -> dict[str, int]:
    """Units that nobody uses and that are reserved for other PBXs, by PBX (L.r35)."""
    state, found = claims.state, dict[str, int]()
    for key in slot:
        for name, units in state.reserved(key).items():
            if name != agent:
                guarded = sum(claim.guarded for claim in claims.at(key) if claim.agent == name)
                idle = max(0, units - state.lent.get(key, {}).get(name, 0)) + guarded
                found[name] = found.get(name, 0) + idle
    return {name: units for name, units in found.items() if units}


def _hint(
    state: State,
    code: Code,
    slot: tuple[PoolKey, ...],
    class_: str,
    software: int,
    kept: dict[str, int],
) -> str:
    if code is Code.RESERVED:
        names = ", ".join(f"{units} for {name}" for name, units in kept.items())
        return f"Reserved and not in use: {names}. {codes.hint(code)}"
    if code is Code.LICENCE_VERSION_TOO_LOW:
        low = ", ".join(f"{row.count} {row.type}" for row in state.outgrown(slot, software))
        return f"Software {software} needs newer licences; in the way: {low}. {codes.hint(code)}"
    if code is Code.STANDBY_SHORT and slot:
        missing = state.pool(slot[0]).missing
        return f"{missing} missing. {codes.hint(code)}" if missing else codes.hint(code)
    if code is Code.NOT_LICENSED and class_ in state.classes:
        return f"This PBX draws no {class_}: its platform and role in the master's configuration decide."
    return codes.hint(code)
