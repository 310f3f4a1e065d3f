"""Files that a real, serving master installs: signed ones, the vendor's XML, CSV with projects."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from licence_master.edges import inventory, vendor_xml
from licence_master.store.ledger import read_file
from licensing.files.armour import MAX_BYTES, Block
from licensing.files.licence_file import DAMAGED, LICENCE, seal
from runtime.config import ConfigErrors
from runtime.signing import SigningKey
from tests.acceptance.peers.waiting import until as wait_until
from tests.licence_master.conftest import join
from tests.licence_master.master import Master, Row
from tests.licensing.office import Office, licence
from tests.telephony.mutation import Mutator

BOTH = ("00-90-33-01-02-03", "00-90-33-0a-0b-0c")


@pytest.fixture
def office() -> Office:
    return Office("Example GmbH")


@pytest.fixture
def trusting(tmp_path: Path, office: Office) -> Iterator[Master]:
    """A serving master that trusts the office's root."""
    with Master(tmp_path, roots=[str(root) for root in office.roots]).init().start() as master:
        yield master


def order(master: Master, *files: bytes, status: int = 200, **more: object) -> Row:
    named = [{"name": f"{n}.licence", "content": text.decode()} for n, text in enumerate(files)]
    return master.order("/licences", {"files": named, **more}, status=status)


def installed(master: Master, pool: str = "port") -> int:
    return sum(row["installed"] for row in master.ask("/pools") if row["pool"] == pool)


async def test_a_signed_file_serves_who_waits_and_is_replaced_and_revoked_while_they_talk(
    trusting: Master, office: Office, tmp_path: Path
) -> None:
    first = tmp_path / "first.licence"
    first.write_bytes(office.text(licence("3 PBX-Port13", issue_no=1)))
    async with await join(trusting, "lyon") as lyon, await join(trusting, "hq") as hq:
        await lyon.sync({"seat": 2})
        assert lyon.shares == {"seat": 0}
        tried = trusting.run("install", str(first), "--dry-run")
        assert "issue 1 of Example GmbH for main; its signatures fit" in tried.stdout
        assert "Nothing was changed" in tried.stdout
        assert installed(trusting) == 0
        trusting.command("install", str(first))
        assert await lyon.wake()
        await lyon.sync({"seat": 2})
        await hq.sync({"seat": 1})
        assert (lyon.shares, hq.shares) == ({"seat": 2}, {"seat": 1})
        assert order(trusting, first.read_bytes())["skipped"] == ["0.licence"]

        id_ = trusting.ask("/licences")[0]["document"]
        second = order(trusting, office.text(licence("2 PBX-Port13", issue_no=2, supersedes=(id_,))))
        assert [(p["before"]["installed"], p["after"]["installed"]) for p in second["pools"]] == [(3, 2)]
        assert installed(trusting) == 2
        await lyon.sync({"seat": 2})
        await hq.sync({"seat": 1})
        assert lyon.shares["seat"] + hq.shares["seat"] == 3, "nobody is cut"
        said = trusting.run("install", str(first))
        assert (said.returncode, "issue_old" in said.stderr) == (1, True)

        (row,) = trusting.ask("/licences")
        assert (row["issuer"], row["issue_no"], row["project"]) == ("Example GmbH", 2, "main")
        order(trusting, office.revocations(1, files=(row["document"],)))
        assert trusting.ask("/licences") == []
        again = order(
            trusting, office.text(licence("2 PBX-Port13", issue_no=2, supersedes=(id_,))), status=409
        )
        assert again["code"] == "file_revoked"
    history = [row["event"] for row in trusting.ask("/history")]
    assert {"file.installed", "licence.removed", "revocations.learned"} <= set(history)
    until = time.time_ns() // 1_000_000 + 1_500
    assert order(trusting, office.text(licence("5 PBX-Port13", project="rental", until_ms=until)))["done"]
    assert installed(trusting) == 5
    trusting.stop()
    wait_until(lambda: time.time_ns() // 1_000_000 >= until)
    trusting.start()  # what has ended is looked for every 30 seconds, and now
    wait_until(lambda: trusting.ask("/licences") == [])
    assert ("licence.removed", "expiry") in [(r["event"], r["actor"]) for r in trusting.ask("/history")]
    assert order(trusting, first.read_bytes(), status=409)["code"] == "issue_old", "kept over a restart"


def test_each_refusal_has_its_own_code(trusting: Master, office: Office, tmp_path: Path) -> None:
    text = office.text(licence())
    block = seal(LICENCE, licence(), office.key.sign)
    changed = office.armoured(office.voucher(), Block(LICENCE, block.content.replace(b":1,", b":9,", 1)))
    hq_only = licence("1 PBX-Port13 at lyon", macs=BOTH[:1])
    body = b'{"alg":"ed25519","alg":"ed25519"}'
    cases = {
        "key_untrusted": Office().text(licence()),
        "file_malformed": text[:-40],
        "file_changed": changed,
        "duplicate_key": office.raw(body),
        "number_not_whole": office.raw(b'{"alg":1.0}'),
        "too_large": text + b"\n" * MAX_BYTES,
        "mac_mismatch": office.text(hq_only),
        "wrong_master": office.text(licence(master="0" * 16)),
        "not_yet_valid": office.text(licence(from_ms=2**52)),
        "expired": office.text(licence(until_ms=1)),
        "unknown_critical": office.text(licence(critical=("cores",))),
        "algorithm_mismatch": office.text(licence(alg="none")),
    }
    for code, content in cases.items():
        named = [{"name": "a.licence", "content": content.decode()}]
        with trusting.api() as api:
            answer = api.post("/installations/acme/licences", json={"files": named}).json()
        assert answer["code"] == code, answer
        assert answer["hint"]
        assert answer["bad_data"] is (code in DAMAGED)
    assert trusting.ask("/licences") == []
    many = "type,count\n" + "PBX-Port13,1\n" * 1_001
    rows = trusting.order("/licences", {"files": [{"name": "a.csv", "content": many}]}, status=413)
    assert (rows["code"], "1001 rows" in rows["detail"]) == ("too_large", True)
    rubbish = tmp_path / "rubbish.licence"
    rubbish.write_bytes(b"\xff" * MAX_BYTES)
    said = trusting.run("install", str(rubbish))
    assert (said.returncode, "file_malformed" in said.stderr) == (4, True)
    rubbish.write_bytes(b"x" * (MAX_BYTES + 1))
    said = trusting.run("install", str(rubbish))
    assert (said.returncode, "too_large" in said.stderr) == (4, True)


def test_of_several_files_the_one_that_is_refused_is_named(
    trusting: Master, office: Office, tmp_path: Path
) -> None:
    year_ms = 1_000 * 86_400 * 365
    files = {
        "good.csv": b"type,count\nPBX-Port13,1\n",
        "typo.csv": b"type,count\nPBX-Port13,1\nPBX-Prot13,2\n",
        "nowhere.csv": b"type,count,place\nPBX-Port13,1,paris\n",
        "soon.licence": office.text(licence(from_ms=200 * year_ms)),
        "over.licence": office.text(licence(until_ms=year_ms)),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def refused(*names: str) -> str:
        said = trusting.run("install", *(str(tmp_path / name) for name in names))
        assert said.returncode == 1, said.stdout
        assert trusting.ask("/licences") == []
        return said.stderr

    assert "\ntypo.csv: " in refused("good.csv", "typo.csv")
    assert "PBX-Prot13" in refused("typo.csv")
    assert "\nnowhere.csv: " in refused("good.csv", "nowhere.csv")
    assert "\nsoon.licence: it is valid from 2169-11-13 on\n" in refused("good.csv", "soon.licence")
    assert "\nover.licence: it was valid until 1971-01-01\n" in refused("over.licence", "soon.licence")
    assert "\nsoon.licence: " in refused("soon.licence", "over.licence")


def test_files_of_one_order_come_in_their_turn_and_the_ledger_keeps_where_all_came_from(
    trusting: Master, office: Office
) -> None:
    key = SigningKey.load(trusting.data / "keys" / "master.key").key_id
    files = [office.text(licence(f"{n} PBX-Port13", issue_no=n, master=key)) for n in (3, 1, 2)]
    assert [file["issue_no"] for file in order(trusting, *files)["files"]] == [3, 1, 2]
    assert installed(trusting) == 6
    trusting.order("/licences", {"files": [{"name": "a.csv", "content": "type,count\nPBX-Port13,1\n"}]})
    with sqlite3.connect(trusting.ledger()) as ledger:
        bodies = [row[0].decode() for row in ledger.execute("SELECT body FROM event")]
    (*signed, stated) = [body for body in bodies if "DocumentInstalled" in body]
    assert all(f'"key":"{office.key.key_id}"' in body for body in signed)
    assert [f'"issue_no":{n}' in body for n, body in enumerate(signed, 1)] == [True] * 3
    assert '"name":"a.csv"' in stated
    assert len(read_file(trusting.ledger())) > 2, "and its chain is unbroken"


def test_without_roots_nothing_signed_is_installed_until_a_reload_names_one(
    tmp_path: Path, office: Office
) -> None:
    with Master(tmp_path).init().start() as master:
        refused = order(master, office.text(licence()), status=409)
        assert (refused["code"], "licence_roots" in refused["hint"]) == ("key_untrusted", True)
        text = master.config.read_text()
        master.config.write_text(text.replace("licence_roots: []", f'licence_roots: ["{office.roots[0]}"]'))
        master.send_signal(signal.SIGHUP)
        master.wait_for("configuration.reloaded", 1)
        assert order(master, office.text(licence()))["done"]


def test_a_root_that_is_no_key_is_an_error_with_its_place(tmp_path: Path) -> None:
    said = Master(tmp_path, roots=["ed25519:AAAA", "rsa:AAAA"]).run("check-config")
    assert said.returncode == 2
    assert "licence_roots[0]" in said.stderr
    assert "ed25519:<base64>" in said.stderr


VENDOR = """<?xml version="1.0" encoding="utf-8"?>
<licenses project="acme" signature="b64">
  <license amount="5" type="PBX-Port13" mac="00-90-33-01-02-03" key="x"/>
  <license amount="2" type="Port13$$" mac="009033010203"/>
  <license amount="9" type="PBX-UC13"/>
  <comment><license amount="99" type="PBX-Port13"/></comment>
</licenses>
"""


def test_the_vendors_file_is_an_inventory_whose_signature_is_not_checked(
    trusting: Master, tmp_path: Path
) -> None:
    path = tmp_path / "licenses.xml"
    path.write_text(VENDOR)
    said = trusting.run("install", str(path), "--dry-run")
    assert "its signature is not checked" in said.stdout
    assert "signature_unchecked" in said.stderr
    named = [{"name": path.name, "content": VENDOR}]
    assert trusting.order("/licences", {"files": named})["done"]
    rows = {
        (row["type"], row["count"], row["source"], row["unassigned"]) for row in trusting.ask("/licences")
    }
    assert rows == {
        ("PBX-Port13", 5, "vendor", False),
        ("PBX-Port13$$", 2, "vendor", False),
        ("PBX-UC13", 9, "vendor", True),
    }
    other = VENDOR.replace("00-90-33-01-02-03", "00-90-33-99-99-99")
    with_it = {"files": [{"name": "other.xml", "content": other}]}
    refused = trusting.order("/licences", with_it, status=409)
    assert (refused["code"], "master.yaml" in refused["hint"]) == ("mac_mismatch", True)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("<licenses ", '<!DOCTYPE licenses [<!ENTITY a "b">]>\n<licenses ', "2:1: a DOCTYPE"),
        ("<licenses ", '<!DOCTYPE licenses SYSTEM "http://example.com/x.dtd">\n<licenses ', "2:1: a DOCTYPE"),
        ('amount="5"', 'amount="5.0"', "3:1: amount: expected a whole number"),
        ('amount="5"', 'amount="-5"', "3:1: amount"),
        ('amount="5"', 'amount="9999999"', "3:1: amount"),
        ('amount="5"', 'amount="5" amount="6"', "3:1: not XML: duplicate attribute"),
        ('type="PBX-UC13"', "", "5:1: type: expected a licence type"),
        ("</licenses>", "", "not XML: no element found"),
        ("licenses", "licences", "2:1: <licences>, expected <licenses>"),
        ("<comment>", "<a>" * 40, "nested too deeply"),
        ('encoding="utf-8"?>', 'encoding="utj-8"?><x/>', "1:1: <x>, expected <licenses>"),
        ('key="x"', 'key="&a;"', "not XML: undefined entity"),
    ],
)
def test_what_is_wrong_with_the_vendors_file_is_said_with_its_line(
    before: str, after: str, complaint: str
) -> None:
    text = VENDOR.replace(before, after)
    with pytest.raises(ConfigErrors) as errors:
        inventory.read("a.xml", text.encode())
    assert complaint in str(errors.value)


def test_broken_vendors_files_are_refused_and_break_nothing() -> None:
    mutator = Mutator(
        random.Random(5), [VENDOR.encode(), b"<licenses><license amount='1' type='a'/></licenses>"]
    )
    read = 0
    for _ in range(100_000 if os.environ.get("CHAOS") else 5_000):
        text = mutator.draw()
        with suppress(ConfigErrors):
            vendor_xml.read("a.xml", text)
            read += 1
    assert read


def test_a_vendors_file_without_licences_is_none() -> None:
    with pytest.raises(ConfigErrors, match="no <license> in it"):
        inventory.read("a.xml", b"<licenses/>")


def test_projects_and_unassigned_licences_of_a_csv_are_listed_and_count_for_nothing(master: Master) -> None:
    content = "type,count,place,project\nPBX-Port13,5,,north\nPBX-Port13,7,-,south\n"
    report = master.order("/licences", {"files": [{"name": "a.csv", "content": content}]})
    assert [warning["code"] for warning in report["warnings"]] == ["unassigned"]
    assert installed(master) == 15  # 10 of the fixture
    rows = [(row["project"], row["count"], row["unassigned"]) for row in master.ask("/licences")]
    assert rows == [("", 10, False), ("", 4, False), ("north", 5, False), ("south", 7, True)]
    assert "unassigned" in master.command("licences")
