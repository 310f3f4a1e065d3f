"""Section B of the examples: numbers and their classes, by the default table."""

from datetime import date
from pathlib import Path

import pytest

from billing.core.number import COUNTRIES, Form, Plan, normalise
from billing.core.tariff import CUSTOMER, Row, Tariff, check
from billing.edges.destinations_file import destinations
from tests.billing.cases import call, prices, row, run

DAY = date(2026, 10, 21)
FR, IT = Plan(), Plan("IT")
DOM, TRUNK = Plan(dom_as_france=True), Plan(trunk_prefix="0")


def class_of(dialled: str, plan: Plan, kind: str = "voice") -> tuple[str, str]:
    """(normalised, class) by the default table."""
    rows = tuple(Row(each.prefix, each.class_, each.kind, 1) for each in destinations(plan.country))
    number = normalise(dialled, plan)
    if number is None:
        return "", "suspense"
    if number.form in (Form.INTERNAL, Form.EMERGENCY):
        return number.text, number.form
    found = Tariff(CUSTOMER, rows).covering(kind, number.key, DAY)
    return number.text, found.class_ if found else "none"


@pytest.mark.parametrize(
    ("dialled", "plan", "kind", "normalised", "class_"),
    [
        pytest.param("0142681234", FR, "voice", "+33142681234", "FR_FIXE", id="B.B1"),
        pytest.param("0972123456", FR, "voice", "+33972123456", "FR_FIXE", id="B.B2"),
        *(
            pytest.param(dialled, FR, "voice", "+33612345678", "FR_MOBILE", id=f"B.B3 {dialled}")
            for dialled in (
                "0612345678", "0033612345678", "+33 6 12 34 56 78", "33612345678", "tel:+33-6-12-34-56-78",
                "+33 (0)6 12 34 56 78", "06/12.34.56.78",
            )
        ),
        pytest.param("0 0612345678", TRUNK, "voice", "+33612345678", "FR_MOBILE", id="B.B4"),
        pytest.param("000612345678", FR, "voice", "", "suspense", id="three zeros, no outside line"),
        pytest.param("0142681234", FR, "fax", "+33142681234", "FAX_FR", id="B.B5"),
        pytest.param("0612345678", FR, "sms", "+33612345678", "SMS_FR", id="B.B6"),
        pytest.param("0892123456", FR, "voice", "+33892123456", "SPECIAL", id="B.B7 0892"),
        pytest.param("0825123456", FR, "voice", "+33825123456", "SPECIAL", id="B.B7 0825"),
        pytest.param("3615", FR, "voice", "3615", "SPECIAL", id="B.B7 3615"),
        pytest.param("118218", FR, "voice", "118218", "SPECIAL", id="B.B7 118218"),
        pytest.param("0806123456", FR, "voice", "+33806123456", "SPECIAL", id="B.B9"),
        pytest.param("0690123456", FR, "voice", "+590690123456", "INT_MOBILE", id="B.B10 0690"),
        pytest.param("0692123456", FR, "voice", "+262692123456", "INT_MOBILE", id="B.B10 0692"),
        pytest.param("0590123456", FR, "voice", "+590590123456", "INT_FIXE", id="B.B10 0590"),
        pytest.param("0262123456", FR, "voice", "+262262123456", "INT_FIXE", id="B.B10 0262"),
        pytest.param("0690123456", DOM, "voice", "+33690123456", "FR_MOBILE", id="DOM 06"),
        pytest.param("+590590123456", DOM, "voice", "+33590123456", "FR_FIXE", id="DOM +590"),
        pytest.param("+12125551234", FR, "voice", "+12125551234", "INT_FIXE", id="B.B12"),
        pytest.param("201", FR, "voice", "201", "INTERNAL", id="B.B14 201"),
        pytest.param("**201", FR, "voice", "**201", "INTERNAL", id="B.B14 **201"),
        pytest.param("anonymous", FR, "voice", "", "suspense", id="B.B15 anonymous"),
        pytest.param("sip:alice@x", FR, "voice", "", "suspense", id="B.B15 sip"),
        pytest.param("", FR, "voice", "", "suspense", id="B.B15 empty"),
        pytest.param("0612345678", IT, "voice", "+390612345678", "IT_FIXE", id="B.B16 fixed"),
        pytest.param("3331234567", IT, "voice", "+393331234567", "IT_MOBILE", id="B.B16 mobile"),
        pytest.param("800123456", IT, "voice", "+39800123456", "FREE", id="B.B16 free"),
        pytest.param("899123456", IT, "voice", "+39899123456", "SPECIAL", id="B.B16 premium"),
        pytest.param("112", IT, "voice", "112", "EMERGENCY", id="B.B16 112"),
        pytest.param("393331234567", IT, "voice", "+393331234567", "IT_MOBILE", id="IT without plus"),
        pytest.param("15", FR, "voice", "15", "EMERGENCY", id="emergency"),
        pytest.param("0 112", TRUNK, "voice", "112", "EMERGENCY", id="emergency, outside line"),
        pytest.param("+3315", FR, "voice", "", "suspense", id="no number of France"),
        pytest.param("+0612345678", FR, "voice", "", "suspense", id="no country"),
    ],
)  # fmt: skip
def test_number(dialled: str, plan: Plan, kind: str, normalised: str, class_: str) -> None:
    assert class_of(dialled, plan, kind) == (normalised, class_)


def test_calls_that_cost_nothing(tmp_path: Path) -> None:
    """B.B14, B.B17: internal, incoming, and to an emergency number; no row is needed."""
    calls = [
        call("internal", 60, "201"),
        call("in", 60, "anonymous", direction="in"),
        call("help", 60, "112"),
        call("out", 60),
    ]
    found = run(tmp_path, accounts=[{"id": "201"}], tariffs={"list": [row(per_minute="0.10")]}, calls=calls)
    assert prices(found) == {
        "internal": "0.000000", "in": "0.000000", "help": "0.000000", "out": "0.100000"
    }  # fmt: skip
    assert found["counts"]["not_billable"] == 3
    assert [line["class"] for line in found["invoices"][0]["lines"]] == ["FR_MOBILE"]


def test_the_default_table_is_a_tariff() -> None:
    """No block twice, and every country's short numbers are its own."""
    for country in COUNTRIES:
        rows = destinations(country)
        assert all(each.source for each in rows)
        assert check([Row(each.prefix, each.class_, each.kind, place="t:1") for each in rows]) == []
        assert all(each.prefix.startswith(("+", f"{country}:")) for each in rows)
