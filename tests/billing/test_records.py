"""Section I of the examples as far as a case file goes: keys, suspense, late calls."""

from pathlib import Path
from typing import Any

import pytest

from tests.billing.cases import Json, call, nets, prices, row, run

ACCOUNTS = [{"id": "201", "line": {"numbers": ["+33142000001"]}}]
LIST = {"list": [row(per_minute="0.60")]}


def answered(folder: Path, *calls: Json, **further: Any) -> Json:
    found = run(folder, **{"accounts": ACCOUNTS, "tariffs": LIST, "calls": calls, **further})
    counts = found["counts"]
    assert counts["received"] == sum(counts[name] for name in counts if name != "received")
    return found


def test_i1_records_again_are_duplicates(tmp_path: Path) -> None:
    """B.I1: counted, and no money."""
    calls = [call(f"c{n}", n + 1) for n in range(100)]
    once, twice = answered(tmp_path, *calls), answered(tmp_path, *calls, *calls)
    assert twice["counts"] == {**once["counts"], "received": 200, "duplicate": 100}
    assert twice["invoices"] == once["invoices"]


def test_i2_the_same_key_with_another_content(tmp_path: Path) -> None:
    """B.I2: the first is kept."""
    found = answered(tmp_path, call("c", 10), call("c", 20), call("c", 10))
    assert prices(found) == {"c": "0.100000"}
    assert [(each["id"], each["reason"]) for each in found["quarantine"]] == [("c", "conflict")]
    assert found["counts"]["duplicate"] == 1


def test_what_was_set_aside_and_comes_again_is_a_duplicate(tmp_path: Path) -> None:
    """B.r30: too old, in the future or in conflict, it is looked at once; the sum still holds."""
    old = call("old", 10, answer="2025-10-20T10:00:00Z")
    found = answered(
        tmp_path, old, call("c", 10), call("c", 20), old, call("c", 20), old,
        period="2025-10", now="2026-10-21T10:00:01Z",
    )  # fmt: skip
    assert [(each["id"], each["reason"]) for each in found["quarantine"]] == [("old", "too_old")]
    assert found["counts"]["duplicate"] == 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"dialled": "+4412345678"}, "no_price"),
        ({"dialled": "anonymous"}, "number"),
        ({"account": "999"}, "account"),
        ({"account": "", "caller": "+33142999999"}, "account"),
        ({"kind": "fax"}, "no_price"),
    ],
)
def test_i5_suspense(tmp_path: Path, changed: Json, reason: str) -> None:
    """B.I5: with a reason; it empties when the tariff has the row."""
    found = answered(tmp_path, {**call("c", 10), **changed}, call("d", 10))
    assert [(each["id"], each["reason"]) for each in found["suspense"]] == [("c", reason)]
    assert prices(found) == {"d": "0.100000"}
    if reason == "no_price":
        rows = [row("+", "X", per_minute="0.60") | {"prefix": prefix} for prefix in ("+3", "+4")]
        rows += [{**each, "kind": "fax"} for each in rows]
        assert answered(tmp_path, {**call("c", 10), **changed}, tariffs={"list": rows})["suspense"] == []


def test_a_level_without_a_row_suspends_the_call(tmp_path: Path) -> None:
    """B.r17: no level is ever 0 by accident, and its minutes are not used up."""
    tariffs = {**LIST, "resale": [row("+331", "FR_FIXE")]}
    found = answered(tmp_path, call("c", 10), tariffs=tariffs)
    assert found["suspense"][0]["detail"] == "no row of resale for voice +33612345678 on 2026-10-21"
    assert found["rated"] == []


def test_an_account_is_found_by_its_number(tmp_path: Path) -> None:
    found = answered(tmp_path, {**call("c", 10), "account": "", "caller": "+33142000001"})
    assert found["invoices"][0]["lines"][0]["account"] == "201"


def test_a_number_may_go_from_one_account_to_another(tmp_path: Path) -> None:
    line = {"numbers": ["+33142000001"]}
    accounts = [
        {"id": "old", "until": "2026-10-15", "line": line}, {"id": "new", "from": "2026-10-16", "line": line}
    ]  # fmt: skip
    calls = [
        {**call(day, 10, answer=f"2026-10-{day}T10:00:00Z"), "account": "", "caller": "+33142000001"}
        for day in ("15", "16")
    ]
    found = answered(tmp_path, *calls, accounts=accounts)
    assert [line["account"] for line in found["invoices"][0]["lines"]] == ["new", "old"]


def test_i7_late_calls_go_on_the_next_invoice(tmp_path: Path) -> None:
    """B.I7: with their own month's price and what its basket had left; October's invoice stays."""
    offers = {"o": {"kind": "recipe", "baskets": [{"classes": ["FR_MOBILE"], "minutes": 1}]}}
    accounts = [{"id": "201", "line": {"offer": "o"}}]
    rows = [row(per_minute="0.60", to="2026-10-31"), row(per_minute="1.20", **{"from": "2026-11-01"})]
    october = [
        call("first", 20, answer="2026-10-02T10:00:00Z"),
        call("last", 30, answer="2026-10-30T12:00:00Z", received="2026-11-03T10:00:00Z"),
    ]
    late = call("late", 30, answer="2026-10-10T10:00:00Z", received="2026-11-09T10:00:00Z")
    own = call("own", 90, answer="2026-11-10T10:00:00Z")
    case: dict[str, Any] = {
        "accounts": accounts,
        "offers": offers,
        "tariffs": {"list": rows},
        "closed": {"2026-10": "2026-11-05T09:00:00Z"},
    }
    before = run(tmp_path, **case, calls=october)
    assert run(tmp_path, **case, calls=[*october, late, own]) == before
    found = run(tmp_path, **case, period="2026-11", calls=[late, own, *october])
    assert prices(found) == {"late": "0.200000", "own": "0.600000"}
    assert [(line["period"], line["net"]) for line in found["invoices"][0]["lines"]] == [
        ("2026-11", "0.60"), ("2026-10", "0.20")
    ]  # fmt: skip


def test_i8_before_the_close_it_is_still_october(tmp_path: Path) -> None:
    """B.I8."""
    record = call("c", 10, answer="2026-10-31T10:00:00Z", received="2026-11-03T10:00:00Z")
    assert nets(answered(tmp_path, record, closed={"2026-10": "2026-11-05T09:00:00Z"})) == ["0.10"]


@pytest.mark.parametrize(
    ("answer", "reason"), [("2026-10-01T10:00:00Z", "too_old"), ("2026-10-02T10:00:00Z", None)]
)
def test_i9_too_old(tmp_path: Path, answer: str, reason: str | None) -> None:
    """B.I9: 365 days."""
    found = answered(tmp_path, call("c", 10, answer=answer), now="2027-10-02T09:00:00Z")
    assert [each["reason"] for each in found["quarantine"]] == ([reason] if reason else [])


def test_the_future_is_set_aside(tmp_path: Path) -> None:
    """B.r30: more than 24 hours ahead."""
    found = answered(
        tmp_path, call("c", 10), call("d", 10, answer="2026-10-21T10:00:01Z"), now="2026-10-20T10:00:00Z"
    )
    assert [(each["id"], each["reason"]) for each in found["quarantine"]] == [("d", "future")]


def test_other_periods_are_left_out(tmp_path: Path) -> None:
    found = answered(tmp_path, call("c", 10, answer="2026-09-21T10:00:00Z"), call("d", 10))
    assert found["counts"]["received"] == 1


def test_calls_from_csv(tmp_path: Path) -> None:
    """Tables may be CSV beside the case; errors name their line."""
    (tmp_path / "calls.csv").write_text(
        "id;account;dialled;answer;seconds\nc;201;0612345678;2026-10-21T10:00:00Z;9.1\n"
    )
    found = run(tmp_path, accounts=ACCOUNTS, tariffs=LIST, calls="calls.csv")
    assert prices(found) == {"c": "0.100000"}
    (tmp_path / "calls.csv").write_text(
        "id;dialled;answer;seconds\nc;1;2026-10-21;9\nd;1;2026-10-21T10:00:00Z;x\n"
    )
    with pytest.raises(
        Exception, match=r"calls.csv:2:1: answer: expected an instant(.|\n)*calls.csv:3:1: seconds"
    ):
        run(tmp_path, accounts=ACCOUNTS, tariffs=LIST, calls="calls.csv")
