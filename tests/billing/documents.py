"""Documents that the tests of this room issue. Everybody in them is invented."""

from dataclasses import replace
from datetime import date

import pytest

from billing.core.document import Document, Party, Payment
from billing.core.invoice import Invoice, Line, Sort

# WeasyPrint 70 does not close the colour profile that it embeds.
PRINTING = pytest.mark.filterwarnings("ignore:unclosed file .*sRGB2014:ResourceWarning")

SELLER = Party(
    name="Télécom du Rhône SAS",
    street="12 quai Perrache",
    postcode="69002",
    city="Lyon",
    country="FR",
    vat_id="FR32123456789",
    legal_id="123456789",
    email="factures@telecom-rhone.example",
)
BUYER = Party(
    name="Menuiserie Dubois SARL",
    street="3 rue des Acacias",
    postcode="54000",
    city="Nancy",
    country="FR",
    vat_id="FR83404833048",
    legal_id="404833048",
)
ABROAD = Party(
    name="Tischlerei Baumann GmbH",
    street="Lindenstraße 8",
    postcode="79098",
    city="Freiburg",
    country="DE",
    vat_id="DE123456788",
    legal_id="HRB 12345",
)
PAYMENT = Payment(iban="FR7630006000011234567890189", bic="AGRIFRPP", terms="")
PERIOD = 202610


def line(
    sort: Sort,
    item: str,
    unit: int,
    *,
    quantity: int = 1,
    account: str = "",
    entity: str = "",
    **more: object,
) -> Line:
    return replace(Line(sort, item, "", entity, account, PERIOD, quantity, unit), **more)  # type: ignore[arg-type]


def reference() -> Document:
    """Case B.J1."""
    lines = (
        line(Sort.FEE, "fee", 1200, quantity=12, days=(("2026-10-01", "2026-10-31"),)),
        line(Sort.OPTION, "queue", 677, days=(("2026-10-01", "2026-10-14"),)),
        line(Sort.CALLS, "FR_FIXE", 348, account="201", calls=41, seconds=13920),
        line(Sort.CALLS, "FR_MOBILE", 807, account="202", calls=23, seconds=4839),
        line(Sort.CALLS, "SPECIAL", 160, account="202", calls=2, seconds=274),
    )
    return issued(Invoice("", PERIOD, lines, 2000))


def issued(invoice: Invoice, language: str = "fr", number: str = "F2026-10-0001") -> Document:
    return Document(
        number=number,
        issued=date(2026, 11, 4),
        due=date(2026, 12, 4),
        seller=SELLER,
        buyer=BUYER,
        invoice=invoice,
        language=language,
        payment=PAYMENT,
    )
