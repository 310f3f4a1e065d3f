"""The printed invoice, read back: what is owed and why, in four languages, PDF/A-3b with its XML."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import pypdf
import pytest

from billing.core.document import Document
from billing.core.invoice import Invoice, Sort
from billing.edges.einvoice import checks
from billing.edges.einvoice.adapter import embed, extract, xml
from billing.edges.pdf import plain
from billing.edges.pdf.dates import IsoDates
from billing.edges.pdf.local_dates import LocalDates
from billing.edges.pdf.paper import html, pdf
from billing.edges.pdf.usage import plots
from billing.edges.pdf.view import view
from tests.billing.documents import ABROAD, PERIOD, PRINTING, branches, calls, issued, line, reference

pytestmark = PRINTING

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
SAID = {
    "fr": (
        "Facture F2026-10-0001",
        "du 4 novembre 2026",
        "octobre 2026",
        "196,70 €",
        "avant le 4 décembre 2026",
    ),
    "it": (
        "Fattura F2026-10-0001",
        "del 4 novembre 2026",
        "ottobre 2026",
        "196,70 €",
        "entro il 4 dicembre 2026",
    ),
    "de": (
        "Rechnung F2026-10-0001",
        "vom 4. November 2026",
        "Oktober 2026",
        "196,70 €",
        "bis 4. Dezember 2026",
    ),
    "en": ("Invoice F2026-10-0001", "of 4 November 2026", "October 2026", "€196.70", "by 4 December 2026"),
}
LINES = {
    "fr": (
        "File d'attente",
        "du 1 oct. au 14 oct.",
        "6,77 €",
        "41 appels, 3:52:00 facturées",
        "163,92 €",
        "TVA 20 %",
    ),
    "it": (
        "Coda d'attesa",
        "dal 1 ott al 14 ott",
        "6,77 €",
        "41 chiamate, 3:52:00 fatturati",
        "163,92 €",
        "IVA 20%",
    ),
    "de": (
        "Warteschlange",
        "1. Okt. bis 14. Okt.",
        "6,77 €",
        "41 Anrufe, 3:52:00 berechnet",
        "163,92 €",
        "USt. 20 %",
    ),
    "en": ("Queue", "1 Oct to 14 Oct", "€6.77", "41 calls, 3:52:00 billed", "€163.92", "VAT 20%"),
}


def printed(document: Document) -> bytes:
    page = view(document, LocalDates(document.language))
    drawn = pdf(page, plots(document, calls()))
    return embed(drawn, xml(document), document, page.title)


def text_of(made: bytes) -> str:
    """The text of all pages, each run of spaces (U+00A0, U+202F too) as one."""
    reader = pypdf.PdfReader(io.BytesIO(made))
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


@pytest.mark.parametrize("language", list(SAID))
def test_one_look_tells_what_is_owed_and_why(language: str) -> None:
    """B.J1 and B.J6 on paper."""
    document = replace(reference(), language=language)
    made = printed(document)
    text = text_of(made)
    for said in (
        *SAID[language],
        *LINES[language],
        "FR76 3000 6000 0112 3456 7890 189",
        "Menuiserie Dubois SARL",
    ):
        assert said in text
    assert extract(made) == xml(document)
    assert checks.printed(made, xml(document)) == ()
    assert len(pypdf.PdfReader(io.BytesIO(made)).pages) == 1


def test_a_long_invoice_has_sections_and_pages() -> None:
    """B.D8 and B.I7 on paper: entities with their sums, the account without, the earlier period."""
    document = branches()
    made = printed(document)
    text = text_of(made)
    reader = pypdf.PdfReader(io.BytesIO(made))
    assert len(reader.pages) > 2
    assert f"1 / {len(reader.pages)}" in reader.pages[0].extract_text()
    assert "F2026-10-0001" in reader.pages[1].extract_text()
    for said in (
        "(sans entité) 19,90 €",
        "Entreprise 15,00 €",
        "Lyon 25 095,97 €",
        "Périodes antérieures : septembre 2026 0,44 €",
    ):
        assert said in text
    for account in (*range(201, 221), *range(301, 321), *range(401, 421)):
        assert f"{account} " in text


def test_an_invoice_of_an_entity_names_it() -> None:
    """B.D4."""
    whole = reference()
    page = view(replace(whole, invoice=replace(whole.invoice, entity="Lyon + Nancy")), IsoDates())
    assert ("Entité", "Lyon + Nancy") in page.facts


def test_every_line_is_in_exactly_one_section() -> None:
    page = view(branches(), IsoDates())
    assert sum(len(section.rows) for section in page.sections) == len(branches().invoice.lines)


def test_a_line_of_an_entity_without_section_is_shown() -> None:
    """Else it would be owed and not shown."""
    lines = (line(Sort.FEE, "account", 1200, entity="Metz"), line(Sort.ENTITIES, "entities", 1500))
    page = view(issued(Invoice("", PERIOD, lines, 2000, ("Lyon",))), IsoDates())
    assert [(part.heading, len(part.rows)) for part in page.sections] == [
        ("Lyon", 0),
        ("Metz", 1),
        ("Entreprise", 1),
    ]


def test_a_credit_note_owes_the_customer() -> None:
    """B.I11: 3.48 + 0.70 = 4.18, no account to pay to."""
    whole = reference()
    note = replace(
        whole,
        number="A2026-11-0001",
        corrects=whole.number,
        corrects_issued=whole.issued,
        invoice=replace(whole.invoice, lines=whole.invoice.lines[2:3]),
    )
    text = text_of(printed(note))
    for said in ("Avoir A2026-11-0001", "sur la facture F2026-10-0001", "En votre faveur", "4,18 €"):
        assert said in text
    assert "IBAN" not in text


def test_reverse_charge_says_why() -> None:
    document = replace(
        reference(),
        buyer=ABROAD,
        language="de",
        vat_reason="Steuerschuldnerschaft des Leistungsempfängers",
        invoice=replace(reference().invoice, vat_bp=0),
    )
    text = text_of(printed(document))
    for said in ("USt. 0 %", "Steuerschuldnerschaft des Leistungsempfängers", "DE-79098 Freiburg"):
        assert said in text


def test_the_same_document_gives_the_same_bytes(sound: bytes) -> None:
    """Nothing in it is of the hour in which it was made, so a close that died makes the same file again."""
    assert printed(reference()) == sound
    said = pypdf.PdfReader(io.BytesIO(sound))
    assert said.metadata is not None
    assert {str(said.metadata[key]) for key in ("/CreationDate", "/ModDate")} == {"D:20261104000000+00'00'"}
    xmp = said.xmp_metadata
    assert xmp is not None
    assert f"{xmp.xmp_create_date} {xmp.xmp_modify_date}" == "2026-11-04 00:00:00 2026-11-04 00:00:00"


def test_names_are_texts() -> None:
    """A customer may call himself anything."""
    evil = '<img src="file:///etc/hostname"> & <b>'
    document = replace(reference(), buyer=replace(reference().buyer, name=evil))
    page = view(document, LocalDates("fr"))
    for made in (html(page, ()), plain.invoice(page, ()).decode()):
        assert "<img" not in made
        assert "&lt;img" in made
    assert '<img src="file:///etc/hostname">' in text_of(printed(document))


def test_nothing_is_fetched(tmp_path: Path) -> None:
    """Were a picture of the disk to come into a page, it would be in the PDF."""
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    for source in (
        f'<img src="{picture.as_uri()}">',
        f"<style>body {{ background: url({picture.as_uri()}) }}</style>",
    ):
        made = pdf(view(reference(), LocalDates("fr")), (("", source),))
        assert len(pypdf.PdfReader(io.BytesIO(made)).pages[0].images) == 0


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ((b"/AFRelationship /Data", b"/AFRelationship /Date"), "af-relationship"),
        ((b"/GTS_PDFA1", b"/GTS_PDFX1"), "output-intent"),
        ((b"/FontFile", b"/FontFool"), "fonts"),
        ((b"<pdfaid:part>3<", b"<pdfaid:part>1<"), "pdfa-level"),
    ],
)
def test_each_fault_of_a_pdf_is_found(fault: tuple[bytes, bytes], rule: str, sound: bytes) -> None:
    """Faults of the same length, so that the file itself stays readable."""
    assert fault[0] in sound
    found = checks.printed(sound.replace(*fault), xml(reference()))
    assert {finding.rule for finding in found} == {rule}


def test_another_xml_than_the_issued_one_is_found(sound: bytes) -> None:
    """B.J6: one space more."""
    found = checks.printed(sound, xml(reference()) + b" ")
    assert [finding.rule for finding in found] == ["attachment"]


@pytest.fixture(scope="module")
def sound() -> bytes:
    return printed(reference())
