"""What an invoice page says, as finished texts: one view for the PDF, and for the plain HTML without it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from billing.core.calendar import month
from billing.core.document import Document, Party
from billing.core.invoice import Invoice, Line
from billing.edges.pdf.catalogue import Catalogue, catalogue
from billing.edges.pdf.dates import Dates
from billing.edges.pdf.figures import FIGURES, Figures
from billing.edges.pdf.remarks import NOTES, remark

ONE_PAGE = 24
HEADING_ROWS = 2
"""A heading is as high as so many rows."""
# What all entities share, and what belongs to none of them (B.r24): their words in texts.yaml.
NAMED = {"": "company", "(none)": "no_entity"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `account` is "" where the row above has the same."""

    account: str
    item: str
    note: str
    quantity: str
    unit: str
    net: str


@dataclass(frozen=True, slots=True)
class Section:
    """An entity, or the earlier periods; without a heading where the invoice has no such parts."""

    heading: str
    rows: tuple[Row, ...]
    subtotal: str


@dataclass(frozen=True, slots=True)
class Page:
    """All texts of an invoice or credit note."""

    language: str
    title: str
    number: str
    subtitle: str
    seller: tuple[str, ...]
    buyer: tuple[str, ...]
    imprint: str
    words: dict[str, str]
    """Headings of the columns and blocks, by their keys in texts.yaml."""
    due: tuple[str, str, str]
    """Its words, the amount, by when."""
    facts: tuple[tuple[str, str], ...]
    pay: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    totals: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def long(self) -> bool:
        """Whether its lines are set closer, since they fill more than a page."""
        headings = sum(HEADING_ROWS for section in self.sections if section.heading)
        return sum(len(section.rows) for section in self.sections) + headings > ONE_PAGE


HEADINGS = ("bill_to", "account", "item", "quantity", "unit", "net", "usage")


def view(document: Document, dates: Dates) -> Page:
    """The page of a document."""
    words, figures = catalogue(document.language), FIGURES[document.language]
    invoice = document.invoice
    title = words.say("credit" if document.corrects else "invoice")
    return Page(
        language=document.language,
        title=f"{title} {document.number}",
        number=document.number,
        subtitle=subtitle(document, words, dates),
        seller=address(document.seller, document.buyer),
        buyer=(*address(document.buyer, document.seller), *registered(document.buyer, words)),
        imprint=imprint(document.seller, words),
        words={key: words.say(key, name="").strip() for key in HEADINGS},
        due=due(document, words, figures, dates),
        facts=facts(document, words, dates),
        pay=pay(document, words),
        sections=tuple(sections(invoice, words, figures, dates)),
        totals=(
            (words.say("total_net"), figures.amount(invoice.net_cents)),
            (words.say("vat", rate=figures.rate(invoice.vat_bp)), figures.amount(invoice.vat_cents)),
            (words.say("total_gross"), figures.amount(invoice.gross_cents)),
        ),
        notes=notes(document, words),
    )


def address(who: Party, other: Party) -> tuple[str, ...]:
    """Name and postal address, line by line; the country where the other is elsewhere."""
    abroad = "" if who.country == other.country else f"{who.country}-"
    return who.name, who.street, f"{abroad}{who.postcode} {who.city}"


def legal_id(who: Party, words: Catalogue) -> str:
    """What the number in the register of companies is called."""
    return "SIREN" if who.country == "FR" else words.say("legal_id")


def imprint(who: Party, words: Catalogue) -> str:
    """Who the seller is, for the foot of each page."""
    said = [", ".join(address(who, who))]
    said += registered(who, words)
    said += [who.email] if who.email else []
    return " · ".join(said)


def registered(who: Party, words: Catalogue) -> tuple[str, ...]:
    """Who they are for the register of companies and for the tax office."""
    legal = (f"{legal_id(who, words)} {who.legal_id}",) if who.legal_id else ()
    return (*legal, f"{words.say('vat_id')} {who.vat_id}") if who.vat_id else legal


def subtitle(document: Document, words: Catalogue, dates: Dates) -> str:
    """Of when, and about which invoice."""
    said = words.say("of", date=dates.day(document.issued))
    return f"{said} {words.say('about', number=document.corrects)}" if document.corrects else said


def due(document: Document, words: Catalogue, figures: Figures, dates: Dates) -> tuple[str, str, str]:
    """What is owed, and by when; a credit note owes the customer."""
    amount = figures.amount(document.invoice.gross_cents)
    if document.corrects:
        return words.say("credited"), amount, ""
    return words.say("due"), amount, words.say("by", date=dates.day(document.due))


def facts(document: Document, words: Catalogue, dates: Dates) -> tuple[tuple[str, str], ...]:
    """Period and entity."""
    first, _ = month(document.invoice.period)
    said = [(words.say("period"), dates.month(first))]
    said += [(words.say("entity"), document.invoice.entity)] if document.invoice.entity else []
    return tuple(said)


def pay(document: Document, words: Catalogue) -> tuple[tuple[str, str], ...]:
    """Where to pay it, and with which words."""
    if document.corrects or not document.payment.iban:
        return ()
    bare = document.payment.iban.replace(" ", "")
    said = [("IBAN", " ".join(bare[at : at + 4] for at in range(0, len(bare), 4)))]
    said += [("BIC", document.payment.bic)] if document.payment.bic else []
    return (*said, (words.say("reference"), document.number))


def notes(document: Document, words: Catalogue) -> tuple[str, ...]:
    """What the law wants said."""
    said = [text for text in (document.vat_reason, document.payment.terms) if text]
    if document.seller.country == "FR":
        said += [words.say(f"note_{code}") for code in NOTES]
    return tuple(said)


def sections(invoice: Invoice, words: Catalogue, figures: Figures, dates: Dates) -> Iterator[Section]:
    """One part for each entity that is shown, then one for each earlier period; no line is left out."""
    own = [line for line in invoice.lines if line.origin == invoice.period]
    if invoice.sections:
        for name in dict.fromkeys((*invoice.sections, *(line.entity for line in own))):
            heading = words.say(NAMED[name]) if name in NAMED else name
            yield section(heading, [line for line in own if line.entity == name], words, figures, dates)
    elif own:
        yield section("", own, words, figures, dates)
    late = sorted(
        (line for line in invoice.lines if line.origin != invoice.period), key=lambda line: line.origin
    )
    for origin, lines in groupby(late, key=lambda line: line.origin):
        heading = words.say("earlier", period=dates.month(month(origin)[0]))
        yield section(heading, list(lines), words, figures, dates)


def section(heading: str, lines: Sequence[Line], words: Catalogue, figures: Figures, dates: Dates) -> Section:
    """The rows of one part: what the company as a whole pays, then account by account."""
    rows: list[Row] = []
    shown = ""
    for line in sorted(lines, key=lambda line: line.account):
        rows.append(
            Row(
                account="" if line.account == shown else line.account,
                item=words.item(line.item, line.label),
                note=remark(line, words, dates.short),
                quantity=figures.count(line.quantity),
                unit=figures.amount(line.unit_cents),
                net=figures.amount(line.net_cents),
            )
        )
        shown = line.account
    total = figures.amount(sum(line.net_cents for line in lines))
    return Section(heading, tuple(rows), total)
