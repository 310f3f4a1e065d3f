"""Credit notes (B.r33, B.I11): type 381, numbers of their own, and never more than the invoice."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.core import crediting
from billing.core.crediting import Credited
from billing.core.invoice import Invoice, Line, Sort
from billing.core.refusal import Refused
from tests.billing.desk import DECEMBER, LIST, NOVEMBER, Desk, cdr, customer, net


def invoice(*cents: int, vat_bp: int = 2000) -> Invoice:
    lines = tuple(Line(Sort.OPTION, "ivr", "", "", "", 202610, 1, each) for each in cents)
    return Invoice("", 202610, lines, vat_bp)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """With F2026-10-0001: 12.00 and 3.48 for calls."""
    desk = Desk(tmp_path).write(customer())
    desk.take(cdr("c", 348))
    desk.ask("close", "2026-10")
    return desk


def credit(desk: Desk, *words: str, number: str = "F2026-10-0001", code: int = 0) -> Any:
    return desk.ask(
        "credit", number, "--reason", "wrong tariff", *words, now="2026-11-20T10:00:00Z", code=code
    )


def test_i11_a_wrong_line(desk: Desk) -> None:
    """B.I11: 3.48 + 0.70 = 4.18; the invoice is what it was, and its files too."""
    before = desk.files()
    found = credit(desk, "--line", "2")
    assert (found["number"], found["corrects"]) == ("A2026-11-0001", "F2026-10-0001")
    assert [found["invoice"][name] for name in ("net", "vat", "gross")] == ["3.48", "0.70", "4.18"]
    assert {name: text for name, text in desk.files().items() if name in before} == before
    assert net(desk, "F2026-10-0001")[1][2] == "3.48"
    page = desk.files()["credit-notes/A2026-11-0001/dubois/A2026-11-0001.html"].decode()
    assert "F2026-10-0001" in page


def test_parts_until_nothing_is_left(desk: Desk) -> None:
    """A refused one takes no number."""
    credit(desk, "--line", "1=5.00", "--line", "2=0.48")
    for words in (["--line", "1=7.01"], ["--line", "3"], ["--line", "2=3.01"]):
        assert credit(desk, *words, code=1)["refused"]
    rest = credit(desk)
    assert rest["number"] == "A2026-11-0002"
    assert [line["net"] for line in rest["invoice"]["lines"]] == ["7.00", "3.00"]
    assert credit(desk, code=1)["refused"][0]["code"] == "nothing_left"
    (shown,) = desk.ask("invoice", "F2026-10-0001", now=None)
    assert shown["left_to_credit"] == {}
    assert desk.ask("report", "2026-10")["periods"][0]["net"] == "0.00"


def test_of_what_is_no_invoice(desk: Desk) -> None:
    credit(desk, "--line", "2")
    for number in ("F2026-10-0002", "A2026-11-0001"):
        assert credit(desk, number=number, code=1)["refused"][0]["code"] == "not_an_invoice"
    assert desk.do("credit", "F2026-10-0001", "--reason", "x", "--line", "two").exit_code == 2


def test_the_next_close_follows_in_the_chain(desk: Desk) -> None:
    """A credit note is an entry between two periods; the customer may have left billing.yaml meanwhile."""
    desk.write(customer(name="other", sources=["other/*"], tariffs={"list": LIST}))
    credit(desk)
    desk.ask("close", "2026-11", now=DECEMBER)
    assert desk.ask("report", now=NOVEMBER)["entries"] == 3


def test_vat_that_is_left() -> None:
    """0.02 + 0.02 at 20 %: VAT 0.01. The first half takes 0.00 of it, the last one what is left."""
    whole = invoice(2, 2)
    first = crediting.credit(whole, (), {1: None})
    assert not isinstance(first, Refused)
    last = crediting.credit(whole, (first[1],), None)
    assert not isinstance(last, Refused)
    assert (whole.vat_cents, first[0].vat_cents, last[0].vat_cents) == (1, 0, 1)
    assert last[0].gross_cents == 3


def test_parts_whose_vat_is_rounded_up() -> None:
    """0.12 in four parts: each would give 0.01 of a VAT of 0.02."""
    whole = invoice(12)
    before: list[Credited] = []
    given_back: list[int] = []
    for _ in range(4):
        found = crediting.credit(whole, before, {1: 3})
        assert not isinstance(found, Refused)
        before.append(found[1])
        given_back.append(found[0].vat_cents)
    assert given_back == [1, 1, 0, 0]


@given(
    cents=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    vat_bp=st.sampled_from([0, 550, 2_000]),
    steps=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 20)), max_size=12),
)
@settings(max_examples=150)
def test_never_more_than_the_invoice(cents: list[int], vat_bp: int, steps: list[tuple[int, int]]) -> None:
    """Whatever is credited in whatever parts: neither net nor VAT passes the invoice, and all is exact."""
    whole = invoice(*cents, vat_bp=vat_bp)
    before: list[Credited] = []
    notes: list[Invoice] = []
    for step in (*({number: part} for number, part in steps), None):
        found = crediting.credit(whole, before, step)
        if isinstance(found, Refused):
            continue
        notes.append(found[0])
        before.append(found[1])
        assert found[0].vat_cents >= 0
        assert sum(note.net_cents for note in notes) <= whole.net_cents
        assert sum(note.vat_cents for note in notes) <= whole.vat_cents
    assert sum(note.net_cents for note in notes) == whole.net_cents
    assert sum(note.vat_cents for note in notes) == whole.vat_cents
    assert crediting.left(whole, before) == {}
