"""Two tariffs beside one another, by the engine that rates calls: level against level, new against old."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, NamedTuple

from billing.core.calendar import period_of
from billing.core.customer import NO_ENTITY
from billing.core.number import Form, Number
from billing.core.offer import PAY_PER_USE
from billing.core.rated import Call
from billing.core.tariff import CUSTOMER, Row, Tariff
from billing.service import bill
from billing.service.bill import Case
from billing.service.engine import Prices, Runner, rate

LENGTHS_S: Final = (1, 30, 60, 61, 180, 600, 3_600)
"""Calls so long are priced by both: within the first step, behind it, and where a cap counts."""
_OTHER: Final = "other"


class Dearer(NamedTuple):
    """Where a level costs more than the one before it: the shortest of the calls that show it. Micro-euro."""

    kind: str
    prefix: str
    day: date
    seconds: int
    before_micro: int
    micro: int
    place: str
    """file:line of the row that is dearer."""


def dearer(before: Sequence[Row], rows: Sequence[Row], day: date, runner: Runner) -> Sequence[Dearer]:
    """Where `rows` cost more than `before`, from this day on, for the destinations of both."""
    prices = Prices((Tariff(CUSTOMER, tuple(before)), Tariff(_OTHER, tuple(rows))), {})
    all_rows = prices.rows
    changes = {row.from_ for row in all_rows} | {
        row.to + timedelta(days=1) for row in all_rows if row.to < date.max
    }
    days = [day, *sorted(each for each in changes if each > day)]
    wanted = sorted({(row.kind, row.prefix) for row in all_rows})
    asked = {
        f"{kind} {prefix} {each} {seconds}": Dearer(kind, prefix, each, seconds, 0, 0, "")
        for kind, prefix in wanted
        for each in days
        for seconds in LENGTHS_S
    }
    calls = [_call(key, each.kind, each.prefix, each.day, each.seconds) for key, each in asked.items()]
    cost: dict[str, dict[str, tuple[int, int]]] = {}
    for row in rate(calls, prices, runner).rated:
        cost.setdefault(row.key, {})[row.level] = (row.price_micro, row.row)
    found: dict[tuple[str, str, str], Dearer] = {}
    for key, each in asked.items():
        if key in cost and cost[key][_OTHER][0] > cost[key][CUSTOMER][0]:
            (was, _), (now, number) = cost[key][CUSTOMER], cost[key][_OTHER]
            place = all_rows[number].place
            told = each._replace(before_micro=was, micro=now, place=place)
            found.setdefault((each.kind, each.prefix, place), told)
    return tuple(found.values())


def _call(key: str, kind: str, prefix: str, day: date, seconds: int) -> Call:
    number = Number(Form.E164, prefix, prefix)
    return Call(key, "", "", NO_ENTITY, PAY_PER_USE.name, kind, number, 0, day, period_of(day), seconds)


@dataclass(frozen=True, slots=True)
class Difference:
    """What the same calls cost by both, by destination class, micro-euro, and how many have no price."""

    calls: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    unpriced_before: int
    unpriced_after: int

    @property
    def micro(self) -> int:
        """More than before, or less."""
        return sum(self.after.values()) - sum(self.before.values())


def difference(case: Case, level: str, rows: Iterable[Row], day: date, runner: Runner) -> Difference:
    """The calls of a case by its own tariff of a level, and by these rows as they count on `day`."""
    valid = tuple(replace(row, from_=date.min, to=date.max) for row in rows if row.valid(day))
    tariffs = tuple(Tariff(level, valid) if each.level == level else each for each in case.prices.tariffs)
    then = bill.rated(case, runner)
    now = bill.rated(replace(case, prices=Prices(tariffs, case.prices.offers)), runner)
    return Difference(
        calls=len(_priced(then, level) | _priced(now, level)),
        before=_by_class(then, level),
        after=_by_class(now, level),
        unpriced_before=len(then.suspense),
        unpriced_after=len(now.suspense),
    )


def _priced(rating: bill.Rating, level: str) -> set[str]:
    return {row.key for row in rating.of(level) if bill.is_rated(row, rating.calls)}


def _by_class(rating: bill.Rating, level: str) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for row in rating.of(level):
        if bill.is_rated(row, rating.calls):
            found[row.class_] = found.get(row.class_, 0) + row.price_micro
    return found
