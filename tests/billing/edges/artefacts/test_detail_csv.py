"""The call detail: local times, masks, decimal strings, nothing that a spreadsheet would run."""

import csv
import io
from dataclasses import replace

import pytest

from billing.core.detail import Detail
from billing.edges.artefacts.detail_csv import COLUMNS, detail_csv, harmless, mask
from tests.billing.documents import calls


def read(made: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(made.decode(), newline="")))


def test_b_j7_a_row_for_each_call() -> None:
    rows = read(detail_csv(calls(), "Europe/Paris", masked=False))
    assert len(rows) == 40
    assert tuple(rows[0]) == COLUMNS
    last = next(row for row in rows if row["call"] == "acme/hq/0 call-39 1")
    assert last == {
        "call": "acme/hq/0 call-39 1",
        "start": "2026-10-09T12:00:00+02:00",
        "account": "201",
        "number": "+33612345639",
        "kind": "voice",
        "class": "FR_FIXE",
        "seconds": "99",
        "billed_seconds": "129",
        "included_seconds": "4",
        "price": "2.340000",
    }


@pytest.mark.parametrize(
    ("zone", "start_ms", "local"),
    [
        ("Europe/Paris", 1_792_889_970_000, "2026-10-25T02:59:30+02:00"),
        ("Europe/Paris", 1_792_890_090_000, "2026-10-25T02:01:30+01:00"),
        ("Europe/Rome", 1_793_489_400_000, "2026-11-01T00:30:00+01:00"),
        ("UTC", 1_793_489_400_999, "2026-10-31T23:30:00+00:00"),
    ],
)
def test_the_offset_tells_the_two_hours_apart(zone: str, start_ms: int, local: str) -> None:
    """B.C14: the clock goes back between these two."""
    one = replace(calls()[0], start_ms=start_ms)
    assert read(detail_csv([one], zone, masked=False))[0]["start"] == local


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+33612345678", "+3361234xxxx"),
        ("0612345678", "061234xxxx"),
        ("3615", "3615"),
        ("118218", "118218"),
        ("112", "112"),
        ("", ""),
    ],
)
def test_masked_numbers(number: str, shown: str) -> None:
    assert mask(number) == shown
    one: Detail = replace(calls()[0], number=number)
    made = detail_csv([one], "UTC", masked=True)
    assert read(made)[0]["number"] == shown
    assert number == shown or number.encode() not in made


@pytest.mark.parametrize("evil", ["=1+2", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\tx"])
def test_a_call_id_is_no_formula(evil: str) -> None:
    assert harmless(evil) == f"'{evil}"
    assert read(detail_csv([replace(calls()[0], key=evil)], "UTC", masked=False))[0]["call"] == f"'{evil}"


def test_order_of_arrival_does_not_matter() -> None:
    made = detail_csv(calls(), "Europe/Paris", masked=False)
    assert detail_csv(reversed(calls()), "Europe/Paris", masked=False) == made
