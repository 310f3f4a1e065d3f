"""How many units were held at once, by hour: a fold over what agents tell, in the order of its time.

Counted are objects that hold a unit; lingering and surplus ones do not. A refusal is counted in the hour in
which it was told, for the pools that would have been drawn.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

HOUR_MS = 3_600_000
ALL = ""
"""The site of a peak of all sites together: the sum at one moment, not the sum of their peaks."""

PoolsOf = Callable[[str, str], tuple[str, ...]]
"""The names of the pools that a (PBX, class) draws one unit from each."""


class Told(NamedTuple):
    """One event of an object, as an agent told it; `at_ms` is wall time."""

    at_ms: int
    agent: str
    object: str
    class_: str
    event: str


class Peak(NamedTuple):
    """The most units of a pool that were held at once in an hour (hours since 1970), and refusals in it."""

    hour: int
    site: str
    pool: str
    peak: int
    refused: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Who holds what at the beginning of an hour, by (agent, class)."""

    hour: int
    held: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


class Fold:
    """Follows rows that come in order of time, and gives the peaks of each hour that is over."""

    def __init__(self, begin: Standing, pools_of: PoolsOf) -> None:
        self.hour = begin.hour
        self.held = {key: set(names) for key, names in begin.held.items()}
        self._pools_of = pools_of
        self._pools: dict[tuple[str, str], tuple[str, ...]] = {}
        self._now: Counter[tuple[str, str]] = Counter()
        self._peaks: dict[tuple[str, str], int] = {}
        self._refused: Counter[tuple[str, str]] = Counter()
        for key, names in self.held.items():
            self._count(key, len(names))

    def add(self, rows: Iterable[Told]) -> Iterator[Peak]:
        """Take rows in; each hour that ends before one of them is told."""
        for row in rows:
            yield from self.close_until(row.at_ms // HOUR_MS)
            key = (row.agent, row.class_)
            names = self.held.setdefault(key, set())
            if row.event == "held":
                if row.object not in names:
                    names.add(row.object)
                    self._count(key, 1)
            elif row.event in ("refused", "reported"):
                for place in self._places(key):
                    self._refused[place] += 1
            elif row.object in names:
                names.remove(row.object)
                self._count(key, -1)

    def close_until(self, hour: int) -> Iterator[Peak]:
        """End every hour before this one."""
        while self.hour < hour:
            yield from self.open_hour()
            self.hour += 1
            self._begin_hour()

    def open_hour(self) -> Iterator[Peak]:
        """The peaks of the hour that is not over, so far; none of a pool that nobody held or wanted."""
        for place in sorted(self._peaks.keys() | self._refused.keys()):
            peak, refused = self._peaks.get(place, 0), self._refused[place]
            if peak or refused:
                yield Peak(self.hour, *place, peak, refused)

    def standing(self) -> Standing:
        """Who holds what now; at the beginning of an hour that is where another fold may begin."""
        return Standing(self.hour, {key: frozenset(names) for key, names in self.held.items() if names})

    def _begin_hour(self) -> None:
        self._peaks = {place: count for place, count in self._now.items() if count}
        self._refused = Counter()

    def _count(self, key: tuple[str, str], change: int) -> None:
        for place in self._places(key):
            self._now[place] += change
            self._peaks[place] = max(self._peaks.get(place, 0), self._now[place])

    def _places(self, key: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        """The (site, pool) in which a unit of this (agent, class) counts."""
        pools = self._pools.get(key)
        if pools is None:
            pools = self._pools[key] = self._pools_of(*key)
        return tuple((site, pool) for pool in pools for site in (key[0], ALL))


def after(begin: Standing, told: Iterable[Told]) -> Standing:
    """Who holds what after these rows, which come in order of time."""
    fold = Fold(begin, lambda _agent, _class: ())
    for _ in fold.add(told):
        pass
    return fold.standing()


def corrected(
    begin: Standing, told: Sequence[Told], now: Mapping[tuple[str, str], Iterable[str]]
) -> Standing:
    """This standing, when after the rows told since it is known who holds what now.

    Of objects that nothing was told of since, what is known now was true then: their last news were lost.
    """
    touched = {(row.agent, row.class_, row.object) for row in told}
    thought = after(begin, told).held
    held = {key: set(names) for key, names in begin.held.items()}
    for key in thought.keys() | now.keys():
        known, names = set(now.get(key, ())), held.setdefault(key, set())
        wrong = {name for name in known ^ thought.get(key, set()) if (*key, name) not in touched}
        names ^= wrong
    return Standing(begin.hour, {key: frozenset(names) for key, names in held.items() if names})
