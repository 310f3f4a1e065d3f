"""An issued invoice or credit note: numbered, dated, between two parties, never changed again.

Source: EN 16931-1 (BT numbers in the comments); docs/billing.md.
"""

from dataclasses import dataclass
from datetime import date

from billing.core.invoice import Invoice


@dataclass(frozen=True, slots=True)
class Party:
    """Seller (BG-4) or buyer (BG-7)."""

    name: str
    street: str
    postcode: str
    city: str
    country: str
    """ISO 3166-1, two letters."""
    vat_id: str = ""
    """BT-31, BT-48."""
    legal_id: str = ""
    """BT-30, BT-47: SIREN in France, REA or fiscal code in Italy."""
    endpoint: str = ""
    """BT-34, BT-49: electronic address; "" = the legal id."""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """How to pay it (BG-16)."""

    iban: str = ""
    bic: str = ""
    terms: str = ""
    """BT-20, free text; "" = by the due date."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is printed and transmitted."""

    number: str
    """BT-1, for example F2026-10-0001; credit notes have a series of their own."""
    issued: date
    due: date
    seller: Party
    buyer: Party
    invoice: Invoice
    language: str
    """fr, it, de or en."""
    payment: Payment = Payment()
    corrects: str = ""
    """Number of the invoice that this credit note (type 381) is about (BT-25); "" = an invoice (380)."""
    corrects_issued: date | None = None
    """BT-26."""
    vat_reason: str = ""
    """BT-120: why nobody pays VAT to the seller at rate 0 (reverse charge); "" = the rate says all."""
