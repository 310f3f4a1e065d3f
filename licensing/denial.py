"""Why an agent got less than its objects need, with the numbers and what would help."""

from licensing import codes
from licensing.claims import Claims, may_grow
from licensing.codes import Code
from licensing.demand import CLASSES, PoolKey
from licensing.installation import MASTER
from licensing.lending import free
from licensing.pool import home
from licensing.state import State
from licensing.wire import Denial


def denial(claims: Claims, agent: str, class_: str, asked: int) -> Denial:
    """The denial of a class of which the agent needs `asked` and has less on record."""
    state = claims.state
    granted = state.share(agent, class_).granted
    code, slot = _cause(state, agent, class_)
    software = state.software_of(agent)
    at_pools = [claim for key in slot for claim in claims.at(key)]
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
        hint=_hint(state, code, slot, class_, software),
    )


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
    software = state.software_of(agent)
    short = next((slot for slot in bundle if all(free(state, key, software) <= 0 for key in slot)), bundle[0])
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
    if key.pool == "standby" and not state.pool(key).installed:
        return Code.STANDBY_SHORT
    return Code.NO_FREE_LICENCE if key.place == MASTER else Code.LOCAL_MODE


def _coming(claims: Claims, agent: str, class_: str) -> int:
    """Units that are free or can be recalled from agents that answer, as whole bundles."""
    state = claims.state
    if not may_grow(state, agent):
        return 0
    software = state.software_of(agent)
    slots = state.bundle(agent, class_) or ()
    return min((sum(max(0, claims.obtainable(key, software)) for key in slot) for slot in slots), default=0)


def _hint(state: State, code: Code, slot: tuple[PoolKey, ...], class_: str, software: int) -> str:
    if code is Code.LICENCE_VERSION_TOO_LOW:
        low = ", ".join(_too_low(state, slot, software))
        return f"Software {software} needs newer licences; in the way: {low}. {codes.hint(code)}"
    if code is Code.STANDBY_SHORT and slot:
        missing = state.pool(slot[0]).missing
        return f"{missing} missing. {codes.hint(code)}" if missing else codes.hint(code)
    if code is Code.NOT_LICENSED and class_ in CLASSES:
        return f"This PBX draws no {class_}: its platform and role in the master's configuration decide."
    return codes.hint(code)


def _too_low(state: State, slot: tuple[PoolKey, ...], software: int) -> list[str]:
    """The installed rows that the software has outgrown (L.r5: the reason names the rows to remove)."""
    return [
        f"{row.count} {row.type}"
        for row in state.entitlements.values()
        if row.serves < software and home(row, state.pbxs, state.settings) in slot
    ]
