"""Section C of the examples: one call, one row, one price."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from billing.edges import answer
from billing.service.bill import rated
from billing.service.runners import DuckDb
from runtime.config import ConfigErrors
from tests.billing.cases import Json, call, nets, prices, read, row, run

ACCOUNTS = [{"id": "201"}]


def priced(folder: Path, rows: list[Json], *calls: Json, **further: Any) -> dict[str, str]:
    return prices(run(folder, accounts=ACCOUNTS, tariffs={"list": rows}, calls=calls, **further))


@pytest.mark.parametrize(
    ("written", "seconds", "price"),
    [
        pytest.param({"per_minute": "0.015"}, 125, "0.031250", id="B.C1"),
        pytest.param({"per_minute": "0.10", "first": 60}, 42, "0.100000", id="B.C2 42"),
        pytest.param({"per_minute": "0.10", "first": 60}, 60, "0.100000", id="B.C2 60"),
        pytest.param({"per_minute": "0.10", "first": 60}, 61, "0.101667", id="B.C2 61"),
        pytest.param(
            {"per_minute": "0.35", "first": 60, "next": 60, "setup": "0.08"}, 61, "0.780000", id="B.C4"
        ),
        pytest.param({"per_minute": "0.35", "setup": "0.08"}, 0, "0.000000", id="B.C6"),
        pytest.param({"per_minute": "0.015", "service_per_min": "0.35"}, 90, "0.547500", id="B.C8"),
        pytest.param({"per_minute": "0.35", "max_price": "1.00"}, 600, "1.000000", id="B.C9"),
        pytest.param({"per_minute": "0.50"}, 60, "0.500000", id="a minute is a minute"),
        pytest.param({"per_minute": "0.006", "first": 30, "next": 6}, 32, "0.003600", id="30/6"),
        pytest.param({"per_minute": "0.10", "grace": 5}, 5, "0.000000", id="grace"),
        pytest.param({"per_minute": "0.10", "grace": 5}, 6, "0.010000", id="after grace"),
        pytest.param({"service_per_call": "0.05"}, 1, "0.050000", id="an SMS"),
        pytest.param({"per_minute": "0.00003"}, 1, "0.000001", id="half up"),
        pytest.param({"per_minute": "0.000029999"}, 1, "0.000000", id="just below half"),
    ],
)
def test_price(tmp_path: Path, written: Json, seconds: int, price: str) -> None:
    assert priced(tmp_path, [row(**written)], call("c", seconds)) == {"c": price}


def test_c6_a_call_without_talk_needs_no_row(tmp_path: Path) -> None:
    """B.C6, B.r8."""
    unanswered = {"id": "c", "account": "201", "dialled": "+4412345678", "setup": "2026-10-21T10:00:00Z"}
    assert priced(tmp_path, [row()], unanswered) == {"c": "0.000000"}


def test_c10_cents_are_rounded_on_the_line(tmp_path: Path) -> None:
    """B.C10: 1000 calls of 0.0014 are 1.40."""
    calls = [call(f"c{n}", 7) for n in range(1000)]
    found = run(tmp_path, accounts=ACCOUNTS, tariffs={"list": [row(per_minute="0.012")]}, calls=calls)
    assert set(prices(found).values()) == {"0.001400"}
    assert nets(found) == ["1.40"]


def test_c11_the_longest_prefix_wins(tmp_path: Path) -> None:
    """B.C11: for any order of rows."""
    rows = [row("+33", "A"), row("+336", "B"), row("+3361", "C")]
    for order in permutations(rows):
        found = run(tmp_path, accounts=ACCOUNTS, tariffs={"list": list(order)}, calls=[call("c", 1)])
        assert found["rated"][0]["class"] == "C"


def test_c12_overlapping_rows_are_refused(tmp_path: Path) -> None:
    """B.C12: both are named, in a case as in CSV, and nothing is loaded."""
    csv = "prefix;class;setup;from;to\n+33;A;0;;\n+336;B;0;2026-01-01;2026-10-31\n336;C;0;2026-10-31;\n"
    (tmp_path / "t.csv").write_text(csv)
    with pytest.raises(ConfigErrors) as wrong:
        run(tmp_path, tariffs={"list": "t.csv"})
    text = str(wrong.value)
    assert f"{tmp_path}/t.csv:4:1: prefix: " in text
    assert f"priced at {tmp_path}/t.csv:3 and at {tmp_path}/t.csv:4 on the same days" in text
    assert "2026-10-31 to 2026-10-31" in text
    with pytest.raises(
        ConfigErrors, match=r"case.yaml:1:[0-9]+ and at .*case.yaml:1:[0-9]+ on the same days"
    ):
        run(tmp_path, tariffs={"list": [row(), row(per_minute="0.1")]})


def test_every_overlap_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prefix;class;setup\n" + "+33;A;0\n+34;B;0\n" * 2)
    with pytest.raises(ConfigErrors) as wrong:
        run(tmp_path, tariffs={"list": "t.csv"})
    assert [error.line for error in wrong.value.errors] == [4, 5]


@pytest.mark.parametrize("csv", ["prefix;class\n+336;M\n", "prefix;class;per_minute;max_price\n+336;M;;1\n"])
def test_a_row_without_a_price_is_refused(tmp_path: Path, csv: str) -> None:
    """A forgotten cell must not make a destination free; who means it writes 0."""
    (tmp_path / "t.csv").write_text(csv)
    with pytest.raises(
        ConfigErrors, match=r"t\.csv:2:1: per_minute: expected a price, 0 where calls are free"
    ):
        run(tmp_path, tariffs={"list": "t.csv"})


def test_all_errors_of_a_tariff_at_once(tmp_path: Path) -> None:
    csv = "prefix;class;per_minute;first;from\n+336;;0,10;0;x\n06;A;1;1;\n+331;A;1.0000000001;1;2026-02-30\n"
    (tmp_path / "t.csv").write_text("\ufeff" + csv)
    with pytest.raises(ConfigErrors) as wrong:
        run(tmp_path, tariffs={"list": "t.csv"})
    found = [(error.line, error.path) for error in wrong.value.errors]
    assert found == [
        *((2, column) for column in ("per_minute", "first", "from", "class")),
        (3, "prefix"),
        *((4, column) for column in ("per_minute", "from")),
    ]
    assert "a decimal with a dot, not a comma" in str(wrong.value)


def test_prices_that_64_bits_cannot_bear_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="prices that a call of a week can bear"):
        run(tmp_path, tariffs={"list": [row(per_minute="5000")]})
    dear = row(per_minute="2900", first=86400, next=86400)
    assert priced(tmp_path, [dear], call("c", 604_800)) == {"c": "29232000.000000"}


def test_c13_the_answer_decides_price_and_period(tmp_path: Path) -> None:
    """B.C13."""
    rows = [row(per_minute="0.02", to="2026-10-31"), row(per_minute="0.03", **{"from": "2026-11-01"})]
    calls = [call("c", 120, answer="2026-10-31T22:59:30Z"), call("d", 120, answer="2026-10-31T23:00:00Z")]
    assert priced(tmp_path, rows, *calls) == {"c": "0.040000"}
    assert priced(tmp_path, rows, *calls, period="2026-11") == {"d": "0.060000"}


def test_c14_clocks_go_back(tmp_path: Path) -> None:
    """B.C14: two minutes across the change are two minutes."""
    changed = call("c", 0, answer="2026-10-25T00:59:30Z", end="2026-10-25T01:01:30Z")
    del changed["seconds"]
    assert priced(tmp_path, [row(per_minute="0.10")], changed) == {"c": "0.200000"}


def test_a_fraction_of_a_second_rounds_up(tmp_path: Path) -> None:
    """B.r6."""
    rows = [row(per_minute="0.60")]
    assert priced(tmp_path, rows, {**call("c", 0), "seconds": "6.2"}) == {"c": "0.070000"}


def test_c15_c16_rating_again(tmp_path: Path) -> None:
    """B.C15, B.C16: each call once, baskets from zero; any order gives the same bytes."""
    offers = {"flat": {"kind": "recipe", "baskets": [{"classes": ["FR_MOBILE"], "minutes": 2}]}}
    calls = [call(f"c{n}", 50 + n, answer=f"2026-10-21T10:00:0{n % 3}Z") for n in range(6)]
    case = {
        "accounts": [{"id": "201", "line": {"offer": "flat"}}],
        "offers": offers,
        "tariffs": {"list": [row(per_minute="0.10")]},
    }
    first = run(tmp_path, **case, calls=calls)
    assert run(tmp_path, **case, calls=calls) == first
    assert run(tmp_path, **case, calls=calls[::-1]) == first
    assert run(tmp_path, **case, calls=calls[3:] + calls[:3]) == first
    assert sum(each["in_basket_seconds"] for each in first["rated"]) == 120
    corrected = run(tmp_path, **{**case, "tariffs": {"list": [row(per_minute="0.20")]}}, calls=calls)
    for before, after in zip(first["rated"], corrected["rated"], strict=True):
        assert after["in_basket_seconds"] == before["in_basket_seconds"]
        assert after["price"] > before["price"] or before["price"] == "0.000000"


def test_c17_explain(tmp_path: Path) -> None:
    """B.C17."""
    offers = {"flat": {"kind": "recipe", "baskets": [{"classes": ["FR_MOBILE"], "minutes": 1}]}}
    (tmp_path / "list.csv").write_text(
        "prefix,class,per_minute,first,next\n+33,X,1,1,1\n+336,FR_MOBILE,0.10,60,60\n"
    )
    case = read(
        tmp_path,
        {
            "accounts": [{"id": "201", "line": {"offer": "flat"}}],
            "offers": offers,
            "tariffs": {"list": "list.csv"},
            "calls": [call("c", 61)],
        },
    )
    found = answer.explained(case, rated(case, DuckDb()), "c")
    assert found is not None
    assert (found["number"], found["seconds"]) == ("+33612345678", 61)
    customer = found["levels"]["customer"]
    assert (customer["class"], customer["prefix"]) == ("FR_MOBILE", "+336")
    assert customer["row"] == f"{tmp_path}/list.csv:3"
    assert (customer["billed_seconds"], customer["in_basket_seconds"]) == (120, 60)
    assert customer["price"] == "0.100000"
    assert answer.explained(case, rated(case, DuckDb()), "d") is None
