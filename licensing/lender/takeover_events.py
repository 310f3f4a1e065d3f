"""A PBX failed, or is back: what an operator says of it, as events of the ledger (3.2, L.r16)."""

from dataclasses import replace

from licensing.event import Event
from licensing.state import State


class PbxFailed(Event, frozen=True):
    """An operator says that this PBX is out of service; `reserved` units by class wait for it."""

    name: str
    reserved: dict[str, int]

    def after(self, state: State) -> State:
        return replace(state, failed={**state.failed, self.name: self.reserved})


class PbxRecovered(Event, frozen=True):
    """It is in service again: what its phones do not need goes back as ever."""

    name: str

    def after(self, state: State) -> State:
        failed = {name: kept for name, kept in state.failed.items() if name != self.name}
        return replace(state, failed=failed)
