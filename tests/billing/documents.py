"""Documents that the tests of this room issue. Everybody in them is invented."""

from dataclasses import replace
from datetime import date

import pytest

from billing.core.detail import Detail
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
        line(Sort.FEE, "account", 1200, quantity=12, days=(("2026-10-01", "2026-10-31"),)),
        line(Sort.OPTION, "queue", 677, days=(("2026-10-01", "2026-10-14"),)),
        line(Sort.CALLS, "FR_FIXE", 348, account="201", calls=41, seconds=13920),
        line(Sort.CALLS, "FR_MOBILE", 807, account="202", calls=23, seconds=4839),
        line(Sort.CALLS, "SPECIAL", 160, account="202", calls=2, seconds=274),
    )
    return issued(Invoice("", PERIOD, lines, 2000))


def calls(level: str = "customer", price: int = 60_000) -> tuple[Detail, ...]:
    """40 calls of October; the n-th costs n times `price` micro-euro."""
    classes = ("FR_FIXE", "FR_MOBILE", "SPECIAL")
    return tuple(
        Detail(
            key=f"acme/hq/0 call-{count} 1",
            level=level,
            start_ms=(1_790_848_800 + (count % 31) * 86_400) * 1000,
            period=PERIOD,
            day=count % 31 + 1,
            account="201" if count % 3 == 0 else "202",
            entity="Lyon",
            number=f"+336123456{count:02}",
            kind="voice",
            class_=classes[count % 3],
            seconds=60 + count,
            billed_seconds=90 + count,
            in_basket_seconds=count % 7,
            price=count * price,
        )
        for count in range(40)
    )


def branches() -> Document:
    """An invoice with three entities, an account without, an earlier period and 60 accounts: some pages."""
    lines = [line(Sort.ENTITIES, "entities", 1500)]
    for entity, first in (("Lyon", 201), ("Nancy", 301), ("Metz", 401)):
        lines.append(line(Sort.OPTION, "queue", 677, entity=entity, days=(("2026-10-01", "2026-10-14"),)))
        for account in map(str, range(first, first + 20)):
            lines.append(line(Sort.FEE, "account", 1990, entity=entity, account=account))
            lines.append(
                line(Sort.CALLS, "FR_FIXE", 123_456, entity=entity, account=account, calls=9, seconds=4000)
            )
    lines.append(
        line(Sort.CALLS, "FR_MOBILE", 44, entity="Lyon", account="202", origin=202609, calls=1, seconds=264)
    )
    lines.append(line(Sort.FEE, "account", 1990, entity="(none)", account="501"))
    return issued(Invoice("", PERIOD, tuple(lines), 2000, ("Lyon", "Nancy", "Metz", "(none)")))


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
