"""What one model explores: who is there, what is installed, how it began, and what may happen how often."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from licensing.installation import Pbx
from tests.simulation.models.rules import Rule


class Budget(NamedTuple):
    """How often each trouble may still happen."""

    crashes: int = 0  # an agent dies and starts again
    hints: int = 0  # an unsigned answer makes an agent say hello
    restarts: int = 0  # a master dies and starts again
    shrinks: int = 0  # a licence is removed
    losses: int = 0  # the master's store is gone; `serve` makes a new one
    backups: int = 0  # a backup is taken
    restores: int = 0  # the backup replaces today's store
    doubles: int = 0  # the backup is served beside today's master
    releases: int = 0  # an operator takes a share back
    clones: int = 0  # an agent's directory is copied and a second agent started
    snapshots: int = 0  # an agent's directory is saved
    rewinds: int = 0  # and put back
    fails: int = 0  # a standby takes a PBX for failed, rightly or not


class Said(NamedTuple):
    """One exchange before the model begins: the agent asks for `want` and registers `phones`."""

    agent: int
    want: int
    phones: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One pair of features, its sizes, and the rules without which it must break.

    `covered` are rules that the model does not miss, all left out at once: others of them do the same.
    `sends` is how many new contents each agent may send; `larger` the same for `make chaos`.
    """

    name: str
    budget: Budget
    rules: tuple[Rule, ...]
    covered: tuple[Rule, ...] = ()
    pbxs: tuple[Pbx, ...] = (Pbx("lyon"), Pbx("nice"))
    classes: tuple[str, ...] = ("seat", "seat")
    stock: Mapping[str, int] = field(default_factory=lambda: {"PBX-Port13": 2})
    shrinks: str = "PBX-Port13"
    said: tuple[Said, ...] = ()
    sends: tuple[int, ...] = (2, 2)
    larger: tuple[int, ...] = ()
    wants: int = 2
    struck: tuple[int, ...] = (0,)
    """The agents to whom troubles happen; to the others none do."""
    phones: bool = True
    """Without phones a want may be anything, and what the agents may use is all that counts."""
    idle: bool = False
    """Whether units may be wanted that nobody needs, so that they are recalled for others."""
