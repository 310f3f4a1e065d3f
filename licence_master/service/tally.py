"""Counts for /metrics: what was asked, refused and committed since the start; in memory only."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

COMMIT_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000)


@dataclass(slots=True)
class Tally:
    """The counters of one installation."""

    requests: Counter[str] = field(default_factory=Counter)  # by path
    repeats: int = 0
    refusals: Counter[str] = field(default_factory=Counter)  # by code
    denials: Counter[str] = field(default_factory=Counter)  # by code
    events: Counter[str] = field(default_factory=Counter)  # by ledger event
    activity: int = 0
    commits: list[int] = field(default_factory=lambda: [0] * (len(COMMIT_BOUNDS_MS) + 1))
    commit_ms: int = 0

    def committed(self, milliseconds: int) -> None:
        """A write was durable after this time in the queue and on the disk."""
        self.commits[bisect_left(COMMIT_BOUNDS_MS, milliseconds)] += 1
        self.commit_ms += milliseconds
