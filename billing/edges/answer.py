"""What `pbx-billing run` answers: the JSON of contract.md "Billing case file", money as decimal strings.

What a customer may see (invoices, rows of the level `customer`) never names another level's price (B.r22).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from billing.core import money
from billing.core.credit import Credit
from billing.core.customer import Option
from billing.core.invoice import Invoice, Line, Sort
from billing.core.rated import Rated, SetAside
from billing.core.refusal import Refused
from billing.core.switching import Switch
from billing.edges import instants
from billing.service.bill import Bill, Case, Rating

Json = dict[str, Any]


def cents(value: int) -> str:
    """`1234.57`."""
    return money.shown(value, money.CENT_PLACES)


def micro(value: int) -> str:
    """`0.101667`."""
    return money.shown(value, money.MICRO_PLACES)


def of_bill(case: Case, found: Bill) -> Json:
    """The whole answer."""
    return {
        "period": month(case.period),
        "invoices": [of_invoice(invoice) for invoice in found.invoices.invoices],
        "no_invoice": list(found.invoices.without),
        "levels": {
            tariff.level: _level(found.rating, tariff.level, tariff.digest) for tariff in case.prices.tariffs
        },
        "rated": [_rated(row) for row in found.rating.rated],
        "suspense": [_aside(each) for each in found.rating.suspense],
        "quarantine": [_aside(each) for each in found.rating.quarantine],
        "counts": {"received": found.rating.received, **found.rating.counts},
        "credits": [_credit(name, credit) for name, credit in found.credits.items()],
        "history": [_switched(option, each) for option in case.customer.options for each in option.history],
    }


def of_refusals(refused: Sequence[Refused]) -> Json:
    """Why there is no invoice."""
    return {"refused": [{"code": each.code, "why": each.why} for each in refused]}


def month(period: int) -> str:
    """2026-10."""
    return f"{period // 100}-{period % 100:02}"


def of_invoice(invoice: Invoice) -> Json:
    """One invoice; `entity` is null where it is the whole customer's."""
    return {
        "entity": invoice.entity or None,
        "sections": [_section(invoice, name) for name in invoice.sections],
        "lines": [_line(line) for line in invoice.lines],
        "net": cents(invoice.net_cents),
        "vat": cents(invoice.vat_cents),
        "gross": cents(invoice.gross_cents),
    }


def _section(invoice: Invoice, name: str) -> Json:
    net = sum(line.net_cents for line in invoice.lines if line.entity == name)
    return {"entity": name, "net": cents(net)}


def _line(line: Line) -> Json:
    calls = line.sort is Sort.CALLS
    return {
        "account": line.account or None,
        "entity": line.entity or None,
        "item": "calls" if calls else line.item,
        "class": line.item if calls else None,
        "label": line.label or None,
        "period": month(line.origin),
        "quantity": line.quantity,
        "unit": cents(line.unit_cents),
        "calls": line.calls,
        "seconds": line.seconds,
        "days": [list(span) for span in line.days],
        "net": cents(line.net_cents),
    }


def _level(rating: Rating, level: str, digest: str) -> Json:
    rows = tuple(rating.of(level))
    classes: dict[str, int] = {}
    for row in rows:
        classes[row.class_] = classes.get(row.class_, 0) + row.price_micro
    return {
        "price": micro(sum(classes.values())),
        "calls": len(rows),
        "billed_seconds": sum(row.billed_s for row in rows),
        "classes": {name: micro(price) for name, price in sorted(classes.items())},
        "tariff": digest,
    }


def _rated(row: Rated) -> Json:
    return {
        "id": row.key,
        "level": row.level,
        "class": row.class_,
        "billed_seconds": row.billed_s,
        "in_basket_seconds": row.in_basket_s,
        "price": micro(row.price_micro),
    }


def _aside(each: SetAside) -> Json:
    return {"id": each.key, "reason": each.reason, "detail": each.detail}


def _switched(option: Option, switch: Switch) -> Json:
    return {
        "option": option.kind,
        "account": option.account or None,
        "entity": option.entity or None,
        "key": switch.key,
        "at": instants.utc(switch.at_ms),
        "do": switch.do,
        "by": switch.by or None,
    }


def _credit(name: str, credit: Credit) -> Json:
    return {
        "account": name,
        "left": money.shown_short(credit.left_micro, money.MICRO_PLACES),
        "alerts": [{"below_percent": alert.percent, "id": alert.key} for alert in credit.alerts],
    }


def explained(case: Case, rating: Rating, key: str) -> Json | None:
    """Everything that decided the price of one call, for each level; None when there is no such call."""
    aside = next((each for each in (*rating.suspense, *rating.quarantine) if each.key == key), None)
    if aside is not None:
        return {
            "id": key,
            "verdict": "suspense" if aside in rating.suspense else "quarantine",
            **_aside(aside),
        }
    call = rating.calls.get(key)
    if call is None:
        return None
    levels: Mapping[str, Json] = {
        row.level: {**_rated(row), **_row(case, row)} for row in rating.rated if row.key == key
    }
    return {
        "id": key,
        "account": call.account,
        "entity": call.entity or None,
        "offer": call.offer,
        "kind": call.kind,
        "number": call.number.text,
        "day": call.day.isoformat(),
        "period": month(call.period),
        "billed_in": month(call.landing),
        "seconds": call.seconds,
        "levels": levels,
    }


def _row(case: Case, rated: Rated) -> Json:
    if rated.row < 0:
        return {"prefix": None, "row": None}
    row = case.prices.rows[rated.row]
    return {
        "prefix": row.prefix,
        "row": row.place,
        "per_minute": money.shown_short(row.minute_nano, money.NANO_PLACES),
        "per_call": money.shown_short(row.call_nano, money.NANO_PLACES),
        "increments": f"{row.first}/{row.next}",
    }
