"""The rated calls of one price level as the call detail shows them (B.J7)."""

from collections.abc import Iterable

from billing.core.detail import Detail
from billing.service.bill import NO_TARIFF_ROW, Case, Rating


def details(case: Case, rating: Rating, level: str) -> Iterable[Detail]:
    """Every call of the period at this level, in order of its instant; nothing of another level (B.E18)."""
    for row in rating.of(level):
        call = rating.calls[row.key]
        yield Detail(
            key=row.key,
            level=level,
            start_ms=call.answer_ms,
            period=call.period,
            day=call.day.day,
            account=call.account,
            entity=call.entity,
            number=call.number.text,
            kind=call.kind,
            class_=row.class_,
            seconds=call.seconds,
            billed_seconds=row.billed_s,
            in_basket_seconds=row.in_basket_s,
            price=row.price_micro,
            label="" if row.row == NO_TARIFF_ROW else case.prices.rows[row.row].label,
        )
