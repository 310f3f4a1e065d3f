"""`pbx-billing tariff check`: rows out of reach, resale above list, and what calls would cost by it."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from billing.core.number import Plan
from billing.core.tariff import CUSTOMER, Tariff
from billing.core.tariff_reach import reaches, unreachable
from billing.core.tariff_text import rows_of_csv
from billing.service.comparing import dearer
from billing.service.runners import DuckDb
from tests.billing.desk import Desk, cdr, customer
from tests.billing.test_cli import CONFIG, LIST, OCTOBER, told

DAY = date(2026, 11, 10)
HEAD = "prefix;class;per_minute;first;next;setup;max_price;from;to\n"


def out_of_reach(rows: str, day: date = DAY) -> list[str]:
    """The prefixes that are told."""
    tariff = Tariff(CUSTOMER, rows_of_csv(HEAD + rows, "t.csv"))
    return [row.prefix for row, _ in unreachable(tariff, Plan(), day)]


@pytest.mark.parametrize(
    ("prefix", "country", "is_reached"),
    [
        ("+33", "FR", True),
        ("+3361", "FR", True),
        ("+33612345678", "FR", True),
        ("+336123456789", "FR", False),  # ten digits
        ("+330", "FR", False),  # +33 (0)… is dropped
        ("+33690", "FR", False),  # Guadeloupe has +590
        ("+590690", "FR", True),
        ("FR:118", "FR", True),
        ("FR:36", "FR", True),
        ("FR:2", "FR", False),  # no short number begins so
        ("FR:112", "FR", False),  # emergency numbers cost nothing
        ("FR:118", "IT", False),
        ("+390", "IT", True),
        ("+392", "IT", False),
        ("IT:4", "IT", True),
        ("+33690", "IT", True),
        ("+447", "FR", True),
        ("+123456789012345", "FR", True),
    ],
)
def test_what_a_number_reaches(prefix: str, country: str, is_reached: bool) -> None:
    assert reaches(prefix, Plan(country)) is is_reached


def test_overseas_as_france() -> None:
    assert reaches("+33690", Plan(dom_as_france=True))
    assert not reaches("+33690", Plan())


def test_longer_prefixes_take_all() -> None:
    """+330 has no number, so nine rows are enough; and each day counts."""
    below = "".join(f"+33{digit};A;0.1;;;;;;\n" for digit in range(1, 10))
    assert out_of_reach("+33;A;0.1;;;;;;\n" + below) == ["+33"]
    assert out_of_reach("+33;A;0.1;;;;;;\n" + below.replace("+335;A", "+3351;A")) == []
    deep = below.replace("+335;A;0.1;;;;;;\n", "".join(f"+335{n};A;0.1;;;;;;\n" for n in range(10)))
    assert out_of_reach("+33;A;0.1;;;;;;\n" + deep) == ["+33"]
    short = below.replace("+335;A;0.1;;;;;;", "+335;A;0.1;;;;;;2026-11-30")
    assert out_of_reach("+33;A;0.1;;;;;;\n" + short) == []
    assert out_of_reach("+33;A;0.1;;;;;;2026-11-20\n" + short) == ["+33"]
    assert out_of_reach("+33;A;0.1;;;;;;2026-11-20\n" + short, day=date(2026, 11, 21)) == []


def above(listed: str, resold: str) -> list[tuple[str, int, int, int]]:
    """(prefix, seconds, list, resale) of what is dearer."""
    before, rows = rows_of_csv(HEAD + listed, "t.csv"), rows_of_csv(HEAD + resold, "t.csv")
    return [
        (each.prefix, each.seconds, each.before_micro, each.micro)
        for each in dearer(before, rows, DAY, DuckDb())
    ]


@pytest.mark.parametrize(
    ("listed", "resold", "found"),
    [
        ("+33;A;0.10;;;;;;", "+33;A;0.10;;;;;;", []),
        ("+33;A;0.10;;;;;;", "+33;A;0.11;;;;;;", [("+33", 1, 1_667, 1_833)]),
        # Dearer only behind the first minute, only because of steps, only without the cap, only for some.
        ("+33;A;0.10;60;1;;;;", "+33;A;0.10;60;60;;;;", [("+33", 61, 101_667, 200_000)]),
        ("+33;A;0.10;;;;0.50;;", "+33;A;0.09;;;;;;", [("+33", 600, 500_000, 900_000)]),
        ("+33;A;0.10;;;;;;", "+33;A;0.01;;;0.02;;;", [("+33", 1, 1_667, 20_167)]),
        ("+33;A;0.10;;;;;;", "+33;A;0.05;;;;;;\n+336;A;0.20;;;;;;", [("+336", 1, 1_667, 3_333)]),
        ("+33;A;0.10;;;;;;\n+336;A;0.01;;;;;;", "+33;A;0.05;;;;;;", [("+336", 1, 167, 833)]),
        # Only from a day to come; what is over counts no more.
        (
            "+33;A;0.10;;;;;;",
            "+33;A;0.99;;;;;;2026-11-09\n+33;A;0.05;;;;;2026-11-10;2026-11-30\n+33;A;0.20;;;;;2026-12-01;",
            [("+33", 1, 1_667, 3_333)],
        ),
    ],
)
def test_dearer_than_the_list(listed: str, resold: str, found: list[Any]) -> None:
    assert above(listed, resold) == found


def test_the_example_has_no_margin_below_zero(tmp_path: Path) -> None:
    """And a resale price above the list is told with its row, exit code 1."""
    resale = CONFIG / "resale.csv"
    told_json = told("tariff", "check", str(resale), "--list", LIST, code=1).stdout
    assert "Dearer than the list" not in told_json
    wrong = tmp_path / "resale.csv"
    wrong.write_text(resale.read_text().replace("+336,,FR_MOBILE,0.06", "+336,,FR_MOBILE,0.16"))
    shown = told("tariff", "check", str(wrong), "--list", LIST, code=1).stdout
    assert "Dearer than the list: 1" in shown
    assert f"{wrong}:3  +336" in shown


def test_what_calls_of_a_case_would_cost(tmp_path: Path) -> None:
    """In EUR, by class; baskets and offers count, and what would have no price is counted."""
    new = tmp_path / "list.csv"
    new.write_text(Path(LIST).read_text().replace("+336;;FR_MOBILE;0.10", "+336;;FR_MOBILE;0.20"))
    found = difference(told("tariff", "check", str(new), "--case", OCTOBER, "--json", code=1).stdout)[OCTOBER]
    # 6125 s, of which the basket takes 6000.
    assert found["classes"]["FR_MOBILE"] == "0.208334"  # 0.416667 - 0.208333
    assert (found["calls"], found["difference"], found["without_price_after"]) == (6, "0.208334", 0)
    new.write_text("prefix;class;per_minute;from\n+336;FR_MOBILE;0.10;2026-12-01\n+33;A;0;\n")
    later = ("tariff", "check", str(new), "--case", OCTOBER, "--json", "--on")
    found = difference(told(*later, "2026-11-30", code=1).stdout)[OCTOBER]
    assert (found["without_price_after"], found["classes"]["FR_MOBILE"]) == (2, "-0.208333")
    assert (
        difference(told(*later, "2026-12-01", code=1).stdout)[OCTOBER]["classes"]["FR_MOBILE"] == "0.000000"
    )


def difference(text: str) -> Any:
    """Of a check's JSON."""
    return json.loads(text)["difference"]


def test_what_a_month_of_the_ledger_would_cost(tmp_path: Path) -> None:
    """Last month's calls, also when it is closed; nothing is rated for it in the store."""
    desk = Desk(tmp_path).write(customer(), customer(name="idle", sources=["idle/*"]))
    desk.take(cdr("c", 10), cdr("d", 20))
    desk.ask("close", "2026-10")
    new = tmp_path / "new.csv"
    new.write_text("prefix;class;per_minute\n+336;FR_MOBILE;1.20\n")
    files = desk.files()
    words = ("tariff", "check", str(new), "--month", "2026-10", "--config", str(desk.config))
    found = difference(told(*words, "--json", code=1).stdout)
    assert {name: each["difference"] for name, each in found.items()} == {"dubois": "0.300000"}
    shown = told(*words, code=1).stdout.splitlines()[-1].split()
    assert shown == ["dubois", "2", "0.300000", "0.600000", "0.300000", "0"]
    assert desk.files() == files
    assert "none of dubois" in told(*words, "--level", "resale", code=2).stderr
