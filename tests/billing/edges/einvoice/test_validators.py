"""What the validators find: each planted fault by the rule that is for it, and nothing in what is right."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from billing.core.document import Document
from billing.core.invoice import Sort
from billing.edges.einvoice import checks
from billing.edges.einvoice.adapter import CII, UBL, StructureError, written, xml
from billing.edges.einvoice.issue import EInvoice, Invalid, einvoices
from billing.edges.einvoice.schematron import ValidatorError, judge
from billing.edges.einvoice.terms import Terms, terms
from tests.billing.documents import ABROAD, PRINTING, issued, line, reference

pytestmark = PRINTING

Rules = dict[str, tuple[list[str], list[str]]]


def credit() -> Document:
    """Case B.I11: one line of the reference invoice is taken back."""
    whole = reference()
    taken = replace(whole.invoice, lines=whole.invoice.lines[2:3])
    return replace(
        whole, number="A2026-11-0001", invoice=taken, corrects=whole.number, corrects_issued=whole.issued
    )


def late() -> Document:
    """A call of September on the invoice of October, in two entities, with a free line and a text."""
    whole = reference()
    lines = (
        *whole.invoice.lines,
        line(Sort.CALLS, "FR_MOBILE", 44, account="202", entity="Lyon", origin=202609, calls=1, seconds=264),
        line(Sort.CALLS, "FREE", 0, account="202", entity="Nancy", calls=1, seconds=60),
        line(Sort.CALLS, "SMS_FR", 36, account="202", entity="Nancy", calls=4, seconds=4),
    )
    return replace(whole, invoice=replace(whole.invoice, lines=lines, sections=("", "Lyon", "Nancy")))


def of_lyon() -> Document:
    """In the modes per_entity and mixed an invoice says whose it is, for the buyer to route it (BT-10)."""
    whole = reference()
    return replace(whole, invoice=replace(whole.invoice, entity="Lyon + Nancy"))


def without(said: Terms, *keys: str) -> Terms:
    return {key: value for key, value in said.items() if key not in keys}


def with_line(said: Terms, **changed: str) -> Terms:
    rows = said["BG-25"]
    assert isinstance(rows, list)
    return said | {"BG-25": [*rows[:-1], rows[-1] | {key.replace("_", "-"): changed[key] for key in changed}]}


def planted() -> Iterator[tuple[str, Terms, list[str], list[str]]]:
    """Name, terms, what EN 16931 finds, what the French rules find."""
    said = terms(reference())
    notes = ["BR-FR-05_BT-22_PMT", "BR-FR-05_BT-22_PMD", "BR-FR-05_BT-22_AAB"]
    yield "B.J1: reference", said, [], []
    yield "B.I11: credit note", terms(credit()), [], []
    yield "late calls, entities", terms(late()), [], []
    yield "B.D4: one of an entity", terms(of_lyon()), [], []
    yield "reverse charge, abroad", terms(abroad()), [], ["not asked"]
    yield "B.J2: BT-106 + 0.01", said | {"BT-106": "163.93"}, ["BR-CO-10", "BR-CO-13"], []
    yield "VAT off by a cent", said | {"BT-110": "32.79"}, ["BR-CO-14", "BR-CO-15"], []
    yield "VAT not of the rate", vat_off(said), ["BR-CO-17", "BR-S-09"], []
    yield "B.J3: no notes", without(said, "BG-1"), [], notes
    yield "no kind of business", without(said, "BT-23"), [], ["BR-FR-08_BT-23"]
    yield "negative price", with_line(said, BT_146="-1.60"), ["BR-27"], ["BR-FR-DEC-03_BT-146"]
    yield "381 that names no invoice", said | {"BT-3": "381"}, [], ["BR-FR-CO-05_BT-3"]
    yield "B.J5: quantity x price", with_line(said, BT_146="1.59"), [], []


def vat_off(said: Terms) -> Terms:
    """The VAT of the rate is wrong, and the sums agree with it."""
    rates = said["BG-23"]
    assert isinstance(rates, list)
    return said | {
        "BG-23": [rates[0] | {"BT-117": "34.78"}],
        "BT-110": "34.78",
        "BT-112": "198.70",
        "BT-115": "198.70",
    }


def abroad() -> Document:
    whole = reference()
    reason = "Autoliquidation, article 196 de la directive 2006/112/CE"
    return replace(
        whole, buyer=ABROAD, language="de", vat_reason=reason, invoice=replace(whole.invoice, vat_bp=0)
    )


@pytest.fixture(scope="module")
def found() -> Rules:
    """The rules that fail, of EN 16931 and of France: all cases in one process of each."""
    cases = list(planted())
    documents = [written(said) for _, said, _, _ in cases]
    base, france = judge(documents, CII.everywhere), judge(documents, CII.france)
    return {
        name: (sorted({f.rule for f in en.findings}), [f.rule for f in fr.findings])
        for (name, *_), en, fr in zip(cases, base, france, strict=True)
    }


@pytest.mark.parametrize(
    ("name", "said", "base", "french"), list(planted()), ids=[name for name, *_ in planted()]
)
def test_each_fault_has_its_rule(
    name: str, said: Terms, base: list[str], french: list[str], found: Rules
) -> None:
    assert found[name][0] == base
    if french != ["not asked"]:
        assert found[name][1] == french


def test_quantity_times_price_is_our_own_check() -> None:
    """B.J5: no schematron has it (above), ours has."""
    said = terms(reference())
    assert checks.written(written(said)) == ()
    wrong = checks.written(written(with_line(said, BT_146="1.59")))
    assert [str(each) for each in wrong] == ["own: quantity-price: line 5: 1 x 1.59 is 1.59, found 1.60"]
    negative = checks.written(written(with_line(said, BT_146="-1.60", BT_131="-1.60")))
    assert [each.rule for each in negative] == ["negative-price"]


def test_an_account_that_is_no_iban_is_our_own_check() -> None:
    """One digit is wrong: both schematrons pass it, and the money would go elsewhere or nowhere."""
    whole = reference()
    wrong = xml(replace(whole, payment=replace(whole.payment, iban="FR76 3000 6000 0112 3456 7890 188")))
    assert judge([wrong], CII.everywhere)[0].findings == ()
    assert [str(each) for each in checks.written(wrong)] == [
        "own: iban: BT-84: found FR7630006000011234567890188, which is no IBAN"
    ]


def test_a_finding_says_where_in_a_line() -> None:
    said = without(terms(reference()), "BT-23")
    (verdict,) = judge([written(said)], CII.france)
    assert verdict.findings[0].where == "/CrossIndustryInvoice/ExchangedDocumentContext"


def test_the_structure_is_checked() -> None:
    """Without a date of delivery factur-x writes an empty one, and its own XSD says so."""
    with pytest.raises(StructureError, match="ApplicableHeaderTradeDelivery"):
        written(without(terms(reference()), "BT-72"))
    with pytest.raises(StructureError, match="BT-1 "):
        written(without(terms(reference()), "BT-1"))


def test_the_totals_are_the_reference_invoice() -> None:
    """B.J1: 163.92, 32.78, 196.70."""
    made = xml(reference()).decode()
    assert "<ram:LineTotalAmount>163.92</ram:LineTotalAmount>" in made
    assert '<ram:TaxTotalAmount currencyID="EUR">32.78</ram:TaxTotalAmount>' in made
    assert "<ram:DuePayableAmount>196.70</ram:DuePayableAmount>" in made


def test_a_validator_that_is_not_there_is_no_pass(tmp_path: Path) -> None:
    one = xml(reference())
    with pytest.raises(ValidatorError, match=r"nowhere\.xslt"):
        judge([one], tmp_path / "nowhere.xslt")
    lonely = tmp_path / CII.everywhere.name
    lonely.write_bytes(CII.everywhere.read_bytes())
    with pytest.raises(ValidatorError):
        judge([one], lonely)


def test_a_validator_that_looks_at_nothing_is_no_pass() -> None:
    with pytest.raises(ValidatorError, match="no rule of it looked at"):
        judge([b"<order/>"], CII.france)


def test_invalid_is_not_issued_and_stops_nobody_else() -> None:
    """A negative line is a finding of that invoice; the next one is issued."""
    whole = reference()
    bad = issued(replace(whole.invoice, lines=(line(Sort.CALLS, "FR_FIXE", -100, account="201"),)))
    answers = list(einvoices([bad, replace(whole, number="F2026-10-0002")], [(), ()]))
    assert isinstance(answers[0], Invalid)
    assert {"BR-27", "negative-price"} <= {finding.rule for finding in answers[0].findings}
    assert isinstance(answers[1], EInvoice)
    assert answers[1].number == "F2026-10-0002"
    assert answers[1].fired >= 250


def test_credit_note_names_its_invoice() -> None:
    made = xml(credit()).decode()
    assert "<ram:TypeCode>381</ram:TypeCode>" in made
    assert "<ram:IssuerAssignedID>F2026-10-0001</ram:IssuerAssignedID>" in made
    assert "20261104" in made
    assert "<ram:DuePayableAmount>4.18</ram:DuePayableAmount>" in made
    assert date(2026, 11, 4) == credit().corrects_issued


def test_ubl_says_the_same() -> None:
    """The same terms as UBL, invoice and credit note, checked by the stylesheets of UBL."""
    answers = list(einvoices([reference(), credit(), abroad()], [(), (), ()], ubl=True))
    for answer, root, payable in zip(
        answers, ("Invoice", "CreditNote", "Invoice"), ("196.70", "4.18", "163.92"), strict=True
    ):
        assert isinstance(answer, EInvoice)
        assert f"<{root} xmlns" in answer.ubl.decode()
        assert f'PayableAmount currencyID="EUR">{payable}<' in answer.ubl.decode()
    said = terms(reference())
    (verdict,) = judge([written(said | {"BT-106": "163.93"}, UBL)], UBL.everywhere)
    assert {"BR-CO-10", "BR-CO-13"} <= {finding.rule for finding in verdict.findings}
