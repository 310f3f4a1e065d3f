"""Close, late calls, what stays as it was issued (B.r31, B.r32; sections I and J of the examples)."""

import hashlib
import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from billing.core import period as periods
from billing.edges.artefacts.shelf import Shelf
from runtime.store import locked
from telephony.cdr.record import Cdr
from tests.billing.desk import BUYER, DECEMBER, LIST, NOVEMBER, Desk, cdr, customer, net

FLAT = {"flat": {"kind": "recipe", "monthly": "19.90", "baskets": [{"classes": ["FR_MOBILE"], "minutes": 1}]}}
BASKET = {"offers": FLAT, "accounts": [{"id": "201", "line": {"offer": "flat"}}]}

ACCOUNTS = [{"id": "7", "monthly": "5.00"}]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path).write(customer())


def refused(desk: Desk, *words: str, now: str = NOVEMBER) -> list[str]:
    return [each["code"] for each in desk.ask("close", *words, now=now, code=1)["refused"]]


def test_i8_three_days_of_grace(desk: Desk) -> None:
    """B.I8, B.r31: draft until 4 November 00:00 local; a record of the 3rd is still October's."""
    desk.take(cdr("c", 10), now="2026-11-01T10:00:00Z")
    assert refused(desk, "2026-10", now="2026-11-03T22:59:59Z") == ["not_over"]
    desk.take(cdr("d", 10, "2026-10-31T10:00:00Z"), now="2026-11-03T10:00:00Z")
    states = [
        desk.ask("report", "2026-10", now=now)["periods"][0]["state"]
        for now in ("2026-10-31T22:59:59Z", "2026-10-31T23:00:00Z")
    ]
    assert states == ["open", "draft"]
    assert len(desk.ask("close", "2026-10", now="2026-11-03T23:00:00Z")["documents"]) == 1
    assert desk.ask("report", "2026-10")["periods"][0]["state"] == "closed"
    assert net(desk, "F2026-10-0001")[1] == ("2026-10", "FR_MOBILE", "0.20")


def test_i6_suspense_refuses(desk: Desk) -> None:
    """B.I6: with the list; allowed, the count is printed and the call goes on to the next month."""
    desk.take(cdr("c", 10, called="+4412345678"), cdr("d", 10))
    found = desk.do("close", "2026-10")
    assert found.exit_code == 1
    assert "dubois: acme/hq/0 c 1: no_price: no row of customer for voice +4412345678" in found.output
    assert not desk.artefacts.exists()
    assert desk.ask("close", "2026-10", "--allow-suspense")["waiting"] == 1
    assert [each["period"] for each in desk.ask("report", now=DECEMBER)["suspense"]] == []
    assert desk.ask("rate", "2026-11")["customers"][0]["counts"]["suspense"] == 1
    desk.write(customer(tariffs={"list": [*LIST, {"prefix": "+44", "class": "GB", "per_minute": "6.00"}]}))
    desk.ask("close", "2026-11", now=DECEMBER)
    assert net(desk, "F2026-11-0001") == [("2026-11", "account", "12.00"), ("2026-10", "GB", "1.00")]


def test_what_nobody_has_refuses_too(desk: Desk) -> None:
    desk.take(cdr("c", 10, source="other/x/0"))
    assert "?: other/x/0 c 1: account: no customer has the source" in desk.do("close", "2026-10").output


def test_i14_close_twice(desk: Desk) -> None:
    """B.I14: "already closed", the same files, the same hashes; whatever billing.yaml says meanwhile."""
    desk.take(cdr("c", 10))
    first = desk.ask("close", "2026-10")
    files = desk.files()
    desk.write(customer(accounts=[{"id": "201", "monthly": "99.00"}]))
    second = desk.ask("close", "2026-10", now=DECEMBER)
    assert second == {**first, "already_closed": True}
    assert desk.files() == files
    assert "2026-10 already closed" in desk.do("close", "2026-10", now=DECEMBER).output
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert digests == {f"2026-10/{name}": digest for name, digest in first["artefacts"].items()}
    assert desk.do("rate", "2026-10").exit_code == 1


def test_i7_late_calls(desk: Desk) -> None:
    """B.I7: on November's invoice, with October's price and what its basket had left; October stays.

    October's tariff is the one of its close: the list was changed since, without any date.
    """
    desk.write(customer(**BASKET))
    desk.take(cdr("first", 20, "2026-10-02T10:00:00Z"), cdr("last", 30, "2026-10-30T12:00:00Z"))
    desk.ask("close", "2026-10")
    files = desk.files()
    dear = [{**LIST[0], "per_minute": "1.20"}]
    desk.write(customer(**BASKET, tariffs={"list": dear}))
    # 60 s in the basket: 50 used in time, though this one is older than one of those.
    desk.take(cdr("late", 30, "2026-10-10T10:00:00Z"), cdr("own", 90, "2026-11-10T10:00:00Z"), now=DECEMBER)
    desk.ask("close", "2026-11", now=DECEMBER)
    assert net(desk, "F2026-11-0001") == [
        ("2026-11", "flat", "19.90"), ("2026-11", "FR_MOBILE", "0.60"), ("2026-10", "FR_MOBILE", "0.20")
    ]  # fmt: skip
    assert {name: content for name, content in desk.files().items() if name.startswith("2026-10/")} == files
    page = desk.files()["2026-11/dubois/F2026-11-0001.html"].decode()
    assert "octobre 2026" in page or "2026-10" in page


def test_late_by_two_months_and_older_than_the_first_close(desk: Desk) -> None:
    """Late calls share what the basket had left by their own order, month after month."""
    desk.write(customer(**BASKET))
    desk.take(cdr("first", 40, "2026-10-02T10:00:00Z"))
    desk.ask("close", "2026-10")
    desk.take(cdr("late", 15, "2026-10-10T10:00:00Z"), now=DECEMBER)
    desk.ask("close", "2026-11", now=DECEMBER)
    january = "2027-01-05T09:00:00Z"
    desk.take(cdr("later", 15, "2026-10-01T10:00:00Z"), cdr("old", 70, "2026-09-10T10:00:00Z"), now=january)
    desk.ask("close", "2026-12", now=january)
    late = [line for line in net(desk, "F2026-12-0001") if line[0] < "2026-12"]
    assert late == [("2026-09", "FR_MOBILE", "0.10"), ("2026-10", "FR_MOBILE", "0.10")]


def test_a_clock_that_is_set_back(desk: Desk) -> None:
    """What came behind the close is late, what came before is in time, whatever the clock said."""
    desk.take(cdr("c", 10), now="2026-11-09T10:00:00Z")
    desk.ask("close", "2026-10", now="2026-11-05T09:00:00Z")
    assert net(desk, "F2026-10-0001")[1:] == [("2026-10", "FR_MOBILE", "0.10")]
    desk.take(cdr("d", 20), now="2026-11-01T10:00:00Z")
    desk.ask("close", "2026-11", now=DECEMBER)
    assert net(desk, "F2026-11-0001")[1:] == [("2026-10", "FR_MOBILE", "0.20")]


def test_the_last_zone_decides(desk: Desk) -> None:
    """00:00 of the 4th in Paris is the 3rd in London, and one close is for both; numbers go on."""
    desk.write(
        customer(), customer(name="smith", sources=["smith/*"], zone="Europe/London", accounts=ACCOUNTS)
    )
    assert refused(desk, "2026-10", now="2026-11-03T23:30:00Z") == ["not_over"]
    found = desk.ask("close", "2026-10", now="2026-11-04T00:00:00Z")
    assert sorted(found["documents"]) == ["F2026-10-0001", "F2026-10-0002"]


def test_months_are_closed_in_order(desk: Desk) -> None:
    desk.take(cdr("c", 10), cdr("d", 10, "2026-11-02T10:00:00Z"))
    assert refused(desk, "2026-11", now=DECEMBER) == ["not_in_order"]
    assert refused(desk, "2016-10", now=DECEMBER) == ["not_in_order"], "a slip would bill ten years"
    desk.ask("close", "2026-10")
    assert refused(desk, "2026-12", now="2027-01-05T09:00:00Z") == ["not_in_order"]
    desk.ask("close", "2026-11", now=DECEMBER)


def per_entity(count: int, **further: Any) -> dict[str, Any]:
    """A customer with an invoice for each of so many entities."""
    names = [f"e{n:02}" for n in range(count)]
    accounts = [{"id": f"{200 + n}", "entity": name, "monthly": "1.00"} for n, name in enumerate(names)]
    how = {"mode": "per_entity", "entity_option": True}
    return customer(accounts=accounts, invoices=how, entities=names, **further)


class DiesError(RuntimeError):
    """The process, at this point."""


def test_i13_fifty_invoices_and_a_crash(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """B.I13: F2026-10-0001 to 0050, no gap, none twice: it dies while it stages, and behind its commit."""
    desk.write(per_entity(50))
    for dying in ("stage", "publish"):
        with monkeypatch.context() as patched:
            patched.setattr(Shelf, dying, dies)
            with pytest.raises(DiesError):
                desk.do("close", "2026-10")
        taken = desk.ask("invoice", now=None)
        assert len(taken) == (50 if dying == "publish" else 0)
        assert not (desk.artefacts / "2026-10").exists()
    found = desk.ask("close", "2026-10")
    assert found["already_closed"] is True
    assert sorted(found["documents"]) == [f"F2026-10-{n:04}" for n in range(1, 51)]
    assert len([name for name in desk.files() if name.endswith(".html")]) == 50
    assert not list(desk.artefacts.glob(".*"))


def dies(*_: object, **__: object) -> None:
    raise DiesError


def test_what_was_staged_and_not_issued_is_made_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that came between a crash and the next run is on the invoice."""
    desk.take(cdr("c", 10))
    with monkeypatch.context() as patched:
        patched.setattr("billing.service.closing._commit", dies)
        with pytest.raises(DiesError):
            desk.do("close", "2026-10")
    assert desk.files()
    desk.take(cdr("d", 10))
    desk.ask("close", "2026-10")
    assert net(desk, "F2026-10-0001")[1][2] == "0.20"


def test_two_at_once(desk: Desk) -> None:
    """One runs, the other names who holds the lock, and since when."""
    desk.take(cdr("c", 10))
    holder = desk.folder / "data" / "billing.db.lock"
    with locked(desk.folder / "data" / "billing.db"):
        pid = holder.read_text().strip()
        found = desk.do("close", "2026-10")
    assert found.exit_code == 1
    assert f"in use by process {pid}" in found.output
    assert "(since 20" in found.output
    desk.ask("close", "2026-10")


def test_dry_run(desk: Desk) -> None:
    """The difference to last month for each customer; nothing is issued."""
    desk.take(cdr("c", 10))
    desk.ask("close", "2026-10")
    files = desk.files()
    desk.take(cdr("d", 30, "2026-11-10T10:00:00Z"), now=DECEMBER)
    (found,) = desk.ask("close", "2026-11", "--dry-run", now=DECEMBER)["customers"]
    assert (found["net"], found["last_month"], found["difference"]) == ("12.30", "12.10", "0.20")
    assert desk.files() == files
    assert len(desk.ask("invoice", now=None)) == 1
    assert desk.ask("close", "2026-11", "--dry-run", now=NOVEMBER, code=1)["refused"][0]["code"] == "not_over"


def test_d8_an_account_without_entity(desk: Desk) -> None:
    """B.D8, B.r24: refused at close, the account named; and who has nothing to pay gets no invoice."""
    given = per_entity(2)
    given["accounts"][1]["monthly"] = "0.00"
    desk.write({**given, "accounts": [*given["accounts"], {"id": "999", "monthly": "1.00"}]})
    found = desk.do("close", "2026-10")
    assert (found.exit_code, "no entity pays for 999" in found.output) == (1, True)
    desk.write(given, customer(name="idle", accounts=[]))
    assert desk.ask("close", "2026-10")["no_invoice"] == {"dubois": ["e01"], "idle": []}


def test_the_call_detail_of_an_entity_is_its_own(desk: Desk) -> None:
    """Each invoice has the calls that it bills, and no other entity's."""
    desk.write(per_entity(3, masked=True))
    desk.take(*(cdr(f"c{n}", 10, account=f"{200 + n % 2}") for n in range(5)))
    desk.ask("close", "2026-10")
    shown = {
        name: [line.split(",")[0] for line in content.decode().splitlines()[1:]]
        for name, content in desk.files().items()
        if name.endswith(".csv")
    }
    assert shown == {
        "2026-10/dubois/F2026-10-0001.csv": ["acme/hq/0 c0 1", "acme/hq/0 c2 1", "acme/hq/0 c4 1"],
        "2026-10/dubois/F2026-10-0002.csv": ["acme/hq/0 c1 1", "acme/hq/0 c3 1"],
        "2026-10/dubois/F2026-10-0003.csv": [],
    }
    assert not any(b"+33612345678" in content for content in desk.files().values())


def test_the_chain_shows_what_was_changed(desk: Desk) -> None:
    desk.take(cdr("c", 10))
    desk.ask("close", "2026-10")
    desk.ask("close", "2026-11", now=DECEMBER)
    store = desk.folder / "data" / "billing.db"
    with sqlite3.connect(store) as changed:
        for table in ("entry", "document"):
            with pytest.raises(sqlite3.IntegrityError, match="what is issued stays"):
                changed.execute(f"DELETE FROM {table}")
        changed.execute("DROP TRIGGER document_stays")
        changed.execute("UPDATE document SET body = CAST(replace(body, 'MOBILE', 'FIXE') AS BLOB)")
    changed.close()
    found = desk.do("report")
    assert found.exit_code == 4
    assert "document F2026-10-0001: it was changed" in found.output
    with sqlite3.connect(store) as changed:
        changed.execute("DROP TRIGGER entry_stays")
        changed.execute("UPDATE entry SET body = CAST(replace(body, '202610', '202609') AS BLOB)")
    changed.close()
    assert "entry 1: it, or its hash, was changed" in desk.do("report").output
    with sqlite3.connect(store) as changed:
        (body,) = changed.execute("SELECT body FROM entry WHERE seq = 1").fetchone()
        made_up = hashlib.sha256((1).to_bytes(8) + body).digest()
        changed.execute("UPDATE entry SET hash = ? WHERE seq = 1", (made_up,))
    changed.close()
    assert "entry 2: it, or its hash, was changed" in desk.do("report").output


def test_artefacts_that_were_changed_or_are_gone(desk: Desk) -> None:
    desk.take(cdr("c", 10))
    desk.ask("close", "2026-10")
    (desk.artefacts / "2026-10" / "dubois" / "F2026-10-0001.html").write_text("changed")
    found = desk.do("close", "2026-10")
    assert (found.exit_code, "dubois/F2026-10-0001.html" in found.output) == (4, True)


def test_only_what_was_committed_is_published(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody changed a staged file between a crash and the next run."""
    desk.take(cdr("c", 10))
    with monkeypatch.context() as patched:
        patched.setattr(Shelf, "publish", dies)
        with pytest.raises(DiesError):
            desk.do("close", "2026-10")
    (page,) = desk.artefacts.rglob("F2026-10-0001.html")
    page.write_text("changed")
    assert desk.do("close", "2026-10").exit_code == 4
    assert not (desk.artefacts / "2026-10").exists()


def test_a_disk_that_takes_no_files(desk: Desk) -> None:
    """Nothing is issued, and the next run does it."""
    desk.take(cdr("c", 10))
    desk.artefacts.write_text("in the way")
    found = desk.do("close", "2026-10")
    assert (found.exit_code, "run the command again" in found.output) == (1, True)
    desk.artefacts.unlink()
    assert desk.ask("close", "2026-10")["already_closed"] is False


def test_c16_the_order_of_import_makes_no_difference(tmp_path: Path) -> None:
    """B.C16, B.E12: one file or many, in any order: the same rows and invoices, byte for byte."""
    calls = [cdr(f"c{n}", 1 + n * 7 % 50, f"2026-10-{1 + n % 28:02}T10:00:00Z") for n in range(40)]
    found = []
    for seed in range(3):
        desk = Desk(tmp_path / f"{seed}")
        desk.folder.mkdir()
        desk.write(customer(**BASKET))
        shuffled = random.Random(seed).sample(calls, len(calls))
        for start in range(0, len(calls), (40, 13, 9)[seed]):
            desk.take(*shuffled[start : start + (40, 13, 9)[seed]])
        rated = [each["digest"] for each in desk.ask("rate", "2026-10")["customers"]]
        desk.ask("close", "2026-10")
        found.append((rated, desk.files()))
    assert found[0] == found[1] == found[2]


def test_c15_a_corrected_tariff(desk: Desk) -> None:
    """B.C15: rated again, each call is priced once and baskets start from zero."""
    desk.write(customer(**BASKET))
    desk.take(cdr("c", 50), cdr("d", 50))
    digests = {desk.ask("rate", "2026-10")["customers"][0]["digest"] for _ in range(3)}
    assert len(digests) == 1
    desk.write(customer(**BASKET, tariffs={"list": [{**LIST[0], "per_minute": "1.20"}]}))
    (found,) = desk.ask("rate", "2026-10")["customers"]
    assert (found["levels"], found["counts"]["rated"]) == ({"customer": "0.800000"}, 2)


def test_i16_each_record_is_in_one_place(desk: Desk) -> None:
    """B.I16: a line, suspense, or quarantine; the call detail of all invoices has each rated call once."""
    chosen = random.Random(16)
    desk.write(customer(**BASKET))
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {},
        {"called": "+4412345678"},
        {"account": "9"},
        {"called": "0142681234"},
    )
    october = [random_call(chosen, n, kinds) for n in range(60)]
    desk.take(*october)
    desk.ask("close", "2026-10", "--allow-suspense")
    late = [random_call(chosen, n, kinds) for n in range(60, 90)]
    desk.take(*late, *october[:10], now=DECEMBER)
    desk.write(
        customer(**BASKET, tariffs={"list": [*LIST, {"prefix": "+44", "class": "GB", "per_minute": "1"}]})
    )
    waiting = desk.ask("close", "2026-11", "--allow-suspense", now=DECEMBER)["waiting"]
    billed = [
        line.split(",")[0]
        for name, content in desk.files().items()
        if name.endswith(".csv") and "/F2026" in name
        for line in content.decode().splitlines()[1:]
    ]
    assert len(billed) == len(set(billed))
    assert len(billed) + waiting == 90
    for number in ("F2026-10-0001", "F2026-11-0001"):
        folder = desk.artefacts / number[1:8] / "dubois"
        (document,) = json.loads((folder / "run.json").read_text())["documents"]
        shown = sum(int(line[2].replace(".", "")) for line in net(desk, number))
        assert shown == int(document["net"].replace(".", ""))


def random_call(chosen: random.Random, n: int, kinds: tuple[dict[str, Any], ...]) -> Cdr:
    at = f"2026-10-{chosen.randint(1, 31):02}T{chosen.randint(0, 21):02}:00:00Z"
    return cdr(f"c{n}", chosen.randint(1, 90), at, **chosen.choice(kinds))


def test_e19_levels_stand_apart(desk: Desk) -> None:
    """B.E19: what the reseller pays is in a folder of its own, and in no file of the customer."""
    resale = [{**row, "per_minute": "0.3456"} for row in LIST]
    desk.write(customer(tariffs={"list": LIST, "resale": resale}))
    desk.take(cdr("c", 125))
    desk.ask("close", "2026-10")
    theirs = [text for name, text in desk.files().items() if name.startswith("2026-10/dubois/")]
    assert theirs
    assert not any(b"resale" in text or b"0.72" in text or b"0,72" in text for text in theirs)
    assert b"0.720000" in desk.files()["2026-10/dubois.resale/statement.csv"]


def test_an_invalid_invoice_is_not_issued(desk: Desk) -> None:
    """With the extra, validators look at each invoice before anything is numbered."""
    desk.write(customer(buyer={**BUYER, "legal_id": "1"}), einvoice=True)
    found = desk.do("close", "2026-10")
    assert found.exit_code == 1
    assert "invalid_invoice: dubois: F2026-10-0001: " in found.output
    assert desk.ask("invoice", now=None) == []
    assert not (desk.artefacts / "2026-10").exists()


@pytest.mark.parametrize("period", [202610, 202612, 202701])
def test_periods_follow_one_another(period: int) -> None:
    assert periods.preceding(periods.following(period)) == period
