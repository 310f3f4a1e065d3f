"""All artefacts of a run for one customer: a file set for each document, and run.json about them.

With the extra [einvoice] an invoice is XML and PDF, without it plain HTML; the call detail is CSV either way.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from billing.core.detail import Detail
from billing.core.document import Document
from billing.edges.artefacts.detail_csv import detail_csv
from billing.edges.artefacts.statement import LevelError
from billing.edges.extra import ExtraMissingError
from billing.edges.pdf import plain as plain_pages
from billing.edges.pdf.catalogue import catalogue
from billing.edges.pdf.dates import IsoDates
from billing.edges.pdf.figures import decimal
from billing.edges.pdf.usage import classes_of, days_plot, plots
from billing.edges.pdf.view import view

CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Issue:
    """A document with the calls that it bills, all at the price of one level."""

    document: Document
    details: tuple[Detail, ...] = ()
    level: str = CUSTOMER


@dataclass(frozen=True, slots=True)
class Made:
    """The files of one document. With `findings` it is invalid and must not be issued."""

    number: str
    files: dict[str, bytes]
    findings: tuple[str, ...] = ()
    notice: str = ""
    """What was left out, and what to install for it."""


def artefacts(
    issues: Sequence[Issue], zone: str, *, masked: bool = False, ubl: bool = False, plain: bool = False
) -> Iterator[Made]:
    """The files of each document, in order; numbers masked and UBL beside CII where it is asked for.

    `plain`: HTML even where the extra is installed. LevelError where a call is priced for
    somebody else, ValidatorError where a validator gives no verdict.
    """
    for issue in issues:
        if {detail.level for detail in issue.details} - {issue.level}:
            raise LevelError(f"{issue.document.number}: calls of another level than {issue.level}")
    for issue, made in zip(issues, papers(issues, ubl=ubl, plain=plain), strict=True):
        yield Made(made.number, made.files | tables(issue, zone, masked=masked), made.findings, made.notice)


def papers(issues: Sequence[Issue], *, ubl: bool, plain: bool) -> Iterator[Made]:
    """The invoices themselves."""
    if plain:
        yield from (plain_paper(issue, "") for issue in issues)
        return
    try:
        from billing.edges.einvoice.issue import EInvoice, einvoices
    except ExtraMissingError as missing:
        yield from (plain_paper(issue, str(missing)) for issue in issues)
        return
    drawn = [plots(issue.document, issue.details) for issue in issues]
    for answer in einvoices([issue.document for issue in issues], drawn, ubl=ubl):
        number = answer.number
        if isinstance(answer, EInvoice):
            second = {f"{number}.ubl.xml": answer.ubl} if answer.ubl else {}
            yield Made(number, {f"{number}.xml": answer.xml, f"{number}.pdf": answer.pdf} | second)
        else:
            yield Made(number, {}, tuple(map(str, answer.findings)))


def notice() -> str:
    """What to install for e-invoices; "": they can be made."""
    try:
        import billing.edges.einvoice.issue  # noqa: F401 - the import is the question
    except ExtraMissingError as missing:
        return str(missing)
    return ""


def plain_paper(issue: Issue, notice: str) -> Made:
    """The invoice without the extra."""
    page = view(issue.document, IsoDates())
    number = issue.document.number
    return Made(
        number,
        {f"{number}.html": plain_pages.invoice(page, plots(issue.document, issue.details))},
        (),
        notice,
    )


def tables(issue: Issue, zone: str, *, masked: bool) -> dict[str, bytes]:
    """Call detail and plot; a credit note has neither."""
    document = issue.document
    if document.corrects:
        return {}
    plot = days_plot(
        document.invoice.period, issue.details, classes_of(document), catalogue(document.language)
    )
    made = {f"{document.number}.csv": detail_csv(issue.details, zone, masked=masked)}
    return made | ({f"{document.number}.svg": plot.encode()} if plot else {})


def run_json(period: int, documents: Sequence[Document], calls: int, files: Mapping[str, bytes]) -> bytes:
    """Totals, counts and the SHA-256 of each file; amounts as decimal strings, credit notes below 0."""
    signed = [(document, -1 if document.corrects else 1) for document in documents]
    said = {
        "period": f"{period // 100}-{period % 100:02}",
        "documents": [told(document) for document in documents],
        "totals": {
            "net": decimal(sum(sign * document.invoice.net_cents for document, sign in signed)),
            "vat": decimal(sum(sign * document.invoice.vat_cents for document, sign in signed)),
            "gross": decimal(sum(sign * document.invoice.gross_cents for document, sign in signed)),
        },
        "counts": {
            "documents": len(documents),
            "lines": sum(len(document.invoice.lines) for document in documents),
            "calls": calls,
        },
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(files.items())
        },
    }
    return (json.dumps(said, ensure_ascii=False, indent=2) + "\n").encode()


def told(document: Document) -> dict[str, object]:
    """One document of run.json."""
    invoice = document.invoice
    return {
        "number": document.number,
        "corrects": document.corrects or None,
        "entity": invoice.entity or None,
        "net": decimal(invoice.net_cents),
        "vat": decimal(invoice.vat_cents),
        "gross": decimal(invoice.gross_cents),
    }
