"""What a master holds of the MAC of each box, from what all agents see; the ledger keeps it (L.r36)."""

from dataclasses import dataclass

from licensing.box.sighting import CODES, GOOD, MacState, Proof
from licensing.codes import Code
from licensing.installation import Pbx


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgement on `mac`: `seen` was in its place, `elsewhere` are the PBXs whose boxes show it too."""

    mac: str
    state: MacState
    proof: Proof = ""
    seen: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    why: str = ""


def state_of(pbx: Pbx, judged: Judged | None) -> MacState:
    """The state of the MAC that the PBX has now; a judgement on another one says nothing."""
    if not pbx.mac:
        return "unprovable"
    return judged.state if judged is not None and judged.mac == pbx.mac else "unseen"


def trouble(pbx: Pbx, judged: Judged | None) -> Code | None:
    """Why its MAC is not believed, whether or not that counts; None: it is."""
    state = state_of(pbx, judged)
    return None if state in GOOD else CODES[state]


def doubt(pbx: Pbx, judged: Judged | None) -> Code | None:
    """Why licences that are bound to this box do not count; None: they do."""
    return None if state_of(pbx, judged) in pbx.tolerates else trouble(pbx, judged)
