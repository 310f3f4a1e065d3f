"""One class in numbers, for status and metrics."""

from dataclasses import dataclass

from licensing.site.occupancy import State
from licensing.site.want import Want


@dataclass(frozen=True, slots=True)
class Counts:
    """One class as `pbx-agent status` shows it; `spare` are units here that nobody uses."""

    usable: int
    recall_to: int | None
    used: int
    reserved: int
    waiting: int
    lingering: int
    surplus: int
    marked: int
    spare: int
    refused: int


def counts(want: Want) -> Counts:
    """The numbers of one class."""
    occupancy = want.occupancy
    return Counts(
        usable=occupancy.usable,
        recall_to=occupancy.recall_to,
        used=occupancy.count(State.HELD),
        reserved=occupancy.count(State.RESERVED),
        waiting=occupancy.count(State.WAITING),
        lingering=occupancy.count(State.LINGERING),
        surplus=occupancy.count(State.SURPLUS),
        marked=occupancy.beyond,
        spare=max(0, occupancy.usable - occupancy.occupied),
        refused=want.refused_ever,
    )
