"""Invoices to documents: numbered, dated, each with the calls that it bills."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from billing.core import period as periods
from billing.core.detail import Detail
from billing.core.document import Document
from billing.core.invoice import Invoice
from billing.core.invoicing import Invoices
from billing.core.tariff import CUSTOMER
from billing.service.house import Contract, House
from billing.service.month import Month
from billing.service.papers import Paper


def papers(
    house: House, period: int, now_ms: int, months: Sequence[Month], made: Mapping[str, Invoices]
) -> list[tuple[Month, list[Paper]]]:
    """Numbered without gap, in the order of billing.yaml and of the invoices of each customer."""
    found, number = [], 0
    for each in months:
        own = []
        for invoice in made[each.contract.name].invoices:
            number += 1
            name = f"{house.invoice_series}{periods.named(period)}-{number:04}"
            document = dated(house, each.contract, invoice, name, now_ms)
            own.append(Paper(document, _billed(each, invoice)))
        found.append((each, own))
    return found


def dated(house: House, contract: Contract, invoice: Invoice, number: str, now_ms: int) -> Document:
    """A document of today."""
    issued = house.local_day(now_ms)
    return Document(
        number=number,
        issued=issued,
        due=issued + timedelta(days=house.due_days),
        seller=house.seller,
        buyer=contract.buyer,
        invoice=invoice,
        language=contract.language,
        payment=house.payment,
        vat_reason=contract.vat_reason,
    )


def _billed(each: Month, invoice: Invoice) -> tuple[Detail, ...]:
    """The calls of an invoice at the customer's price: of its entities, or all of them."""
    details = [detail for detail in each.details if detail.level == CUSTOMER]
    if invoice.entity:
        entities = {invoice.entity, *invoice.entity.split(" + ")}
        details = [detail for detail in details if detail.entity in entities]
    return tuple(details)
