"""The engine: calls, tariffs and offers to the tables of the expression, and its answer to rated rows.

Every command rates by this, and nothing else does. Source: decision 0043.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Protocol

import pyarrow  # type: ignore[import-untyped]

from billing.core.offer import Offer
from billing.core.rated import Call, Rated
from billing.core.tariff import MAX_EXACT, Row, Tariff
from billing.service import expression
from billing.service.expression import NO_ROW, NOT_COVERED, Shape

Tables = Mapping[str, pyarrow.Table]

_TYPES: Final = {
    "string": pyarrow.string(),
    "int32": pyarrow.int32(),
    "int64": pyarrow.int64(),
    "boolean": pyarrow.bool_(),
}
_NO_CAP: Final = MAX_EXACT // 2


class Runner(Protocol):
    """Runs an expression over tables of these names."""

    def run(self, wanted: Any, tables: Tables) -> pyarrow.Table:
        """The rows of the expression, in any order."""
        ...


@dataclass(frozen=True)
class Prices:
    """The tariffs of all levels, `customer` first, and the offers."""

    tariffs: tuple[Tariff, ...]
    offers: Mapping[str, Offer]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All rows; a rated call names one by its index."""
        return tuple(row for tariff in self.tariffs for row in tariff.rows)

    @cached_property
    def shape(self) -> Shape:
        """The form of the expression for these prices."""
        starts = {row.from_ for row in self.rows} | {
            row.to + timedelta(days=1) for row in self.rows if row.to.toordinal() < _LAST
        }
        return Shape(
            levels=len(self.tariffs),
            longest=max((len(row.prefix) for row in self.rows), default=0),
            changes=tuple(sorted(day.toordinal() for day in starts if day.toordinal() > 1)),
            baskets=max((len(offer.baskets) for offer in self.offers.values()), default=0),
        )

    @property
    def expression(self) -> Any:
        """The one expression that rates calls at these prices."""
        return expression.rating(self.shape)

    def tables(self) -> dict[str, pyarrow.Table]:
        """All tables of the expression but `calls`."""
        found = {
            "prefixes": table(expression.PREFIXES, self._prefixes()),
            "rows": table(expression.ROWS, map(_row, range(len(self.rows)), self.rows)),
        }
        if self.shape.baskets:
            schema = expression.baskets_schema(self.shape.baskets)
            found["baskets"] = table(schema, self._baskets())
        return found

    def _prefixes(self) -> Iterable[Sequence[object]]:
        """Each row in every slice in which it is valid."""
        slices = (1, *self.shape.changes)
        number = 0
        for level, tariff in enumerate(self.tariffs):
            for row in tariff.rows:
                first, last = row.from_.toordinal(), row.to.toordinal()
                for index, start in enumerate(slices):
                    if first <= start <= last:
                        yield level, index, row.kind, row.prefix, len(row.prefix), number
                number += 1

    def _baskets(self) -> Iterable[Sequence[object]]:
        for offer in self.offers.values():
            ranked = offer.in_order
            for class_ in dict.fromkeys(name for basket in ranked for name in basket.classes):
                limits = [
                    basket.minutes * 60 if class_ in basket.classes else NOT_COVERED for basket in ranked
                ]
                missing = [NOT_COVERED] * (self.shape.baskets - len(limits))
                yield offer.name, class_, offer.is_flat_for_resale, *limits, *missing


_LAST: Final = 3_652_059  # ordinal of date.max


def _row(number: int, row: Row) -> Sequence[object]:
    cap = _NO_CAP if row.max_price is None else 60 * row.max_price
    return (
        number, row.class_, row.minute_nano, row.call_nano, row.first, row.next, cap, row.grace, row.is_free
    )  # fmt: skip


def table(schema: Mapping[str, str], rows: Iterable[Sequence[object]]) -> pyarrow.Table:
    """Rows as an Arrow table of this schema."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [
        pyarrow.array(column, type=_TYPES[type_.removeprefix("!")])
        for column, type_ in zip(columns, schema.values(), strict=True)
    ]
    return pyarrow.table(arrays, names=list(schema))


def calls_table(calls: Iterable[Call]) -> pyarrow.Table:
    """Calls as the table of the expression."""
    return table(
        expression.CALLS,
        (
            (
                call.key, call.line, call.offer, call.kind, call.number.key, call.answer_ms,
                call.day.toordinal(), call.period, call.late, call.seconds,
            )
            for call in calls
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Priced:
    """Rated rows in order of call and level; `without` are the calls that no row of `level` prices."""

    rated: tuple[Rated, ...]
    without: Mapping[str, str]


def rate(calls: Sequence[Call], prices: Prices, runner: Runner) -> Priced:
    """Price calls at all levels; the order of the calls makes no difference but that of the answer."""
    if not calls:
        return Priced((), {})
    answer = runner.run(prices.expression, {"calls": calls_table(calls), **prices.tables()})
    found = {row["key"]: row for row in answer.to_pylist()}
    rated: list[Rated] = []
    without: dict[str, str] = {}
    for call in calls:
        row = found[call.key]
        missing = [
            tariff.level for level, tariff in enumerate(prices.tariffs) if row[f"row_{level}"] == NO_ROW
        ]
        if missing and call.seconds:
            without[call.key] = missing[0]
        else:
            rated.extend(_levels(row, prices))
    return Priced(tuple(rated), without)


def _levels(row: Mapping[str, Any], prices: Prices) -> Iterable[Rated]:
    for level, tariff in enumerate(prices.tariffs):
        number = row[f"row_{level}"]
        yield Rated(
            key=row["key"],
            level=tariff.level,
            class_="" if number == NO_ROW else prices.rows[number].class_,
            row=number,
            billed_s=row[f"billed_{level}"],
            in_basket_s=row[f"inside_{level}"],
            price_micro=row[f"price_{level}"],
        )
