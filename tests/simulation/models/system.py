"""Every interleaving of one pair of features, with the real cores of agent and master.

The network keeps every message for ever: that is loss, repetition, reordering and any delay at once. Phones
are numbers: an agent's seats are the simulation's matter, here a want may be anything that the rules allow.
"""

from collections.abc import Iterator

from tests.simulation.models.cast import Cast
from tests.simulation.models.conversation import conversation
from tests.simulation.models.promises import broken
from tests.simulation.models.rules import ALL_RULES, Rule
from tests.simulation.models.scenario import Scenario
from tests.simulation.models.troubles import troubles
from tests.simulation.models.world import Step, World


class Model:
    """A scenario with the rules that are in force."""

    def __init__(self, scenario: Scenario, rules: frozenset[Rule] = ALL_RULES) -> None:
        self.cast = Cast(scenario, rules)

    def start(self) -> World:
        """Everyone is enrolled and has said what the scenario begins with."""
        return self.cast.beginning()

    def steps(self, world: World) -> Iterator[Step]:
        """Everything that can happen next."""
        yield from conversation(self.cast, world)
        yield from troubles(self.cast, world)

    def broken(self, before: World, after: World) -> str | None:
        """The first promise that this step breaks, in words."""
        return broken(self.cast, before, after)
