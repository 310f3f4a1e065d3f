"""Backups of a master at work, and what comes back from them: real programs, and kill -9 in the middle."""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from licence_master.store import backup, ledger
from licence_master.store.backup import Label
from licensing.ledger import replay
from licensing.state import State
from tests.chaos.conftest import CHAOS
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import PROGRAM, Master
from tests.licence_master.peer import Peer, happened

RECOVERY = ("Restored", "RecoveryStarted")
NO_STRACE = pytest.mark.skipif(not shutil.which("strace"), reason="NOT RUN: strace is not installed")


def state_of(path: Path) -> State:
    return replay(entry.event for entry in ledger.read_file(path))


def tables(path: Path) -> dict[str, list[object]]:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}


@contextlib.asynccontextmanager
async def house(home: Path) -> AsyncIterator[tuple[Master, Peer, Peer]]:
    """10 ports; hq holds 3 of them and lyon 4."""
    async with AsyncExitStack() as stack:
        master = stack.enter_context(Master(home).init().start())
        stock(master, "PBX-Port13,10", "PBX-IPVA13,4")
        hq = await stack.enter_async_context(await join(master, "hq"))
        lyon = await stack.enter_async_context(await join(master, "lyon"))
        await hq.sync({"seat": 3})
        await lyon.sync({"seat": 4})
        yield master, hq, lyon


async def restored(master: Master, file: Path, *words: str) -> dict[str, object]:
    """Stop it, restore, start it again."""
    await asyncio.to_thread(master.stop)
    said = await asyncio.to_thread(master.command, "restore", str(file), "--json", *words)
    await asyncio.to_thread(master.start)
    told: dict[str, object] = json.loads(said)
    return told


async def test_backups_of_a_busy_master_are_prefixes_of_its_history(tmp_path: Path) -> None:
    """Each has all that was answered before it was asked for, and its writer never waited."""
    acknowledged = [0]

    async def demand(peer: Peer) -> None:
        with contextlib.suppress(httpx.TransportError):
            for step in range(2_000):
                await peer.sync({"seat": (step * 7) % 6}, activity=[happened(step + 1, f"{step % 50}")])
                acknowledged[0] += 1

    async with house(tmp_path) as (master, hq, lyon):
        running = [asyncio.create_task(demand(peer)) for peer in (hq, lyon)]
        promised = []
        for number in range(5):
            before = acknowledged[0]
            made = await asyncio.to_thread(master.run, "backup", str(tmp_path / f"{number}.db"))
            assert made.returncode == 0, made.stderr
            assert "unbroken" in made.stdout
            assert "Not in it: keys/" in made.stdout
            promised.append(before)
        assert acknowledged[0] > promised[-1], "the master answered while it was backed up"
        master.kill()
        await asyncio.gather(*running)
    history = ledger.read_file(master.ledger())
    for number, before in enumerate(promised):
        file = tmp_path / f"{number}.db"
        contents = backup.read(file)
        assert file.stat().st_mode & 0o777 == 0o600
        assert contents.entries == history[: len(contents.entries)]
        assert contents.label is not None
        assert contents.label.installation == "acme"
        assert len(tables(file)["activity"]) >= before
    assert not [name for name in os.listdir(tmp_path) if ".db-" in name], "one file, nothing beside it"
    assert len({len(backup.read(tmp_path / f"{number}.db").entries) for number in range(5)}) > 1
    assert not list(master.ledger().parent.glob("*.copy-*"))
    again = Master(tmp_path).run("backup", str(tmp_path / "0.db"))
    assert again.returncode == 3, "no master, no backup"


async def test_a_restored_store_is_the_backed_up_one_in_every_table(tmp_path: Path) -> None:
    """Also on another machine that has the keys: nothing is missing, nothing is added but the recovery."""
    home = tmp_path / "one"
    home.mkdir()
    async with house(home) as (master, hq, lyon):
        await lyon.sync({"seat": 9}, activity=[happened(1, "201"), happened(2, "301", "refused")])
        master.order("/tokens", {"role": "auditor"})
        master.order("/invites", {"pbx": "nice"})
        master.order("/licences/remove", {"type": "PBX-IPVA13", "count": 1})
        await hq.send("POST", "/v1/agent/sync", hq.sync_body({}))  # the same seq again: a clone, it seems
        file = tmp_path / "acme.db"
        master.command("backup", str(file))
        (tmp_path / "two").mkdir()
        other = Master(tmp_path / "two")
        shutil.copytree(master.data / "keys", other.data / "keys")
        other.command("restore", str(file))
    before, after = state_of(file), state_of(other.ledger())
    assert before.agents["hq"].standing == "alert"
    assert before.shares["lyon"]["seat"].granted == 7
    assert after.waiting == {"hq", "lyon", "nice"}
    assert (after.instance != before.instance, after.term) == (True, before.term + 1)
    same = {"position": before.position, "instance": before.instance, "term": before.term}
    assert replace(after, **same, waiting=frozenset(), licences_lost=False) == before  # type: ignore[arg-type]
    were, are = tables(file), tables(other.ledger())
    assert set(were["event"]) < set(are["event"])
    assert len(are["event"]) == len(were["event"]) + len(RECOVERY)
    assert are["invite"] == [], "a token that is perhaps used by now"
    for name in ("answer", "contact", "token", "activity", "seen", "holding", "denial"):
        assert are[name] == were[name], name
        assert were[name], f"{name} shows nothing"
    assert were.keys() - are.keys() == {"backup"}
    assert other.ledger().stat().st_mode & 0o777 == 0o600


async def test_a_restored_store_lends_nothing_before_everyone_has_answered(tmp_path: Path) -> None:
    """What moved since the backup is in use elsewhere; who is awaited is said wherever one looks."""
    async with house(tmp_path) as (master, hq, lyon):
        file = tmp_path / "acme.db"
        master.command("backup", str(file))
        await lyon.sync({"seat": 0})
        await hq.sync({"seat": 10})
        stock(master, "PBX-Port13,5")
        told = await restored(master, file, "--discard-newer")
        assert [(each["pbx"], each["share"], each["joined"]) for each in told["awaited"]] == [  # type: ignore[attr-defined]
            ("hq", {"seat": 3}, True), ("lyon", {"seat": 4}, True), ("nice", {}, False)
        ]  # fmt: skip
        assert [each["event"] for each in told["lost"]] == ["licence.installed"]  # type: ignore[attr-defined]
        assert ledger.read_file(Path(str(told["kept"])))
        assert master.logged("recovery.waiting")[0]["pbxs"] == ["hq", "lyon", "nice"]
        listed = master.command("agents")
        assert "lyon: last sync" in listed
        assert "licence-master release-site lyon" in listed
        doctor = master.run("doctor")
        assert doctor.returncode == 1
        assert "waits for hq, lyon, nice and lends nothing new" in doctor.stdout

        await lyon.move_to(master.url)
        await hq.move_to(master.url)
        assert (await lyon.sync({"seat": 4})).code == "hello_needed"
        await lyon.hello({"seat": 4})
        assert lyon.shares == {"seat": 0}, "hq uses all ten"
        await lyon.sync({"seat": 4})
        assert lyon.shares == {"seat": 0}
        await hq.hello({"seat": 10})
        await hq.sync({"seat": 10})
        assert hq.shares == {"seat": 10}
        master.command("release-site", "nice", "--yes")
        await asyncio.to_thread(master.wait_for, "recovery.ended", 1)
        assert "awaited" not in master.command("agents")
        await hq.sync({"seat": 6})
        await lyon.sync({"seat": 4})
        assert (hq.shares, lyon.shares) == ({"seat": 6}, {"seat": 4})
        assert "unbroken" in master.command("audit", "verify")
        assert master.run("doctor").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: only root can give a file away")
def test_what_root_restores_belongs_to_the_service(tmp_path: Path) -> None:
    master = Master(tmp_path).init()
    file = tmp_path / "acme.db"
    backup.write(master.ledger(), file, Label("acme", 0))
    shutil.rmtree(master.data / "installations")
    os.chown(master.data, 65_534, 65_534)
    master.command("restore", str(file))
    made = [master.ledger(), *master.ledger().parents[:2], master.ledger().with_name("ledger.db.lock")]
    assert {path.stat().st_uid for path in made} == {65_534}
    assert {path.stat().st_gid for path in made} == {65_534}


async def test_a_restore_that_would_do_harm_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as (master, hq, _):
        file = tmp_path / "acme.db"
        master.command("backup", str(file))
        again = master.run("backup", str(file))
        assert (again.returncode, "is there already" in again.stderr) == (2, True)
        await hq.sync({"seat": 5})
        live = master.run("restore", str(file))
        assert live.returncode == 1
        assert "in use by process" in live.stderr
        master.stop()
    before = ledger.read_file(master.ledger())

    def refused(path: Path, code: int, text: str, *words: str) -> None:
        said = master.run("restore", str(path), *words)
        assert (said.returncode, "Traceback" in said.stderr) == (code, False), said.stderr
        assert text in said.stderr
        assert "nothing was changed" in said.stderr
        assert ledger.read_file(master.ledger()) == before
        assert not list(master.ledger().parent.glob("*.restoring*"))

    refused(file, 1, "1 events that the backup has not")
    foreign = tmp_path / "other.db"
    backup.write(master.ledger(), foreign, Label("other", 0))
    refused(foreign, 1, "is a backup of installation other", "--discard-newer")
    refused(tmp_path / "absent.db", 2, "No such file")
    refused(master.config, 4, "not a database")
    edited = tmp_path / "edited.db"
    shutil.copy(file, edited)
    with closing(sqlite3.connect(edited)) as connection:
        connection.execute("DROP TRIGGER event_kept")
        connection.execute("UPDATE event SET at_ms = at_ms + 1 WHERE seq = 9")
        connection.commit()
    refused(edited, 4, "event 9: this row, or its hash, was changed")
    torn = tmp_path / "torn.db"
    torn.write_bytes(file.read_bytes()[:-4_096])
    refused(torn, 4, "torn.db")
    shutil.rmtree(master.data / "keys")
    said = master.run("restore", str(file))
    assert (said.returncode, "put the copy of keys/ back first" in said.stderr) == (2, True)


@NO_STRACE
@pytest.mark.timeout(900 if CHAOS else 120)
async def test_a_restore_that_is_killed_leaves_the_old_store_or_the_new_one(tmp_path: Path) -> None:
    """kill -9 at each call that changes a name, and with CHAOS at each that writes."""
    async with house(tmp_path) as (master, hq, _):
        file = tmp_path / "acme.db"
        master.command("backup", str(file))
        await hq.sync({"seat": 5})
        master.kill()  # with a log that is not in the file yet
    there = master.ledger().parent
    shutil.copytree(there, tmp_path / "as it was")
    old = ledger.read_file(master.ledger())
    calls = "/^(link|rename|unlink|pwrite64|fdatasync|fsync)" if CHAOS else "/^(link|rename)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    outcomes = []
    for number in range(1, 1_000):
        inject = f"inject={calls}:signal=SIGKILL:when={number}"
        tracing = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject]
        command = [*PROGRAM, "restore", str(file), "--discard-newer", "--config", str(master.config)]
        done = await asyncio.to_thread(
            subprocess.run, [*tracing, *command], env=environment, capture_output=True, check=False
        )
        kept = [path for path in there.glob("*.replaced-*") if path.suffix != "-wal"]
        assert master.ledger().exists()
        found = ledger.read_file(master.ledger())
        restored_ = found[: len(old)] != old
        outcomes.append("new" if restored_ else "old")
        if restored_:
            assert replay(entry.event for entry in found).waiting == {"hq", "lyon", "nice"}
            assert any(ledger.read_file(path) == old for path in kept)
        if done.returncode == 0:
            break
        shutil.rmtree(there)
        shutil.copytree(tmp_path / "as it was", there)
    assert done.returncode == 0, done.stderr
    assert outcomes == sorted(outcomes, reverse=True), "old until it is new"
    assert "old" in outcomes
