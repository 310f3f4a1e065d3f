"""Tariff rows that no call can reach: no number looks so, or longer prefixes take them all.

`tariff check` tells them: a row that never prices anything is mostly a slip of a digit or of a date.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from billing.core.number import Plan, normalise
from billing.core.tariff import Row, Tariff

DIGITS: Final = "0123456789"
_MOST_DIGITS: Final = 15


class Unreachable(NamedTuple):
    """A row, and why no call finds it."""

    row: Row
    why: str


def unreachable(tariff: Tariff, plan: Plan, day: date) -> Sequence[Unreachable]:
    """The rows, valid on this day or later, that no number dialled under this plan finds."""
    cover = _Cover(tariff, plan)
    found = []
    for row in tariff.rows:
        if row.to < day:
            continue
        if not reaches(row.prefix, plan):
            found.append(Unreachable(row, f"no number of a line in {plan.country} is looked up under it"))
        elif cover.takes_all(row, day):
            found.append(Unreachable(row, "longer prefixes take every number of it on all its days"))
    return found


def reaches(prefix: str, plan: Plan) -> bool:
    """Whether some number is looked up under this prefix: it is lengthened until one is."""
    dialled = prefix.partition(":")[2] if ":" in prefix else prefix
    for length in range(_MOST_DIGITS + 2 - len(dialled)):
        for digit in DIGITS if length else "0":
            number = normalise(dialled + digit * length, plan)
            if number is not None and number.key.startswith(prefix):
                return True
    return False


class _Cover:
    """Which prefixes have rows below them."""

    def __init__(self, tariff: Tariff, plan: Plan) -> None:
        self._plan = plan
        self._rows: dict[tuple[str, str], list[Row]] = {}
        self._parents: set[tuple[str, str]] = set()
        for row in tariff.rows:
            self._rows.setdefault((row.kind, row.prefix), []).append(row)
            self._parents.update((row.kind, row.prefix[:end]) for end in range(1, len(row.prefix)))
        self._starts = sorted(
            {row.from_ for row in tariff.rows}
            | {row.to + timedelta(days=1) for row in tariff.rows if row.to < date.max}
        )

    def takes_all(self, row: Row, day: date) -> bool:
        """Whether longer prefixes take its numbers on each day from this one on on which it counts."""
        if (row.kind, row.prefix) not in self._parents:
            return False
        first = max(row.from_, day)
        days = [first, *(start for start in self._starts if first < start <= row.to)]
        return all(self._below(row.kind, row.prefix, each) for each in days)

    def _below(self, kind: str, prefix: str, day: date) -> bool:
        if (kind, prefix) not in self._parents:
            return False
        return all(
            any(row.valid(day) for row in self._rows.get((kind, longer), ()))
            or self._below(kind, longer, day)
            or not reaches(longer, self._plan)
            for longer in (prefix + digit for digit in DIGITS)
        )
