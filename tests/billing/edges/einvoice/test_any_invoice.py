"""Any invoice that can be made is valid: 50 random ones, with everything that names and amounts can be."""

import random
from dataclasses import replace
from datetime import date

from billing.core.document import Document, Party
from billing.core.invoice import Invoice, Line, Sort
from billing.edges.einvoice import checks
from billing.edges.einvoice.adapter import CII, xml
from billing.edges.einvoice.issue import domestic
from billing.edges.einvoice.schematron import judge
from billing.edges.pdf.catalogue import LANGUAGES
from tests.billing.documents import ABROAD, PERIOD, SELLER, issued

LABELS = ("", "", "Appels & renvois <b>", "日本 🎧", "L'été à « Nîmes »", "x" * 200, "  ", "a\tb")
ITEMS = ("FR_FIXE", "FR_MOBILE", "SPECIAL", "SMS_FR", "flat100", "&copy;")


def some_line(luck: random.Random) -> Line:
    sort = luck.choice(list(Sort))
    calls = luck.choice((1, 2, 12_345)) if sort is Sort.CALLS else 0
    return Line(
        sort=sort,
        item=luck.choice(ITEMS),
        label=luck.choice(LABELS),
        entity=luck.choice(("", "Lyon", "(none)")),
        account=luck.choice(("", "201", "9 & 10")),
        origin=luck.choice((PERIOD, PERIOD, 202512)),
        quantity=1 if sort is Sort.CALLS else luck.choice((1, 3, 8500)),
        unit_cents=luck.choice((0, 1, 465, 99_999_999)),
        calls=calls,
        seconds=calls * luck.choice((0, 7, 3600)),
        days=()
        if sort is Sort.CALLS
        else (("2026-10-10", "2026-10-14"), ("2026-10-20", "2026-10-22"))[: luck.randrange(3)],
    )


def some_document(luck: random.Random) -> Document:
    lines = tuple(some_line(luck) for _ in range(luck.choice((1, 2, 9))))
    rate = luck.choice((0, 550, 1000, 2000))
    sections = luck.choice(((), ("Lyon", "(none)")))
    made = issued(
        Invoice(luck.choice(("", "Lyon + Nancy")), PERIOD, lines, rate, sections), luck.choice(LANGUAGES)
    )
    if rate == 0:
        made = replace(made, buyer=ABROAD, vat_reason=luck.choice(("", "Autoliquidation")))
    if luck.random() < 0.3:
        made = replace(
            made, corrects="F2026-09-0007", corrects_issued=date(2026, 10, 5), number="A2026-10-0002"
        )
    if luck.random() < 0.3:
        made = replace(made, payment=replace(made.payment, terms="30 jours fin de mois"))
    return replace(made, buyer=odd(made.buyer, luck), seller=odd(SELLER, luck))


def odd(who: Party, luck: random.Random) -> Party:
    """Written as people write it."""
    name = luck.choice((who.name, "Ch. & Fils <SARL>", "Ø" * 90))
    return replace(
        who,
        name=name,
        endpoint=luck.choice(("", "factures@client.example")),
        street=luck.choice((who.street, "")),
    )


def test_any_invoice_is_valid() -> None:
    luck = random.Random(45)
    documents = [some_document(luck) for _ in range(50)]
    made = [xml(document) for document in documents]
    assert [found for each in made for found in checks.written(each)] == []
    found = [str(each) for verdict in judge(made, CII.everywhere) for each in verdict.findings]
    french = [each for each, document in zip(made, documents, strict=True) if domestic(document)]
    assert len(french) > 20
    found += [str(each) for verdict in judge(french, CII.france) for each in verdict.findings]
    assert found == []
