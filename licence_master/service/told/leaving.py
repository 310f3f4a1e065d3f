"""Who has to leave when capacity has shrunk: nobody is cut, and the newest holders are named (L.r31)."""

from collections.abc import Mapping, Set

from licence_master.service.past.holdings import Holdings
from licence_master.service.told.reports import LeavingView
from licensing.lender import recall
from licensing.lender.claims import Claims, Demands
from licensing.lender.lending import move
from licensing.state import State


def leaving(state: State, demands: Demands, silent: Set[str], holdings: Holdings) -> list[LeavingView]:
    """The objects in use beyond what is left, by PBX and class, newest first, as far as they are known."""
    state = _moved(state)
    claims = Claims(state, demands, silent)
    return [
        LeavingView(agent, class_, beyond, holdings.newest(agent, class_, beyond))
        for agent, classes in sorted(state.shares.items())
        for class_ in sorted(classes)
        if (beyond := _beyond(claims, agent, class_, holdings)) > 0
    ]


def names(rows: list[LeavingView]) -> Mapping[tuple[str, str], frozenset[str]]:
    """The objects that have to leave, by PBX and class."""
    return {(row.pbx, row.class_): frozenset(row.objects) for row in rows}


def _moved(state: State) -> State:
    """Each share as it is drawn once its agent has synced: nobody leaves for what then comes from elsewhere.

    So it is where a site has got licences of its own, or has given its last one back (L.r23).
    """
    for agent, classes in sorted(state.shares.items()):
        for class_ in sorted(classes):
            state = move(state, agent, class_)
    return state


def _beyond(claims: Claims, agent: str, class_: str, holdings: Holdings) -> int:
    """Objects in use above what the recall leaves; idle units go first and concern nobody."""
    cut = recall.recalled(claims, agent, class_)
    if not cut:
        return 0
    told = claims.demands.get(agent, {}).get(class_)
    used = told.used if told is not None else holdings.count(agent, class_)
    return used - (claims.state.share(agent, class_).granted - cut)
