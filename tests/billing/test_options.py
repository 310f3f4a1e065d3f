"""Section A of the examples: options by the day (seed 000)."""

from pathlib import Path
from typing import Any

import pytest

from runtime.config import ConfigErrors
from tests.billing.cases import nets, run, total

IVR: dict[str, Any] = {"kind": "ivr", "monthly": "15.00"}


def ivr(*active: tuple[str, str | None], **further: Any) -> list[dict[str, Any]]:
    return [{**IVR, "active": [list(pair) for pair in active], **further}]


@pytest.mark.parametrize(
    ("active", "net"),
    [
        pytest.param([("2026-10-01", "2026-10-14")], "6.77", id="B.A1"),
        pytest.param([("2026-10-10", "2026-10-14"), ("2026-10-20", "2026-10-22")], "3.87", id="B.A6"),
        pytest.param([("2026-10-01", "2026-10-31")], "15.00", id="B.A8"),
        pytest.param([("2026-10-05T08:00:00Z", "2026-10-05T09:00:00Z")] * 2, "0.48", id="twice on one day"),
        pytest.param([("2026-10-05T08:00:00Z", "2026-10-05T22:00:00Z")], "0.48", id="off at 00:00 local"),
        pytest.param([("2026-10-05T08:00:00Z", "2026-10-05T22:00:00.001Z")], "0.97", id="off just later"),
        pytest.param([("2026-10-01", "2026-10-20"), ("2026-10-10", None)], "15.00", id="overlap"),
        pytest.param([("2026-09-01", "2026-09-14")], None, id="another month"),
    ],
)
def test_option_days(tmp_path: Path, active: list[tuple[str, str | None]], net: str | None) -> None:
    found = run(tmp_path, options=ivr(*active))
    assert nets(found) == ([] if net is None else [net])


def test_a6_one_line_names_both_intervals(tmp_path: Path) -> None:
    """B.A6."""
    found = run(tmp_path, options=ivr(("2026-10-10", "2026-10-14"), ("2026-10-20", "2026-10-22")))
    (line,) = found["invoices"][0]["lines"]
    assert line["days"] == [["2026-10-10", "2026-10-14"], ["2026-10-20", "2026-10-22"]]


def test_a3_account_created_in_the_month(tmp_path: Path) -> None:
    """B.A3."""
    found = run(tmp_path, accounts=[{"id": "201", "monthly": "12.00", "from": "2026-10-20"}])
    assert nets(found) == ["4.65"]


def test_a4_equal_accounts_are_one_line_with_a_quantity(tmp_path: Path) -> None:
    """B.A4: each is rounded, then multiplied."""
    accounts = [{"id": str(n), "monthly": "12.00", "from": "2026-10-20"} for n in range(201, 204)]
    (line,) = run(tmp_path, accounts=accounts)["invoices"][0]["lines"]
    assert (line["quantity"], line["unit"], line["net"]) == (3, "4.65", "13.95")


def test_a9_price_change_is_two_lines(tmp_path: Path) -> None:
    """B.A9."""
    monthly = [{"value": "15.00"}, {"from": "2026-10-16", "value": "18.00"}]
    found = run(tmp_path, options=[{"kind": "ivr", "monthly": monthly}])
    assert nets(found) == ["7.26", "9.29"]
    assert total(found) == "16.55"


def test_a10_days_are_local(tmp_path: Path) -> None:
    """B.A10: 23:30 UTC on 31 October is 1 November in Paris."""
    options = ivr(("2026-10-31T23:30:00Z", None))
    assert run(tmp_path, options=options)["invoices"] == []
    assert total(run(tmp_path, period="2026-11", options=options)) == "15.00"


def switched(*commands: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [{**IVR, "switched": [{"key": k, "at": at, "do": do, "by": "anna"} for k, at, do in commands]}]


def test_a13_a_command_that_comes_twice(tmp_path: Path) -> None:
    """B.A13: one interval, one row of history; starting what is on changes no interval either."""
    start, stop = ("k1", "2026-10-10T08:00:00Z", "start"), ("k2", "2026-10-14T08:00:00Z", "stop")
    once = run(tmp_path, options=switched(start, stop))
    assert nets(once) == ["2.42"]
    assert run(tmp_path, options=switched(start, start, stop, start, stop)) == once
    assert [(row["option"], row["at"], row["do"], row["by"]) for row in once["history"]] == [
        ("ivr", "2026-10-10T08:00:00Z", "start", "anna"), ("ivr", "2026-10-14T08:00:00Z", "stop", "anna")
    ]  # fmt: skip
    again = run(tmp_path, options=switched(start, ("k3", "2026-10-12T08:00:00Z", "start"), stop))
    assert nets(again) == ["2.42"]
    assert len(again["history"]) == 3
    open_ = run(tmp_path, options=switched(stop, ("k3", "2026-10-20T08:00:00Z", "start"), start))
    assert nets(open_) == ["8.23"]  # 5 days, and 12 to the end of the month


def test_a13_a_key_has_one_command(tmp_path: Path) -> None:
    """B.A13: the same key with another command is refused where it stands; so is a second way to say it."""
    start = ("k1", "2026-10-10T08:00:00Z", "start")
    with pytest.raises(ConfigErrors, match=r"switched\[1\].key: another command has the key \"k1\""):
        run(tmp_path, options=switched(start, ("k1", "2026-10-11T08:00:00Z", "start")))
    both = [{**switched(start)[0], "active": [["2026-10-01", "2026-10-14"]]}]
    with pytest.raises(ConfigErrors, match="`active` or `switched`, not both"):
        run(tmp_path, options=both)


@pytest.mark.parametrize(
    ("period", "day", "net"), [("2027-02", "2027-02-10", "0.54"), ("2028-02", "2028-02-10", "0.52")]
)
def test_february(tmp_path: Path, period: str, day: str, net: str) -> None:
    assert nets(run(tmp_path, period=period, options=ivr((day, day)))) == [net]


def test_thirty_days(tmp_path: Path) -> None:
    """B.r10: proration 30, and the whole month is still the whole price."""

    def of(first: str, last: str, period: str = "2026-10") -> list[str]:
        return nets(run(tmp_path, period=period, proration="30", options=ivr((first, last))))

    assert of("2026-10-01", "2026-10-14") == ["7.00"]
    assert of("2026-10-01", "2026-10-30") == ["15.00"]
    assert of("2026-10-01", "2026-10-31") == ["15.00"]
    assert of("2027-02-01", "2027-02-28", "2027-02") == ["15.00"]
    assert of("2027-02-01", "2027-02-27", "2027-02") == ["13.50"]


def test_an_option_ends_with_its_account(tmp_path: Path) -> None:
    """B.r13: the last day still counts."""
    accounts = [{"id": "201", "until": "2026-10-14"}]
    assert nets(run(tmp_path, accounts=accounts, options=[{**IVR, "account": "201"}])) == ["6.77"]


def test_an_option_ends_at_the_same_instant_it_began(tmp_path: Path) -> None:
    assert nets(run(tmp_path, options=ivr(("2026-10-05T08:00:00Z", "2026-10-05T08:00:00Z")))) == []
