"""Visit every state of a model, breadth first, so that the trail to a broken rule is a shortest one."""

import gc
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

What = tuple[str | int, ...]
"""What happens in a step, as a template and its values: formatted only for a trail."""

W = TypeVar("W", bound=Hashable)


class Model(Protocol[W]):
    """A world that steps change, and what may never be."""

    def start(self) -> W:
        """The world before anything happens."""

    def steps(self, world: W) -> Iterator[tuple[What, W]]:
        """Everything that can happen next."""

    def broken(self, before: W, after: W) -> str | None:
        """What this step broke, in words, or None."""


@dataclass(frozen=True, slots=True)
class Exploration(Generic[W]):
    """How many states there are, and the shortest trail to a broken one where there is one."""

    states: int
    trail: tuple[str, ...] = ()
    broken: str | None = None

    def __str__(self) -> str:
        if self.broken is None:
            return f"safe: {self.states:,} states"
        steps = "\n".join(f"{number:3} {step}" for number, step in enumerate(self.trail, 1))
        return f"{self.broken} after {len(self.trail)} steps ({self.states:,} states):\n{steps}"


def explore(model: Model[W], limit: int = 2_000_000) -> Exploration[W]:
    """Visit every state until one is broken; more than `limit` states are a fault of the model."""
    gc.disable()  # all that is found is kept: to look through it for garbage takes a sixth of the time
    try:
        return _explore(model, limit)
    finally:
        gc.enable()


def _explore(model: Model[W], limit: int) -> Exploration[W]:
    start = model.start()
    cause: dict[W, tuple[W, What] | None] = {start: None}
    edge = [start]
    while edge:
        found: list[W] = []
        for world in edge:
            for what, after in model.steps(world):
                broken = model.broken(world, after)
                if broken is not None:
                    return Exploration(len(cause), (*_trail(cause, world), _text(what)), broken)
                if after not in cause:
                    cause[after] = (world, what)
                    found.append(after)
        assert len(cause) <= limit, f"more than {limit:,} states"
        edge = found
    return Exploration(len(cause))


def _trail(cause: dict[W, tuple[W, What] | None], world: W) -> tuple[str, ...]:
    steps: list[str] = []
    while (step := cause[world]) is not None:
        world, what = step
        steps.append(_text(what))
    return tuple(reversed(steps))


def _text(what: What) -> str:
    template, *values = what
    return str(template).format(*values)
