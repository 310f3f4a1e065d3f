"""What a master must survive: kill -9 at work, a lost store, two installations, a changed configuration."""

import asyncio
import contextlib
import signal
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest

from licensing import wire
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master
from tests.licence_master.peer import Peer

CAPACITY = 40
SYNCS = 150


async def demand(peer: Peer, acknowledged: list[tuple[str, int]]) -> None:
    """Ask for ever changing numbers until the master is gone; a retry repeats its bytes."""
    for step in range(SYNCS):
        try:
            await peer.sync({"seat": (step * 7 + len(peer.name) * 5) % 25})
        except httpx.TransportError:
            return
        acknowledged.append((peer.name, peer.shares["seat"]))


async def test_kill_9_in_the_middle_of_syncs_loses_nothing_and_lends_nothing_twice(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        master = stack.enter_context(Master(tmp_path).init().start())
        stock(master, f"PBX-Port13,{CAPACITY}")
        peers = [await stack.enter_async_context(await join(master, name)) for name in ("hq", "lyon")]
        for kill_after in (40, 90, 160):
            acknowledged: list[tuple[str, int]] = []
            running = [asyncio.create_task(demand(peer, acknowledged)) for peer in peers]
            while len(acknowledged) < kill_after and not all(task.done() for task in running):
                await asyncio.wait(running, timeout=0.01)
            master.kill()
            await asyncio.gather(*running)
            assert len(acknowledged) >= kill_after
            in_use = {peer.name: peer.shares["seat"] for peer in peers}
            assert sum(in_use.values()) <= CAPACITY
            master.start()
            for peer in peers:
                await peer.move_to(master.url)
                said = await peer.again()  # the request in flight, or a repeat of the last one
                assert said.status == 200, said.body
                if said.decoded(wire.Answer).ack_seq == peer.seq:
                    peer.take(said)
                assert peer.shares["seat"] <= CAPACITY
            assert sum(row["granted"] for row in master.ask("/shares")) <= CAPACITY
            on_record = {row["pbx"]: row["granted"] for row in master.ask("/shares")}
            assert on_record == {peer.name: units for peer in peers if (units := peer.shares["seat"])}


async def test_a_lost_store_lends_nothing_until_each_agent_has_said_hello(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        master = stack.enter_context(Master(tmp_path).init().start())
        stock(master, "PBX-Port13,10", "PBX-IPVA13,4")
        names = ("lyon", "nice", "hq")
        lyon, nice, hq = [await stack.enter_async_context(await join(master, name)) for name in names]
        await hq.sync({"seat": 1})
        await lyon.sync({"seat": 5})
        await nice.sync({"virtual_seat": 2})
        before = master.ask("/shares")
        master.stop()
        for path in master.ledger().parent.iterdir():
            path.unlink()
        master.start()
        assert master.logged("recovery.started")
        stock(master, "PBX-Port13,10", "PBX-IPVA13,4")
        for peer in (lyon, nice, hq):
            await peer.move_to(master.url)
        assert (await lyon.sync({"seat": 5})).code == "unknown_agent"
        first = (await lyon.hello({"seat": 7})).decoded(wire.Answer)
        assert (first.shares["seat"].granted, first.shares["seat"].state) == (5, "recovering")
        assert first.next_ms < 30_000
        await nice.hello({"virtual_seat": 2})
        await lyon.sync({"seat": 7})
        await nice.sync({"virtual_seat": 2})
        assert (lyon.shares, nice.shares) == ({"seat": 5}, {"virtual_seat": 2})
        with master.api() as api:
            (recovering,) = api.get("/installations").json()
        assert (recovering["state"], recovering["waiting_for"]) == ("recovering", ["hq"])
        await hq.hello({"seat": 1})
        await hq.sync({"seat": 1})
        after = master.ask("/shares")
        assert [(row["pbx"], row["granted"]) for row in after] == [(r["pbx"], r["granted"]) for r in before]
        assert lyon.term > 2
        await lyon.sync({"seat": 7})
        assert lyon.shares == {"seat": 7}


async def test_two_installations_in_one_process_know_nothing_of_each_other(tmp_path: Path) -> None:
    with Master(tmp_path, ("acme", "other")).init("acme", "other").start() as master:
        stock(master, "PBX-Port13,5", installation="acme")
        stock(master, "PBX-Port13,9", installation="other")
        async with await join(master, "lyon", "acme") as ours, await join(master, "lyon", "other") as theirs:
            await ours.sync({"seat": 9})
            await theirs.sync({"seat": 9})
            assert (ours.shares, theirs.shares) == ({"seat": 5}, {"seat": 9})
            crossed = await ours.post("/v1/agent/sync", ours.sync_body({}, seq=9, installation="other"))
            assert crossed.code == "signature_invalid"
        assert len(master.ask("/shares", "acme")) == 1
        assert master.run("pools").returncode == 2
        assert "9" in master.command("pools", "--installation", "other")


async def test_the_term_rises_with_each_start_and_the_state_stays(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        await lyon.sync({"seat": 4})
        before = [(row["pbx"], row["granted"], row["drawn"]) for row in master.ask("/shares")]
        for term in (3, 4):
            master.stop()
            master.start()
            await lyon.move_to(master.url)
            assert [(row["pbx"], row["granted"], row["drawn"]) for row in master.ask("/shares")] == before
            await lyon.sync({"seat": 4})
            assert lyon.term == term
        assert "unbroken" in master.command("audit", "verify")


async def test_an_edited_row_is_named_and_not_served(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        await lyon.sync({"seat": 4})
    master.stop()
    with closing(sqlite3.connect(master.ledger())) as connection:
        connection.execute("DROP TRIGGER event_kept")
        rows = connection.execute("SELECT seq, body FROM event").fetchall()
        seq, body = next((seq, body) for seq, body in rows if b'"granted":4' in body)
        edited = body.replace(b'"granted":4', b'"granted":9')
        connection.execute("UPDATE event SET body = ? WHERE seq = ?", (edited, seq))
        connection.commit()
    said = master.run("audit", "verify")
    assert said.returncode == 1
    assert f"event {seq}: this row, or its hash, was changed" in said.stderr
    with pytest.raises(AssertionError, match="did not start"):
        master.start()


async def test_a_changed_configuration_is_followed_on_sighup(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        await lyon.sync({"seat": 4})
        old = lyon.answer().policy
        assert old is not None
        text = master.config.read_text()
        reporting = "software: 13\n    policy: {enforcement: report}"
        master.config.write_text(text.replace("software: 13", reporting))
        master.send_signal(signal.SIGHUP)
        master.wait_for("configuration.reloaded", 1)
        await lyon.sync({"seat": 4}, policy_etag=old.etag)
        new = lyon.answer().policy
        assert new is not None
        assert new.enforcement == "report"
        without_lyon = "".join(line for line in text.splitlines(True) if "lyon" not in line)
        master.config.write_text(without_lyon)
        master.send_signal(signal.SIGHUP)
        master.wait_for("configuration.refused", 1)
        (refused,) = master.logged("configuration.refused")
        assert "share" in str(refused["errors"])
        await lyon.bye()
        master.send_signal(signal.SIGHUP)
        master.wait_for("configuration.reloaded", 2)
        assert [row["pbx"] for row in master.ask("/agents")][:2] == ["hq", "nice"]
        master.config.write_text("nonsense: yes\n")
        master.send_signal(signal.SIGHUP)
        master.wait_for("configuration.refused", 2)
        assert (await lyon.sync({"seat": 1})).code == "agent_revoked"


async def test_a_second_serve_on_the_same_store_is_refused(master: Master) -> None:
    said = master.run("serve")
    assert said.returncode == 1
    assert "another process" in said.stderr or "in use by process" in said.stderr


async def test_a_failed_commit_ends_the_process_and_answers_nothing(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        await lyon.sync({"seat": 2})
        with closing(sqlite3.connect(master.ledger())) as connection:
            fails = "CREATE TRIGGER disk BEFORE INSERT ON answer BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            connection.execute(fails)
            connection.commit()
        lyon.seq += 1
        body = lyon.sync_body({"seat": wire.ClassDemand(2, 5)})
        with contextlib.suppress(httpx.TransportError):
            assert (await lyon.post("/v1/agent/sync", body)).code == "store_failed"
        master.wait_for("daemon.failed", 1)
        assert "disk full" in str(master.logged("daemon.failed")[0]["error"])
        assert master.exit_code() == 1
        with closing(sqlite3.connect(master.ledger())) as connection:
            connection.execute("DROP TRIGGER disk")
        master.start()
        await lyon.move_to(master.url)
        assert [row["granted"] for row in master.ask("/shares")] == [2]
        lyon.take(await lyon.again())
        assert lyon.shares == {"seat": 5}
