"""What no schematron checks: quantity x price, the IBAN, and that the PDF is what it says it is.

PDF/A is looked at by its structure only: version and level in the metadata, embedded fonts, output intent,
one attachment. veraPDF, which reads every rule of ISO 19005-3, is no package and not asked.
"""

import io
from collections.abc import Iterator
from decimal import Decimal
from xml.etree import ElementTree

from billing.edges.einvoice.adapter import extract
from billing.edges.einvoice.schematron import Finding
from billing.edges.extra import einvoice_needed

with einvoice_needed():
    import pypdf
    from pypdf.generic import ArrayObject, DictionaryObject, StreamObject

RAM = "{urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100}"
OWN = "own"
PDFA = "http://www.aiim.org/pdfa/ns/id/"


def written(xml: bytes) -> tuple[Finding, ...]:
    """What is wrong with the CII: quantity x price, prices below 0, an account that is no IBAN."""
    root = ElementTree.fromstring(xml)  # noqa: S314 - what we have just written
    lines = root.iter(f"{RAM}IncludedSupplyChainTradeLineItem")
    # factur-x writes what fails the check digits of an IBAN as some other number of an account.
    strange = [account.text for account in root.iter(f"{RAM}ProprietaryID")]
    return (
        *(found for line in lines for found in line_findings(line)),
        *(Finding(OWN, "iban", "BT-84", f"found {text}, which is no IBAN") for text in strange),
    )


def line_findings(line: ElementTree.Element) -> Iterator[Finding]:
    """Of one line."""
    where = f"line {value(line, 'LineID')}"
    price, quantity, net = (
        Decimal(value(line, name)) for name in ("ChargeAmount", "BilledQuantity", "LineTotalAmount")
    )
    if quantity * price != net:
        yield Finding(
            OWN, "quantity-price", where, f"{quantity} x {price} is {quantity * price}, found {net}"
        )
    if price < 0:
        yield Finding(OWN, "negative-price", where, f"found {price}; what is owed back is a credit note")


def value(line: ElementTree.Element, name: str) -> str:
    """The text of the first element of that name."""
    return next(line.iter(RAM + name)).text or ""


def printed(pdf: bytes, xml: bytes) -> tuple[Finding, ...]:
    """What is wrong with the PDF as Factur-X: the XML in it byte for byte, and the structure of PDF/A-3b."""
    return tuple(Finding(OWN, rule, "pdf", text) for rule, text in wrong(pdf, xml))


def wrong(pdf: bytes, xml: bytes) -> Iterator[tuple[str, str]]:
    """Rule and text of each thing."""
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    root = reader.root_object
    if extract(pdf) != xml:
        yield "attachment", "the XML in the PDF is not the XML that is issued"
    attached = root["/AF"].get_object() if "/AF" in root else ArrayObject()
    assert isinstance(attached, ArrayObject)
    if [file.get_object()["/AFRelationship"] for file in attached] != ["/Data"]:
        yield "af-relationship", f"found {len(attached)} associated files, right is one, as Data"
    if [intent["/S"] for intent in root.get("/OutputIntents", [])] != ["/GTS_PDFA1"]:
        yield "output-intent", "no output intent of PDF/A"
    if "/ID" not in reader.trailer or reader.is_encrypted:
        yield "trailer", "no file identifier, or encrypted"
    if not part_3_level_b(root):
        yield "pdfa-level", "the metadata does not say part 3, level B"
    fonts = {str(font["/BaseFont"]): font for page in reader.pages for font in fonts_of(page)}
    if not fonts:
        yield "fonts", "no text is printed"
    yield from (("fonts", f"{name} is not embedded") for name, font in fonts.items() if not embedded(font))


def part_3_level_b(root: DictionaryObject) -> bool:
    """Whether the XMP metadata says PDF/A-3b."""
    if "/Metadata" not in root:
        return False
    stream = root["/Metadata"].get_object()
    assert isinstance(stream, StreamObject)
    metadata = ElementTree.fromstring(stream.get_data())  # noqa: S314 - our own
    said = {
        name: element.get(f"{{{PDFA}}}{name}") or element.findtext(f"{{{PDFA}}}{name}")
        for element in metadata.iter()
        for name in ("part", "conformance")
        if element.get(f"{{{PDFA}}}{name}") or element.findtext(f"{{{PDFA}}}{name}")
    }
    return said == {"part": "3", "conformance": "B"}


def fonts_of(page: pypdf.PageObject) -> list[DictionaryObject]:
    """Fonts of a page, and of the forms that it draws."""
    resources = page.get("/Resources", DictionaryObject()).get_object()
    forms = [
        form.get_object() for form in resources.get("/XObject", DictionaryObject()).get_object().values()
    ]
    inner = [form["/Resources"].get_object() for form in forms if "/Resources" in form]
    return [
        font.get_object()
        for each in (resources, *inner)
        for font in each.get("/Font", DictionaryObject()).get_object().values()
    ]


def embedded(font: DictionaryObject) -> bool:
    """Whether the font, or the one that a composite font is made of, brings its file."""
    parts = font.get("/DescendantFonts", [font])
    descriptors = [
        part.get_object().get("/FontDescriptor", DictionaryObject()).get_object() for part in parts
    ]
    return all(any(f"/FontFile{kind}" in each for kind in ("", "2", "3")) for each in descriptors)
