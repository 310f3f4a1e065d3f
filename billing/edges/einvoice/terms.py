"""A document in the words of EN 16931: business terms (BT) and groups (BG) with their values.

The keys are those of factur-x 7.8; only this module and adapter.py know them (decision 0045).
Source: EN 16931-1; for France XP Z12-012 (BR-FR-05, BR-FR-08, BR-FR-CO-05).
"""

from billing.core.calendar import month
from billing.core.document import Document, Party
from billing.core.invoice import Line
from billing.edges.pdf.catalogue import Catalogue, catalogue
from billing.edges.pdf.figures import decimal
from billing.edges.pdf.remarks import NOTES, remark

Terms = dict[str, object]

INVOICE, CREDIT_NOTE = "380", "381"
PIECE = "C62"
SEPA_TRANSFER = "58"
SERVICES = "S1"
"""BT-23 in France: an invoice of services that is yet to be paid."""
SIREN, FRENCH_ADDRESS, E_MAIL = "0002", "0225", "EM"


def terms(document: Document) -> Terms:
    """Everything that the XML says. What it says is checked by checks.py and the validators, not here."""
    invoice = document.invoice
    words = catalogue(document.language)
    first, last = month(invoice.period)
    said: Terms = {
        "BT-1": document.number,
        "BT-2": document.issued,
        "BT-3": CREDIT_NOTE if document.corrects else INVOICE,
        "BT-5": "EUR",
        "BG-4": party(document.seller),
        "BG-7": party(document.buyer),
        # Without a date of delivery the library writes an empty one, which its own XSD refuses.
        "BT-72": last,
        "BT-73": first,
        "BT-74": last,
        "BG-23": [vat(document)],
        "BT-106": decimal(invoice.net_cents),
        "BT-109": decimal(invoice.net_cents),
        "BT-110": decimal(invoice.vat_cents),
        "BT-112": decimal(invoice.gross_cents),
        "BT-115": decimal(invoice.gross_cents),
        "BG-25": [row(document, number, line, words) for number, line in enumerate(invoice.lines, 1)],
    }
    said |= {"BT-10": invoice.entity} if invoice.entity else {}
    return said | payment(document, words) | preceding(document) | french(document, words)


def party(who: Party) -> Terms:
    """BG-4 or BG-7."""
    said: Terms = {
        "name": who.name,
        "addr_l1": who.street,
        "postcode": who.postcode,
        "city": who.city,
        "country_code": who.country,
    }
    if who.vat_id:
        said["vat_identifier"] = who.vat_id
    if who.legal_id:
        said["legal_identifier"] = who.legal_id
        if who.country == "FR":
            said["legal_identifier_schemeid"] = SIREN
    return said | endpoint(who)


def endpoint(who: Party) -> Terms:
    """BT-34, BT-49: `scheme:address`, a bare e-mail address, or in France the SIREN."""
    scheme, colon, address = who.endpoint.partition(":")
    if not colon:
        scheme = E_MAIL if "@" in who.endpoint else FRENCH_ADDRESS
        address = who.endpoint or (who.legal_id if who.country == "FR" else "")
    return {"einvoicing_addr": address, "einvoicing_addr_schemeid": scheme} if address else {}


def category(document: Document) -> str:
    """BT-118: reverse charge where the document says why, else the rate decides."""
    if document.invoice.vat_bp:
        return "S"
    return "AE" if document.vat_reason else "Z"


def vat(document: Document) -> Terms:
    """BG-23: one rate, VAT on the sum of the lines (B.r4)."""
    invoice = document.invoice
    said: Terms = {
        "BT-116": decimal(invoice.net_cents),
        "BT-117": decimal(invoice.vat_cents),
        "BT-118": category(document),
        "BT-119": decimal(invoice.vat_bp),
    }
    return said | ({"BT-120": document.vat_reason} if document.vat_reason else {})


def row(document: Document, number: int, line: Line, words: Catalogue) -> Terms:
    """BG-25: quantity and price as they are on the line; minutes and calls are a note, never a price."""
    first, last = month(line.origin)
    said: Terms = {
        "BT-126": str(number),
        "BT-153": words.item(line.item, line.label),
        "BT-129": str(line.quantity),
        "BT-130": PIECE,
        "BT-146": decimal(line.unit_cents),
        "BT-131": decimal(line.net_cents),
        "BT-151": category(document),
        "BT-152": decimal(document.invoice.vat_bp),
        "BT-134": first,
        "BT-135": last,
    }
    whose = [words.say("account", name=line.account)] if line.account else []
    whose += [line.entity] if line.entity and document.invoice.sections else []
    if whose:
        said["BT-154"] = " · ".join(whose)
    note = remark(line, words)
    return said | ({"BT-127-00": [{"BT-127": note}]} if note else {})


def payment(document: Document, words: Catalogue) -> Terms:
    """BG-16 and the due date; a credit note asks for no payment, and must say something (BR-CO-25)."""
    how = document.payment
    if document.corrects:
        return {"BT-20": how.terms or words.say("credited")}
    said: Terms = {"BT-9": document.due, "BT-83": document.number}
    if how.iban:
        said |= {"BT-81": SEPA_TRANSFER, "BT-84": how.iban.replace(" ", "")}
        said |= {"BT-86": how.bic} if how.bic else {}
    return said | ({"BT-20": how.terms} if how.terms else {})


def preceding(document: Document) -> Terms:
    """BG-3: the invoice that a credit note is about."""
    if not document.corrects:
        return {}
    reference: Terms = {"BT-25": document.corrects}
    if document.corrects_issued:
        reference["BT-26"] = document.corrects_issued
    return {"BG-3": [reference]}


def french(document: Document, words: Catalogue) -> Terms:
    """What a seller in France must say: the kind of business (BT-23) and three notes (BG-1)."""
    if document.seller.country != "FR":
        return {}
    notes = [{"BT-21": code, "BT-22": words.say(f"note_{code}")} for code in NOTES]
    return {"BT-23": SERVICES, "BG-1": notes}
