"""The oracle: prices by exact fractions, call after call; it shares no code and no formula with the engine.

It is slow, obvious, and lives in tests only. Baskets are drained in turn, not summed in windows.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from billing.core.customer import Customer
from billing.core.offer import Basket, OfferKind
from billing.core.rated import Call
from billing.core.tariff import Row, Tariff


class Price(NamedTuple):
    """One call at one level."""

    key: str
    level: str
    class_: str
    billed_s: int
    in_basket_s: int
    price_micro: int


def local_day(instant_ms: int, zone: str) -> datetime.date:
    """The local day, by the standard library alone."""
    utc = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=instant_ms)
    return utc.astimezone(ZoneInfo(zone)).date()


def rate(
    calls: Iterable[Call], customer: Customer, tariffs: Sequence[Tariff]
) -> dict[tuple[str, str], Price]:
    """Every priced call at every level; calls that a level does not price are left out."""
    left: dict[tuple[str, str, int, str], int] = {}
    found: dict[tuple[str, str], Price] = {}
    for call in sorted(calls, key=lambda each: (each.late, each.answer_ms, each.key)):
        rows = {tariff.level: _row(tariff, call) for tariff in tariffs}
        if call.seconds and None in rows.values():
            continue
        for price in _call(call, rows, customer, left):
            found[price.key, price.level] = price
    return found


def _row(tariff: Tariff, call: Call) -> Row | None:
    fitting = [
        row
        for row in tariff.rows
        if row.kind == call.kind
        and call.number.key.startswith(row.prefix)
        and row.from_ <= call.day <= row.to
    ]
    return max(fitting, key=lambda row: len(row.prefix), default=None)


def _billed(row: Row | None, seconds: int) -> int:
    if row is None or seconds <= row.grace:
        return 0
    billed = row.first
    while billed < seconds:
        billed += row.next
    return billed


def _call(
    call: Call,
    rows: Mapping[str, Row | None],
    customer: Customer,
    left: dict[tuple[str, str, int, str], int],
) -> Iterable[Price]:
    offer = customer.offer(call.offer)
    row = rows["customer"]
    inside = 0
    if row is not None and (row.per_minute or row.service_per_min or row.setup or row.service_per_call):
        ordered = sorted(offer.baskets, key=lambda basket: (basket.priority, basket.name))
        inside = 0 if row.max_price == 0 else _drain(call, row, ordered, left)
    for level, own in rows.items():
        flat = level == "customer" or offer.kind is OfferKind.FLAT_BUSINESS
        billed = _billed(own, call.seconds)
        yield Price(
            call.key,
            level,
            own.class_ if own else "",
            billed,
            inside if flat else 0,
            _price(own, max(0, billed - (inside if flat else 0))),
        )


def _drain(
    call: Call, row: Row, baskets: Iterable[Basket], left: dict[tuple[str, str, int, str], int]
) -> int:
    wanted = _billed(row, call.seconds)
    taken = 0
    for basket in baskets:
        if row.class_ in basket.classes:
            key = (call.line, call.offer, call.period, basket.name)
            have = left.get(key, basket.minutes * 60)
            now = min(have, wanted - taken)
            left[key] = have - now
            taken += now
    return taken


def _price(row: Row | None, charged: int) -> int:
    """Micro-euro, half up."""
    if row is None or charged == 0:
        return 0
    nano = Fraction(row.setup + row.service_per_call)
    nano += Fraction(row.per_minute + row.service_per_min) * charged / 60
    if row.max_price is not None:
        nano = min(nano, Fraction(row.max_price))
    return int(nano / 1000 + Fraction(1, 2))
