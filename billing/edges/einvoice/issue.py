"""E-invoices of documents: XML and PDF that every validator has passed, or what they found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from billing.core.document import Document
from billing.edges.einvoice import checks
from billing.edges.einvoice.adapter import CII, UBL, StructureError, Syntax, embed, xml
from billing.edges.einvoice.schematron import BATCH, Finding, judge
from billing.edges.pdf.local_dates import LocalDates
from billing.edges.pdf.paper import pdf
from billing.edges.pdf.usage import Plots
from billing.edges.pdf.view import view


@dataclass(frozen=True, slots=True)
class EInvoice:
    """A valid invoice: `xml` is CII and attached to `pdf`, byte for byte."""

    number: str
    xml: bytes
    pdf: bytes
    fired: int
    """Rules of the schematrons that looked at it."""
    ubl: bytes = b""
    """The same in UBL, where it was asked for."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """An invoice that must not be issued, and why."""

    number: str
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class Draft:
    """A document on its way through the validators."""

    document: Document
    plots: Plots
    written: dict[Syntax, bytes]
    findings: list[Finding]
    fired: int = 0


def einvoices(
    documents: Sequence[Document], plots: Sequence[Plots], *, ubl: bool = False
) -> Iterator[EInvoice | Invalid]:
    """One answer for each document, in order. ValidatorError where a validator gives no verdict."""
    syntaxes = (CII, UBL) if ubl else (CII,)
    for start in range(0, len(documents), BATCH):
        pairs = zip(documents[start : start + BATCH], plots[start : start + BATCH], strict=True)
        drafts = [drafted(document, plot, syntaxes) for document, plot in pairs]
        for syntax in syntaxes:
            validate(drafts, syntax)
        yield from map(issued, drafts)


def drafted(document: Document, plots: Plots, syntaxes: Sequence[Syntax]) -> Draft:
    """The XML in each syntax, looked at by the XSD and by ourselves."""
    draft = Draft(document, plots, {}, [])
    try:
        draft.written = {syntax: xml(document, syntax) for syntax in syntaxes}
    except StructureError as error:
        draft.findings.append(Finding("XSD", "structure", document.number, str(error)))
    else:
        draft.findings += checks.written(draft.written[CII])
    return draft


def validate(drafts: Sequence[Draft], syntax: Syntax) -> None:
    """What EN 16931 finds, and the rules of France where they are concerned."""
    there = [draft for draft in drafts if syntax in draft.written]
    french = [draft for draft in there if domestic(draft.document)]
    for stylesheet, asked in ((syntax.everywhere, there), (syntax.france, french)):
        verdicts = judge([draft.written[syntax] for draft in asked], stylesheet)
        for draft, verdict in zip(asked, verdicts, strict=True):
            draft.findings += verdict.findings
            draft.fired += verdict.fired


def domestic(document: Document) -> bool:
    """Whether the rules of French invoices (BR-FR-CTC, flux 2) are about it: both parties are in France."""
    return document.seller.country == document.buyer.country == "FR"


def issued(draft: Draft) -> EInvoice | Invalid:
    """The PDF of valid XML, looked at as well."""
    document = draft.document
    if draft.findings:
        return Invalid(document.number, tuple(draft.findings))
    page = view(document, LocalDates(document.language))
    cii = draft.written[CII]
    made = embed(pdf(page, draft.plots), cii, document, page.title)
    if findings := checks.printed(made, cii):
        return Invalid(document.number, findings)
    return EInvoice(document.number, cii, made, draft.fired, draft.written.get(UBL, b""))
