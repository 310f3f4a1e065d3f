"""The peer of the rating engine: the same rules in plain Python, one call after another, file to file.

Written to be quick without being clever: prefixes in a dict from the longest on, what a row says in a tuple,
columns zipped instead of a dict for each call, all in batches. Nothing is remembered of numbers that
came before.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow.parquet  # type: ignore[import-untyped]

from billing.core.offer import Offer
from billing.service import expression
from billing.service.engine import Prices, table

_ORDER: Final = [("late", "ascending"), ("answer_ms", "ascending"), ("key", "ascending")]

_BATCH: Final = 50_000
"""All calls at once would keep the garbage collector busy: it looks through what is kept, again and again."""


class Terms(NamedTuple):
    """What a row says, and on which days (ordinals)."""

    from_: int
    to: int
    row: int
    class_: str
    first: int
    next: int
    minute: int
    call: int
    cap: int | None
    grace: int
    is_free: bool


Table = Mapping[tuple[str, str], Sequence[Terms]]
Left = dict[tuple[str, str, int, int], int]
"""Seconds left, by line, offer, period and rank of basket."""


def loop(path: Path, prices: Prices) -> Path:
    """Rate a file of calls; the file of rated rows."""
    tables = _tables(prices)
    calls = pyarrow.parquet.read_table(path, columns=list(expression.CALLS)).sort_by(_ORDER)
    schema = expression.result_schema(len(tables))
    written = path.with_name("rated_by_loop.parquet")
    left: Left = {}
    with pyarrow.parquet.ParquetWriter(written, table(schema, ()).schema) as writer:
        for batch in calls.to_batches(max_chunksize=_BATCH):
            some = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            rated = (_rated(call, tables, prices.shape.longest, prices.offers, left) for call in some)
            writer.write_table(table(schema, rated))
    return written


def _tables(prices: Prices) -> list[Table]:
    found: list[dict[tuple[str, str], list[Terms]]] = []
    number = 0
    for tariff in prices.tariffs:
        found.append({})
        for row in tariff.rows:
            cap = None if row.max_price is None else 60 * row.max_price
            terms = Terms(
                row.from_.toordinal(), row.to.toordinal(), number, row.class_, row.first, row.next,
                row.minute_nano, row.call_nano, cap, row.grace, row.is_free,
            )  # fmt: skip
            found[-1].setdefault((row.kind, row.prefix), []).append(terms)
            number += 1
    return list(found)


def _rated(
    call: Sequence[Any], tables: Sequence[Table], longest: int, offers: Mapping[str, Offer], left: Left
) -> list[object]:
    key, line, offer, kind, number, _, day, period, _, seconds = call
    found = [_longest(table, kind, number[:longest], day) for table in tables]
    rated: list[object] = [key]
    if not seconds or None in found:
        for terms in found:
            rated += (expression.NO_ROW if terms is None else terms.row, 0, 0, 0)
        return rated
    taken, is_flat = 0, True
    for terms in found:
        assert terms is not None
        _, _, row, class_, first, step, minute, per_call, cap, grace, is_free = terms
        billed = 0 if seconds <= grace else first + -(-max(0, seconds - first) // step) * step
        if len(rated) == 1 and offer in offers and not is_free:
            taken = _taken(billed, class_, offers[offer], (line, offer, period), left)
        inside = taken if is_flat else 0
        price = _price(billed - inside, minute, per_call, cap)
        rated += (row, billed, inside, price)
        is_flat = offer in offers and offers[offer].is_flat_for_resale
    return rated


def _longest(table: Table, kind: str, opening: str, day: int) -> Terms | None:
    for end in range(len(opening), 0, -1):
        for terms in table.get((kind, opening[:end]), ()):
            if terms[0] <= day <= terms[1]:
                return terms
    return None


def _taken(billed: int, class_: str, offer: Offer, owner: tuple[str, str, int], left: Left) -> int:
    taken = 0
    for rank, basket in enumerate(offer.in_order):
        if class_ in basket.classes:
            key = (*owner, rank)
            have = left.get(key, basket.minutes * 60)
            now = min(have, billed - taken)
            left[key] = have - now
            taken += now
    return taken


def _price(charged: int, minute: int, per_call: int, cap: int | None) -> int:
    """Micro-euro, half up."""
    if charged <= 0:
        return 0
    exact = 60 * per_call + minute * charged
    if cap is not None and cap < exact:
        exact = cap
    return (2 * exact + 60_000) // 120_000
