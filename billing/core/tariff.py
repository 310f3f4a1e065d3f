"""A tariff: one row prices one call; the row is found by kind and longest prefix among those of the day.

A tariff is addressed by the SHA-256 of its rows, whatever their order. Source: design billing.md 2; B.r16.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cached_property
from typing import Final, NamedTuple

LIST: Final = "list"
"""Name of the tariff that prices the level `customer`; any other tariff is a level of its own name."""
CUSTOMER: Final = "customer"
KINDS: Final = ("voice", "fax", "sms")

MAX_ROWS: Final = 200_000
MAX_SECONDS: Final = 7 * 86_400
"""A call longer than a week is a broken record."""
MAX_INCREMENT: Final = 86_400
MAX_EXACT: Final = 2**62
"""2n of the price formula stays below it, so that 64-bit integers of any engine hold it."""


class Problem(NamedTuple):
    """What is wrong with a row: where it stands, which column, what was found and what would be right."""

    place: str
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One destination at one time. Prices are nano-euro, times seconds, days local and both included."""

    prefix: str
    """`+336`, or `FR:3615` for the short numbers of a country."""
    class_: str
    kind: str = "voice"
    per_minute: int = 0
    first: int = 1
    """Seconds that are billed at least."""
    next: int = 1
    """Further seconds are billed in whole steps of so many."""
    setup: int = 0
    service_per_call: int = 0
    service_per_min: int = 0
    max_price: int | None = None
    grace: int = 0
    """Calls up to so many seconds are free."""
    from_: date = date.min
    to: date = date.max
    label: str = ""
    place: str = field(default="", compare=False)
    """file:line; no part of what the row says."""

    @property
    def minute_nano(self) -> int:
        """What a minute costs in all."""
        return self.per_minute + self.service_per_min

    @property
    def call_nano(self) -> int:
        """What a call costs whatever its length."""
        return self.setup + self.service_per_call

    @property
    def is_free(self) -> bool:
        """Whether nothing is ever charged; such calls take no basket minutes (B.r20)."""
        return (self.minute_nano, self.call_nano) == (0, 0) or self.max_price == 0

    def valid(self, day: date) -> bool:
        """Whether it counts on this local day."""
        return self.from_ <= day <= self.to


@dataclass(frozen=True)
class Tariff:
    """The rows of one price level; `check` has found nothing wrong with them."""

    level: str
    rows: tuple[Row, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of what its rows say."""
        return hashlib.sha256(json.dumps(sorted(map(_canonical, self.rows))).encode()).hexdigest()

    @cached_property
    def _by_prefix(self) -> Mapping[tuple[str, str], Sequence[Row]]:
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.kind, row.prefix), []).append(row)
        return found

    def covering(self, kind: str, key: str, day: date) -> Row | None:
        """The row of a destination as people ask for it; the engine finds those of calls by its own join."""
        for end in range(len(key), 0, -1):
            for row in self._by_prefix.get((kind, key[:end]), ()):
                if row.valid(day):
                    return row
        return None


def _canonical(row: Row) -> list[str]:
    return [str(getattr(row, each.name)) for each in fields(Row) if each.compare]


def check(rows: Iterable[Row]) -> list[Problem]:
    """Everything that is wrong with rows that are each well-formed: overlaps, and prices beyond 64 bits."""
    found: list[Problem] = []
    same: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        same.setdefault((row.kind, row.prefix), []).append(row)
        found.extend(_row_problems(row))
    for (kind, prefix), group in same.items():
        found.extend(_overlaps(kind, prefix, sorted(group, key=lambda row: row.from_)))
    return found


def _row_problems(row: Row) -> list[Problem]:
    found = []
    if row.to < row.from_:
        found.append(Problem(row.place, "to", f"expected a day not before {row.from_}, found {row.to}"))
    exact = 60 * row.call_nano + row.minute_nano * (MAX_SECONDS + 2 * MAX_INCREMENT)
    if 2 * max(exact, 60 * (row.max_price or 0)) + 60_000 >= MAX_EXACT:
        found.append(Problem(row.place, "per_minute", "expected prices that a call of a week can bear"))
    return found


def _overlaps(kind: str, prefix: str, group: Sequence[Row]) -> list[Problem]:
    found = []
    open_ = group[0]
    for row in group[1:]:
        if row.from_ <= open_.to:
            days = f"{max(row.from_, open_.from_)} to {min(row.to, open_.to)}"
            what = f"{kind} {prefix} is priced at {open_.place} and at {row.place} on the same days"
            days = "" if (row.from_, row.to) == (date.min, date.max) else f": {days}"
            found.append(Problem(row.place, "prefix", f"{what}{days}; leave one row for each day"))
        open_ = max(open_, row, key=lambda each: each.to)
    return found


def levels(tariffs: Mapping[str, Tariff]) -> tuple[str, ...]:
    """The names of all levels, `customer` first, then in configured order."""
    others = tuple(tariff.level for tariff in tariffs.values() if tariff.level != CUSTOMER)
    return (CUSTOMER, *others)
