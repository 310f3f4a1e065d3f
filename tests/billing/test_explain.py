"""B.C17 from the ledger: open months by billing.yaml as it is, closed ones as they were issued."""

import sqlite3
from pathlib import Path

import pytest

from tests.billing.desk import DECEMBER, LIST, Desk, cdr, customer

FLAT = {"flat": {"kind": "recipe", "baskets": [{"classes": ["FR_MOBILE"], "minutes": 1}]}}
KEY = "acme/hq/0 c 1"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path).write(
        customer(offers=FLAT, accounts=[{"id": "201", "line": {"offer": "flat"}}], tariffs={"list": LIST})
    )
    desk.take(cdr("before", 50, "2026-10-02T10:00:00Z"), cdr("c", 30), cdr("x", 10, called="+4412345678"))
    return desk


def dearer(desk: Desk) -> Desk:
    return desk.write(customer(tariffs={"list": [{**LIST[0], "per_minute": "6.00"}, *LIST[1:]]}))


def test_c17_of_an_open_month(desk: Desk) -> None:
    """B.C17: number, prefix, class, row with its place, seconds, basket, price."""
    found = desk.ask("explain", KEY)
    assert (found["number"], found["account"], found["offer"]) == ("+33612345678", "201", "flat")
    level = found["levels"]["customer"]
    assert (level["prefix"], level["class"], level["billed_seconds"]) == ("+336", "FR_MOBILE", 30)
    assert (level["in_basket_seconds"], level["price"]) == (10, "0.200000")
    assert level["row"].startswith(f"{desk.config}:1:")
    assert "in_basket_seconds  10" in desk.do("explain", KEY).stdout
    assert dearer(desk).ask("explain", KEY)["levels"]["customer"]["price"] == "3.000000"


def test_c17_of_a_closed_month(desk: Desk) -> None:
    """As it was issued, whatever was changed since; a late call by the terms of its own month."""
    desk.ask("close", "2026-10", "--allow-suspense")
    dearer(desk)
    found = desk.ask("explain", KEY)
    assert (found["levels"]["customer"]["price"], found["billed_in"]) == ("0.200000", "2026-10")
    desk.take(cdr("late", 20), now=DECEMBER)
    late = desk.ask("explain", "acme/hq/0 late 1", now=DECEMBER)
    assert (late["levels"]["customer"]["price"], late["billed_in"]) == ("0.200000", "2026-11")
    desk.ask("close", "2026-11", "--allow-suspense", now=DECEMBER)
    assert desk.ask("explain", "acme/hq/0 late 1", now=DECEMBER) == late


def test_what_has_no_price_says_why(desk: Desk) -> None:
    """Suspense, quarantine, nobody's, and no such call."""
    assert desk.ask("explain", "acme/hq/0 x 1")["reason"] == "no_price"
    desk.take(cdr("c", 31), cdr("stranger", source="other/x/0"), code=4)
    assert desk.ask("explain", "other/x/0 stranger 1")["reason"] == "account"
    desk.take(cdr("old", answer="2024-10-21T10:00:00Z"), code=4)
    found = desk.ask("explain", "acme/hq/0 old 1")
    assert (found["verdict"], found["reason"]) == ("quarantine", "too_old")
    assert desk.do("explain", "acme/hq/0 none 1").exit_code == 1
    assert desk.do("explain", "nothing").exit_code == 1


def test_what_was_issued_is_not_explained_away(desk: Desk) -> None:
    """Rated rows that somebody changed are told, not covered by a new calculation."""
    desk.ask("close", "2026-10", "--allow-suspense")
    store = sqlite3.connect(desk.folder / "data" / "billing.db")
    with store:
        store.execute("UPDATE rated SET price = price + 1")
    store.close()
    found = desk.do("explain", KEY)
    assert (found.exit_code, "costs something else than what was issued" in found.output) == (4, True)
