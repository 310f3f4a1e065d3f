"""Units that are kept for objects that have just gone: the only ones of which it is known when they free.

Of a registered phone nobody knows when it leaves: it refreshes. Kept in memory from what agents tell; after a
start read from the end of their activity.
"""

from collections.abc import Collection, Iterable

from licensing import wire


class Lingering:
    """When lingering units free, in wall time, by agent, class and object."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, str], dict[str, int]] = {}

    def note(self, agent: str, events: Iterable[wire.Activity]) -> None:
        """Follow an agent's events in their order; what happens to an object ends its lingering."""
        for event in events:
            if event.event == "lingering":
                if event.until_ms is not None:
                    self._ends.setdefault((agent, event.class_), {})[event.object] = event.until_ms
            elif self._ends:
                self._ends.get((agent, event.class_), {}).pop(event.object, None)

    def clear(self, agent: str) -> None:
        """Nothing lingers at this agent any more."""
        self._ends = {key: ends for key, ends in self._ends.items() if key[0] != agent}

    def first(self, pairs: Collection[tuple[str, str]], now_ms: int) -> int | None:
        """When the first unit of these (agent, class) frees; None: not known."""
        ends = [self._ends.get(pair, {}).values() for pair in pairs]
        return min((end for each in ends for end in each if end > now_ms), default=None)
