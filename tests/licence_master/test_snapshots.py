"""A start from a snapshot is a start from the first row: the same state, or no snapshot is believed."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bench.filled import fill
from licence_master.service import snapshots
from licence_master.store import ledger
from licence_master.store.schema import MIGRATIONS
from licence_master.store.snapshot import Snapshot, SnapshotError, audit, keep, newest
from licensing import snapshot
from licensing.ledger import replay
from licensing.state import State
from runtime.store import Statement, open_database
from tests.acceptance.peers.waiting import until
from tests.licence_master.conftest import stock
from tests.licence_master.master import Master
from tests.licence_master.test_answers import founded

EVENTS = 1_200  # more than a stop leaves to the next start
NOTHING: Statement = ("DELETE FROM seen WHERE agent = 'nobody'", [()])


def kept_in(path: Path) -> tuple[int, State]:
    """How many rows the snapshot leaves to a start, and the state that it holds."""
    with closing(sqlite3.connect(path)) as store:
        ((position, body),) = store.execute("SELECT position, body FROM snapshot").fetchall()
        ((rows,),) = store.execute("SELECT count(*) FROM event").fetchall()
    return rows - position, snapshot.decode(body)


def tamper(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        for name in ("event_kept", "event_stays"):
            store.execute(f"DROP TRIGGER IF EXISTS {name}")
        store.execute(sql, values)


async def stopped(home: Path) -> Path:
    """The store of a master that was stopped after a long day."""
    async with founded(home) as (_, store):
        pass
    await fill(store, rows=0, events=EVENTS, objects=10, begin_ms=0, end_ms=1)
    async with founded(home) as (installation, _):
        await installation.snapshots.at_stop()
    return store


async def test_a_master_starts_from_its_snapshot_and_the_rest(tmp_path: Path) -> None:
    master = Master(tmp_path).init()
    await fill(master.ledger(), rows=0, events=EVENTS, objects=10, begin_ms=0, end_ms=1)
    with master.start():
        stock(master, "PBX-Port13,10")
        master.order("/assignments", {"rows": [{"object": "201", "licence": "uc", "pbx": "lyon"}]})
        master.stop()
        left, kept = kept_in(master.ledger())
        assert left == 0
        assert kept == replay(entry.event for entry in ledger.read_file(master.ledger()))
        master.start()
        stock(master, "PBX-IPVA13,4")
        assert [row["object"] for row in master.ask("/assignments")] == ["201"]
        assert not master.logged("snapshot.unusable")
        master.kill()
        assert kept_in(master.ledger())[0] > 0, "a kill leaves a tail"
        assert "unbroken" in master.command("audit", "verify")
        tamper(master.ledger(), "UPDATE event SET actor = 'nobody' WHERE seq = 7")
        said = master.run("audit", "verify", "--json")
        assert (said.returncode, json.loads(said.stdout)["seq"]) == (1, 7), (
            "the chain is walked from its start"
        )


@pytest.mark.parametrize("busy", [False, True], ids=["calm", "busy"])
async def test_a_start_with_a_long_tail_leaves_none_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    """Else a master that is killed within each minute starts later and later."""
    monkeypatch.setattr(snapshots, "TAIL_WHEN_BUSY" if busy else "TAIL", EVENTS // 2)
    async with founded(tmp_path) as (_, store):
        pass
    await fill(store, rows=0, events=EVENTS, objects=10, begin_ms=0, end_ms=1)
    async with founded(tmp_path) as (installation, _):
        watch = asyncio.create_task(installation.snapshots.watch())
        if busy:
            installation.writer.commit(installation.writer.state, [], "test", [NOTHING])
        await asyncio.to_thread(until, lambda: snapshots_at(store), 10, "a snapshot")
        watch.cancel()
    assert kept_in(store)[0] < EVENTS // 2


def snapshots_at(path: Path) -> list[int]:
    """Where the snapshot stands, if there is one."""
    with closing(sqlite3.connect(path)) as store:
        return [position for (position,) in store.execute("SELECT position FROM snapshot")]


async def test_the_state_of_a_snapshot_is_that_of_all_rows(tmp_path: Path) -> None:
    store = await stopped(tmp_path)
    left, kept = kept_in(store)
    entries = ledger.read_file(store)
    assert left == 0
    assert kept == replay(entry.event for entry in entries)
    audit(store, entries)
    async with founded(tmp_path) as (installation, _):
        again = replay((entry.event for entry in ledger.read_file(store)[len(entries) :]), kept)
        assert installation.writer.state == again


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE snapshot SET body = x'00'", "cannot be read"),
        ("UPDATE snapshot SET body = CAST(replace(body, 'lyon', 'lion') AS BLOB)", "was changed"),
        ("UPDATE snapshot SET position = position - 1", "was changed"),
        ("UPDATE snapshot SET head = x'00'", "was changed"),
    ],
    ids=["garbage", "body", "position", "head"],
)
async def test_a_snapshot_that_does_not_fit_is_not_believed(tmp_path: Path, sql: str, told: str) -> None:
    store = await stopped(tmp_path)
    tamper(store, sql)
    with pytest.raises(SnapshotError, match=told):
        audit(store, ledger.read_file(store))
    with capture_logs() as logs:
        async with founded(tmp_path) as (installation, _):
            assert installation.writer.state == replay(entry.event for entry in ledger.read_file(store))
    assert "snapshot.unusable" in [line["event"] for line in logs]


async def test_a_snapshot_of_another_ledger_is_not_believed(tmp_path: Path) -> None:
    store = await stopped(tmp_path)
    entries = ledger.read_file(store)
    tamper(store, "UPDATE event SET hash = x'00' WHERE seq = ?", entries[-1].seq)
    database = await open_database(store, MIGRATIONS)
    with pytest.raises(SnapshotError, match="not the one the snapshot stands on"):
        await newest(database)
    await database.close()
    with pytest.raises(SnapshotError, match="not the one the snapshot stands on"):
        audit(store, entries[:-1])


async def test_another_release_replays_all_rows(tmp_path: Path) -> None:
    store = await stopped(tmp_path)
    tamper(store, "UPDATE snapshot SET rules = 'older', body = x'00'")
    async with founded(tmp_path) as (installation, _):
        assert installation.writer.state == replay(entry.event for entry in ledger.read_file(store))


async def test_a_forged_state_with_a_digest_of_its_own_is_found_by_the_audit(tmp_path: Path) -> None:
    store = await stopped(tmp_path)
    entries = ledger.read_file(store)
    sql, rows = keep(Snapshot(State(position=len(entries), term=1), entries[-1].hash))
    tamper(store, sql, *rows[0])
    with pytest.raises(SnapshotError, match="not the state that the ledger's rows make"):
        audit(store, entries)
