"""E-invoices of documents: XML and PDF that every validator has passed, or what they found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from billing.core.document import Document
from billing.edges.einvoice import checks
from billing.edges.einvoice.adapter import EN16931, FRANCE, StructureError, cii, embed
from billing.edges.einvoice.schematron import BATCH, Finding, judge
from billing.edges.pdf.local_dates import LocalDates
from billing.edges.pdf.paper import pdf
from billing.edges.pdf.usage import Plots
from billing.edges.pdf.view import view


@dataclass(frozen=True, slots=True)
class EInvoice:
    """A valid invoice: `xml` is attached to `pdf`, byte for byte."""

    number: str
    xml: bytes
    pdf: bytes
    fired: int
    """Rules of the schematrons that looked at it."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """An invoice that must not be issued, and why."""

    number: str
    findings: tuple[Finding, ...]


def einvoices(documents: Sequence[Document], plots: Sequence[Plots]) -> Iterator[EInvoice | Invalid]:
    """One answer for each document, in order. ValidatorError where a validator gives no verdict."""
    for start in range(0, len(documents), BATCH):
        yield from batch(documents[start : start + BATCH], plots[start : start + BATCH])


def batch(documents: Sequence[Document], plots: Sequence[Plots]) -> list[EInvoice | Invalid]:
    """The answers of one batch."""
    written = [xml_of(document) for document in documents]
    found, fired = validated(documents, written)
    return [
        Invalid(document.number, findings) if findings else drawn(document, plot, xml, count)
        for document, plot, xml, findings, count in zip(documents, plots, written, found, fired, strict=True)
    ]


def xml_of(document: Document) -> bytes | Finding:
    """The XML, or why there is none."""
    try:
        return cii(document)
    except StructureError as error:
        return Finding("XSD", "structure", document.number, str(error))


def validated(
    documents: Sequence[Document], written: Sequence[bytes | Finding]
) -> tuple[list[tuple[Finding, ...]], list[int]]:
    """Findings and fired rules of each document: our own checks, EN 16931, and France where concerned."""
    found = [(xml,) if isinstance(xml, Finding) else checks.arithmetic(xml) for xml in written]
    fired = [0] * len(documents)
    there = [place for place, xml in enumerate(written) if isinstance(xml, bytes)]
    french = [place for place in there if domestic(documents[place])]
    for stylesheet, places in ((EN16931, there), (FRANCE, french)):
        asked = [xml for xml in (written[place] for place in places) if isinstance(xml, bytes)]
        for place, verdict in zip(places, judge(asked, stylesheet), strict=True):
            found[place] += verdict.findings
            fired[place] += verdict.fired
    return found, fired


def domestic(document: Document) -> bool:
    """Whether the rules of French invoices (BR-FR-CTC, flux 2) are about it: both parties are in France."""
    return document.seller.country == document.buyer.country == "FR"


def drawn(document: Document, plots: Plots, xml: bytes | Finding, fired: int) -> EInvoice | Invalid:
    """The PDF of valid XML, looked at as well."""
    assert isinstance(xml, bytes)
    page = view(document, LocalDates(document.language))
    made = embed(pdf(page, plots), xml, document, page.title)
    findings = checks.printed(made, xml)
    return Invalid(document.number, findings) if findings else EInvoice(document.number, xml, made, fired)
