"""Records into the ledger: each once, with a verdict that adds up (B.r30, section I of the examples)."""

from pathlib import Path
from typing import Any

import pytest

from telephony.cdr.record import Direction
from tests.billing.desk import LIST, NOVEMBER, Desk, cdr, customer


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path).write(customer())


def test_i1_the_same_file_twice(desk: Desk) -> None:
    """B.I1: "0 new, 1000 duplicates", and no other price."""
    calls = [cdr(f"c{n}", 1 + n % 60) for n in range(1_000)]
    assert desk.take(*calls)["rated"] == 1_000
    before = desk.ask("rate", "2026-10")
    again = desk.do("import", str(desk.folder / "export.csv"))
    assert "0 new, 1000 duplicates" in again.output
    assert desk.ask("rate", "2026-10") == before


def test_i2_the_same_key_with_another_content(desk: Desk) -> None:
    """B.I2: quarantine, the first is kept, exit code 4."""
    desk.take(cdr("c", 10))
    found = desk.take(cdr("c", 20), cdr("d", 1), code=4)
    assert (found["quarantine"], found["rated"]) == (1, 1)
    assert [each["reason"] for each in found["set_aside"]] == ["conflict"]
    assert desk.ask("rate", "2026-10")["customers"][0]["levels"] == {"customer": "0.110000"}
    assert [each["reason"] for each in desk.ask("report")["quarantine"]] == ["conflict"]


def test_one_file_may_have_both(desk: Desk) -> None:
    found = desk.take(cdr("c", 10), cdr("c", 10), cdr("c", 11), code=4)
    assert (found["rated"], found["duplicate"], found["quarantine"]) == (1, 1, 1)


def test_i3_half_of_it_was_taken(desk: Desk) -> None:
    """B.I3: what was durable before the crash is a duplicate then, and the totals are those without it."""
    calls = [cdr(f"c{n}", n) for n in range(1, 41)]
    desk.take(*calls[:17])
    found = desk.take(*calls)
    assert (found["rated"], found["duplicate"]) == (23, 17)
    other = Desk(desk.folder / "other")
    other.folder.mkdir()
    other.write(customer()).take(*calls)
    assert other.ask("rate", "2026-10") == desk.ask("rate", "2026-10")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"called": "+4412345678"}, "no_price"),
        ({"called": "anonymous"}, "number"),
        ({"account": "999"}, "account"),
        ({"source": "other/hq/0"}, "account"),
    ],
)
def test_i5_suspense_empties_when_it_is_mended(desk: Desk, changed: dict[str, Any], reason: str) -> None:
    """B.I5: with a reason, never dropped; the next rating prices it."""
    found = desk.take(cdr("c", 10, **changed), cdr("d", 10))
    assert (found["suspense"], found["rated"]) == (1, 1)
    (waiting,) = desk.ask("report")["suspense"]
    assert waiting["reason"] == reason
    desk.write(
        customer(
            sources=["*"],
            tariffs={"list": [*LIST, {"prefix": "+44", "class": "X", "per_minute": "0.60"}]},
            accounts=[{"id": "201"}, {"id": "999"}],
        )
    )
    (rated,) = desk.ask("rate", "2026-10")["customers"]
    left = 1 if reason == "number" else 0
    assert rated["counts"] == {"rated": 2 - left, "not_billable": 0, "suspense": left}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("2025-11-05T08:59:59Z", "too_old"),
        ("2025-11-05T09:00:00Z", None),
        ("2026-11-06T09:00:01Z", "future"),
        ("2026-11-06T09:00:00Z", None),
    ],
)
def test_i9_too_old_and_future(desk: Desk, answer: str, reason: str | None) -> None:
    """B.I9, B.r30: 365 days, 24 hours, to the second."""
    found = desk.take(cdr("c", 10, answer), code=4 if reason else 0)
    assert [each["reason"] for each in found["set_aside"]] == ([reason] if reason else [])


def test_a_known_record_grows_old_as_a_duplicate(desk: Desk) -> None:
    desk.take(cdr("c", 10))
    assert desk.take(cdr("c", 10), now="2028-01-01T00:00:00Z")["duplicate"] == 1


def test_not_billable(desk: Desk) -> None:
    """Inbound, internal, unanswered, and a leg that rang beside: at 0, and on no line."""
    found = desk.take(
        cdr("in", direction=Direction.IN),
        cdr("beside", direction=Direction.RELATED),
        cdr("inside", called="202"),
        cdr("nobody", 0, answer_ms=None),
        cdr("paid", 5),
    )
    assert (found["not_billable"], found["rated"]) == (4, 1)


def test_a_room_counts_once(desk: Desk) -> None:
    """Records of one call that overlap, as of a conference: the time counts once (docs/call-records.md)."""
    found = desk.take(cdr("room", 60), cdr("room", 60, leg="2"), cdr("room", 90, leg="3"))
    assert found["received"] == 3
    (rated,) = desk.ask("rate", "2026-10")["customers"]
    assert rated["levels"] == {"customer": "0.900000"}


def test_the_month_is_the_customers(desk: Desk) -> None:
    """B.r6: 23:30 UTC on 31 October is November in Paris; who lives in London is billed in October."""
    desk.write(
        customer(), customer(name="smith", sources=["smith/*"], zone="Europe/London", accounts=[{"id": "7"}])
    )
    late = "2026-10-31T23:30:00Z"
    desk.take(cdr("c", 10, late), cdr("d", 10, late, source="smith/hq/0", account="7"))
    counts = {
        month: {each["customer"]: each["counts"]["rated"] for each in desk.ask("rate", month)["customers"]}
        for month in ("2026-10", "2026-11")
    }
    assert counts == {"2026-10": {"dubois": 0, "smith": 1}, "2026-11": {"dubois": 1, "smith": 0}}


def test_one_source_of_two_customers(desk: Desk) -> None:
    """Whoever knows the account has the record."""
    desk.write(customer(), customer(name="roux", accounts=[{"id": "301"}]))
    desk.take(cdr("c"), cdr("d", account="301"), cdr("e", account="999"))
    found = {each["customer"]: each["counts"] for each in desk.ask("rate", "2026-10")["customers"]}
    assert (found["dubois"]["rated"], found["dubois"]["suspense"], found["roux"]["rated"]) == (1, 1, 1)


def test_a_record_goes_to_who_has_its_account_now(desk: Desk) -> None:
    """Whatever billing.yaml said when it came; what was rated for the one before is his no more."""
    desk.write(customer(), customer(name="roux", accounts=[{"id": "301"}]))
    desk.take(cdr("c"), cdr("d", account="302"))
    desk.write(
        customer(accounts=[{"id": "301"}]), customer(name="roux", accounts=[{"id": "201"}, {"id": "302"}])
    )
    found = {each["customer"]: each["counts"] for each in desk.ask("rate", "2026-10")["customers"]}
    assert [(name, counts["rated"], counts["suspense"]) for name, counts in found.items()] == [
        ("dubois", 0, 0), ("roux", 2, 0)
    ]  # fmt: skip
    (month,) = desk.ask("report", "2026-10")["periods"]
    assert (month["rated"], month["suspense"]) == (2, 0)


def test_an_account_may_go_from_one_customer_to_another(desk: Desk) -> None:
    """The day of the call decides."""
    desk.write(
        customer(accounts=[{"id": "201", "until": "2026-10-15"}]),
        customer(name="roux", accounts=[{"id": "201", "from": "2026-10-16"}]),
    )
    desk.take(*(cdr(f"c{day}", answer=f"2026-10-{day}T10:00:00Z") for day in (14, 15, 16, 17, 18)))
    found = {each["customer"]: each["counts"]["rated"] for each in desk.ask("rate", "2026-10")["customers"]}
    assert found == {"dubois": 2, "roux": 3}


def test_two_customers_that_claim_a_record_do_not_get_it(desk: Desk) -> None:
    """It waits, and says for whom; the order of the file decides nothing."""
    desk.write(customer(), customer(name="roux"))
    found = desk.take(cdr("c"))
    assert (found["rated"], found["suspense"]) == (0, 1)
    (waiting,) = desk.ask("report")["suspense"]
    assert waiting["detail"] == '"201" is an account of dubois and of roux on that day; leave it to one'
    desk.write(customer(), customer(name="roux", accounts=[{"id": "301"}]))
    rated = {each["customer"]: each["counts"]["rated"] for each in desk.ask("rate", "2026-10")["customers"]}
    assert rated == {"dubois": 1, "roux": 0}


def test_a_question_makes_no_ledger(desk: Desk) -> None:
    """It would say that all is well where a disk is not mounted."""
    for words in (("report",), ("rate", "2026-10"), ("invoice",)):
        found = desk.do(*words, now=None if words == ("invoice",) else NOVEMBER)
        assert (found.exit_code, "there is no ledger yet" in found.stderr) == (2, True)
    assert not (desk.folder / "data").exists()


def test_an_import_rates_its_own_customers(desk: Desk) -> None:
    """What others' months cost stands as it was."""
    desk.write(customer(), customer(name="roux", sources=["roux/*"]))
    desk.take(cdr("c"))
    desk.take(cdr("d", source="roux/hq/0"))
    (found,) = desk.ask("report", "2026-10")["periods"]
    assert (found["rated"], sorted(found["ratings"])) == (2, ["dubois", "roux"])


def test_json_lines_say_the_same(desk: Desk) -> None:
    """A text with every separator that there is too."""
    strange = cdr('a,"b"\u2028c\nd%20 e', 10)
    desk.take(strange, cdr("c", 5))
    assert desk.take(strange, cdr("c", 5), name="export.jsonl")["duplicate"] == 2


def test_what_cannot_be_read_is_set_aside(desk: Desk) -> None:
    """The other rows are taken; each thing is set aside once."""
    path = desk.export([cdr("c"), cdr("d"), cdr("e")])
    rows = path.read_text().split("\n")
    rows[2] = rows[2].replace(",out,", ",away,")
    rows.insert(3, "half,a,row")
    path.write_text("\n".join(rows))
    for new in (2, 0):
        (found,) = desk.ask("import", str(path), code=4)
        assert (found["new"], found["quarantine"]) == (new, 2)
    details = [each["detail"] for each in desk.ask("report")["quarantine"]]
    assert sorted(detail.split(": ", 1)[1] for detail in details) == [
        'direction: expected out, in, related, found "away"', "expected 18 cells, found 3",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "source,call_ref\n", "what;is;this\n1;2;3\n"])
def test_no_export_at_all(desk: Desk, text: str) -> None:
    """Nothing is taken, with file, line and column."""
    desk.folder.joinpath("no.csv").write_text(text)
    found = desk.do("import", str(desk.folder / "no.csv"))
    assert found.exit_code == 4
    assert "no.csv:1:1: " in found.output
    assert not (desk.folder / "data").exists()


def test_keys_with_blanks_are_two_records(desk: Desk) -> None:
    """A Call-ID may have blanks: ("a b", "c") is not ("a", "b c")."""
    assert desk.take(cdr("a b", 10, leg="c"), cdr("a", 10, leg="b c"))["rated"] == 2
    (rated,) = desk.ask("rate", "2026-10", now=NOVEMBER)["customers"]
    assert rated["counts"]["rated"] == 2
