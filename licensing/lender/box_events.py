"""What became of the MAC of a box, as events of the ledger: it is proven, or there is doubt (1.4, L.r36)."""

from dataclasses import replace

from licensing.box.judged import Judged
from licensing.box.sighting import MacState, Proof
from licensing.event import Event
from licensing.state import State


class _MacJudged(Event, frozen=True):
    """`elsewhere` are the PBXs whose boxes show this MAC too; `why` is one sentence for people."""

    pbx: str
    mac: str
    state: MacState
    proof: Proof = ""
    seen: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    why: str = ""

    @property
    def judged(self) -> Judged:
        """The judgement as a value."""
        return Judged(self.mac, self.state, self.proof, self.seen, self.elsewhere, self.why)

    def after(self, state: State) -> State:
        return replace(state, boxes={**state.boxes, self.pbx: self.judged}).restocked()


class MacProven(_MacJudged, frozen=True):
    """The box of this PBX has its MAC: what is bound to it counts."""


class MacDoubted(_MacJudged, frozen=True):
    """It was not proven, or something speaks against it; the policy of the PBX says what that changes."""
