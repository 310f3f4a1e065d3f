"""Converting and transferring on a real, serving master, as its operator types it, while agents talk."""

from pathlib import Path

from licensing import wire
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master

SITES = """\
      - {name: lyon, role: slave, platform: gateway}
      - {name: nice, role: slave, platform: ipva}
"""
STANDBY = SITES.replace("platform: ipva", "platform: ipva, standby_for: lyon")


def configured(home: Path, sites: str) -> Master:
    master = Master(home)
    text = master.config.read_text()
    assert SITES in text
    master.config.write_text(text.replace(SITES, sites))
    return master.init()


async def test_smb_port_becomes_port_under_the_phones(tmp_path: Path) -> None:
    with configured(tmp_path, "").start() as master:
        stock(master, "PBX-Port13$20,3", "PBX-Port13$$,2")
        async with await join(master, "hq") as hq:
            await hq.sync({"seat": 3})
            said = master.run("convert", "smb-port")
            assert (said.returncode, "conversion_short" in said.stderr) == (1, True)
            assert "Install 1 more PBX-Port13$$." in said.stderr
            stock(master, "PBX-Port13$$,2")
            master.order("/licences/convert", {"pool": "smb-port", "dry_run": True})
            assert [row["pool"] for row in master.ask("/pools")] == ["smb-port"]
            (come, gone) = master.order("/licences/convert", {"pool": "smb-port"})["pools"]
            assert (gone["pool"], gone["after"]["installed"]) == ("smb-port", 0)
            assert (come["pool"], come["after"]["installed"]) == ("port", 3)
            assert [(row["pool"], row["lent"]) for row in master.ask("/pools")] == [("port", 3)]
            grant = (await hq.sync({"seat": 3})).decoded(wire.Answer).shares["seat"]
            assert grant == wire.ShareGrant(granted=3, max_software=13, state="short")
        assert {(row["type"], row["count"]) for row in master.ask("/licences")} == {
            ("PBX-Port13", 3),
            ("PBX-Port13$$", 1),
        }
        assert "licence.converted" in [row["event"] for row in master.ask("/history")]


async def test_a_transfer_moves_units_and_names_who_has_to_leave(master: Master) -> None:
    async with await join(master, "hq") as hq, await join(master, "lyon") as lyon:
        told = [
            {"n": n, "at_ms": n, "object": f"{200 + n}", "kind": "user", "class": "seat", "event": "held"}
            for n in range(1, 9)
        ]
        await hq.sync({"seat": 8})
        await hq.sync({"seat": 8}, activity=told)
        await lyon.sync({"seat": 2})
        words = ("transfer", "PBX-Port13", "4", "--to", "lyon")
        tried = master.command(*words, "--dry-run")
        assert "Nobody is cut" in tried
        assert ["hq", "seat", "2", "208,", "207"] in [line.split() for line in tried.splitlines()]
        assert "Nothing was changed" in tried
        master.order("/licences/transfer", {"type": "PBX-Port13", "count": 4, "to_place": "lyon"})
        assert {row["pool"]: row["installed"] for row in master.ask("/pools")} == {
            "ipva": 4,
            "port": 6,
            "port@lyon": 4,
        }
        await lyon.sync({"seat": 2})  # what it holds is drawn from its own now
        assert (await hq.sync({"seat": 8})).decoded(wire.Answer).shares["seat"].recall_to == 6
        (one, two) = [row for row in master.ask("/shares") if row["pbx"] in ("hq", "lyon")]
        assert (one["drawn"], two["drawn"]) == ({"port": 8}, {"port@lyon": 2})
        order = {"type": "PBX-Port13", "count": 1, "from_place": "nice", "to_place": "lyon"}
        assert master.order("/licences/transfer", order, status=404)["code"] == "not_found"


async def test_nobody_has_to_leave_where_a_share_only_moves(master: Master) -> None:
    """A site gives back the last licence of its own: its phones draw the master's, as far as those reach."""
    async with await join(master, "hq") as hq, await join(master, "lyon") as lyon:
        there = {"type": "PBX-Port13", "count": 4, "to_place": "lyon"}
        assert master.order("/licences/transfer", there)["leaving"] == []
        await lyon.sync({"seat": 3})
        told = [
            {"n": n, "at_ms": n, "object": f"{100 + n}", "kind": "user", "class": "seat", "event": "held"}
            for n in range(1, 4)
        ]
        await lyon.sync({"seat": 3}, activity=told)
        await hq.sync({"seat": 6})
        back = {"type": "PBX-Port13", "count": 4, "from_place": "lyon"}
        assert master.order("/licences/transfer", {**back, "dry_run": True})["leaving"] == []
        remains = {**back, "count": 2}
        (left,) = master.order("/licences/transfer", {**remains, "dry_run": True})["leaving"]
        assert (left["pbx"], left["units"], left["objects"]) == ("lyon", 1, ["103"])
        master.order("/licences/transfer", back)
        assert [row["object"] for row in master.ask("/holders") if row["leaves"]] == []
        await lyon.sync({"seat": 3})
        drawn = {row["pbx"]: row["drawn"] for row in master.ask("/shares")}
        assert drawn == {"hq": {"port": 6}, "lyon": {"port": 3}}


async def test_an_operator_says_that_a_pbx_failed_and_that_it_is_back(tmp_path: Path) -> None:
    with configured(tmp_path, STANDBY).start() as master:
        stock(master, "PBX-Port13,3", "PBX-Standby13,2", "PBX-IPVA13,2")
        async with await join(master, "lyon") as lyon, await join(master, "nice") as nice:
            await lyon.sync({"seat": 2})
            answer = (await nice.sync({})).decoded(wire.Answer)
            assert answer.policy is not None
            assert answer.policy.kinds["user@lyon"] == "virtual_seat"
            refused = master.order("/pbxs/hq/fail", {}, status=404)
            assert "no PBX stands by for hq" in refused["detail"]
            said = master.run("fail", "lyon")
            assert "so standby is off (standby_short)" in said.stderr
            stock(master, "PBX-Standby13,1")
            assert master.order("/pbxs/lyon/fail", {})["warnings"] == []
            assert await nice.wake()
            answer = (await nice.sync({"virtual_standby_seat": 2}, policy_etag=answer.policy.etag)).decoded(
                wire.Answer
            )
            assert answer.policy is not None
            assert answer.policy.kinds["user@lyon"] == "virtual_standby_seat"
            assert answer.policy.kinds["user"] == "virtual_seat"
            assert nice.shares == {"virtual_standby_seat": 2}
            await nice.sync({"virtual_standby_seat": 2}, policy_etag=answer.policy.etag)
            assert nice.answer().policy is None, "it is said once"
            await lyon.sync({"seat": 0})
            assert lyon.shares == {"seat": 0}
            used = {row["pool"]: row["used"] for row in master.ask("/pools")}
            assert used == {"ipva": 2, "port": 2, "standby": 2}, "its Ports wait for lyon"
            (row,) = [row for row in master.ask("/agents") if row["pbx"] == "lyon"]
            assert (row["state"], row["hint"]) == ("failed", "when it is back: licence-master recover lyon")
            master.order("/pbxs/lyon/recover", {})
            await lyon.sync({"seat": 0})
            assert {row["pool"]: row["used"] for row in master.ask("/pools")}["port"] == 0
        events = [row["event"] for row in master.ask("/history")]
        assert {"pbx.failed", "pbx.recovered"} <= set(events)
