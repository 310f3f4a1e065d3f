"""Credit notes: the only correction of what was issued (B.r33), with numbers of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from billing.core import calendar, crediting
from billing.core import period as periods
from billing.core.document import Document
from billing.core.invoice import Invoice
from billing.core.refusal import Code, Refused
from billing.service.drafting import dated
from billing.service.house import Contract
from billing.service.ledger import Ledger
from billing.service.papers import Paper, Printer, Shelf
from billing.store import chain
from billing.store.chain import CreditIssued, Issued

FOLDER = "credit-notes"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken back of an invoice: lines with cents, or None for all that is left of them.

    `lines` None: all that is left of the invoice.
    """

    number: str
    lines: Mapping[int, int | None] | None
    reason: str


async def credit(
    ledger: Ledger, wanted: Wanted, now_ms: int, printer: Printer, shelf: Shelf
) -> Document | Sequence[Refused]:
    """Issue a credit note, or say why not; a refused one takes no number."""
    finish(ledger, shelf)
    number = wanted.number
    found = await chain.documents(ledger.database, number=number)
    if not found or found[0].document.corrects:
        return (Refused(Code.NOT_AN_INVOICE, f"{number}: there is no invoice of this number"),)
    customer, invoice = found[0].customer, found[0].document
    before = [note.credited for note in notes(ledger) if note.corrects == number]
    made = crediting.credit(invoice.invoice, before, wanted.lines)
    if isinstance(made, Refused):
        return (Refused(made.code, f"{number}: {made.why}"),)
    contract = await ledger.contract_then(customer, invoice.invoice.period)
    document = _about(ledger, contract, invoice, made[0], now_ms)
    files = printer.print(contract, invoice.invoice.period, [Paper(document)])
    if not isinstance(files, Mapping):
        return tuple(Refused(Code.INVALID_INVOICE, f"{each.number}: {each.text}") for each in files)
    place = f"{FOLDER}/{document.number}"
    shelf.clear(place)
    entry = CreditIssued(
        number=document.number,
        corrects=number,
        at_ms=ledger.next_stamp(now_ms),
        reason=wanted.reason,
        lines=dict(made[1].lines),
        vat_cents=made[1].vat_cents,
        document=chain.document_digest(document),
        artefacts=dict(shelf.stage(place, customer, files)),
    )
    link = chain.linked(ledger.links[-1], entry)
    await ledger.database.write(chain.append(link, [Issued(customer, document)], {}))
    ledger.add(link)
    shelf.publish(place, entry.artefacts)
    return document


def _about(ledger: Ledger, contract: Contract, invoice: Document, made: Invoice, now_ms: int) -> Document:
    """The credit note, between the parties that the invoice had, with the next number of this month."""
    month = calendar.period_of(ledger.house.local_day(now_ms))
    return replace(
        dated(ledger.house, contract, made, _number(ledger, month), now_ms),
        seller=invoice.seller,
        buyer=invoice.buyer,
        language=invoice.language,
        vat_reason=invoice.vat_reason,
        corrects=invoice.number,
        corrects_issued=invoice.issued,
    )


def notes(ledger: Ledger) -> list[CreditIssued]:
    """All credit notes in order."""
    return [link.entry for link in ledger.links if isinstance(link.entry, CreditIssued)]


def _number(ledger: Ledger, month: int) -> str:
    """The next one of the month in which it is issued."""
    start = f"{ledger.house.credit_series}{periods.named(month)}-"
    taken = sum(1 for note in notes(ledger) if note.number.startswith(start))
    return f"{start}{taken + 1:04}"


def finish(ledger: Ledger, shelf: Shelf) -> None:
    """What a killed run committed last and did not publish."""
    for note in notes(ledger)[-1:]:
        shelf.publish(f"{FOLDER}/{note.number}", note.artefacts)
