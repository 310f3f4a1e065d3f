"""The store: acknowledged is durable, order is kept, one process only, and after an error nothing more."""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.store import (
    Database,
    GroupCommit,
    Statement,
    StoreBusyError,
    StoreFailedError,
    StoreLockedError,
    StoreVersionError,
    open_database,
)

SCHEMA = ("CREATE TABLE event (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)",)
ROOT = Path(__file__).parents[2]


def insert(*numbers: int) -> list[Statement]:
    return [("INSERT INTO event VALUES (?, ?)", [(number, f"event {number}") for number in numbers])]


def rows(path: Path) -> list[int]:
    """What another connection finds, which is what is committed."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM event ORDER BY rowid")]


@contextlib.asynccontextmanager
async def opened(path: Path, migrations: tuple[str, ...] = SCHEMA) -> AsyncIterator[Database]:
    database = await open_database(path, migrations)
    try:
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def committing(database: Database, limit: int = 10_000) -> AsyncIterator[GroupCommit]:
    commits = GroupCommit(database, limit=limit)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commits.run())
        try:
            yield commits
        finally:
            commits.close()


async def one_value(database: Database, sql: str) -> object:
    (row,) = await database.execute_fetchall(sql)
    return row[0]


async def test_the_file_is_private_and_set_up_for_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database:
        assert path.stat().st_mode & 0o777 == 0o600
        assert await one_value(database, "PRAGMA journal_mode") == "wal"
        assert await one_value(database, "PRAGMA synchronous") == 2  # FULL
        assert await one_value(database, "PRAGMA foreign_keys") == 1
        assert await one_value(database, "PRAGMA user_version") == 1


async def test_submit_returns_when_another_connection_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database, committing(database) as commits:
        for number in range(1, 20):
            await commits.submit(insert(number))
            assert rows(path)[-1] == number


async def test_all_that_waits_is_one_commit_in_order(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    order: list[int] = []
    async with opened(path) as database:
        commits = GroupCommit(database)
        for number in (3, 1, 2):
            commits.defer(insert(number)).add_done_callback(lambda _, n=number: order.append(n))  # type: ignore[misc]
        later = commits.defer([("UPDATE event SET body = 'last' WHERE seq = ?", [(1,)])])
        before = wal_commits(path)
        task = asyncio.create_task(commits.run())
        await later
        assert order == [3, 1, 2]
        assert wal_commits(path) - before == 1
        assert await one_value(database, "SELECT body FROM event WHERE seq = 1") == "last"
        commits.close()
        await task


async def test_a_repeat_or_denial_waits_for_what_it_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database:
        commits = GroupCommit(database)
        assert commits.defer([]).done()  # nothing is under way
        write = commits.defer(insert(1))
        barrier = commits.defer([])
        assert not barrier.done()
        task = asyncio.create_task(commits.run())
        await barrier
        assert write.done()
        assert rows(path) == [1]
        commits.close()
        await task


async def test_a_barrier_during_a_commit_waits_for_that_commit(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    held, release = asyncio.Event(), asyncio.Event()

    class Held(Database):
        async def write(self, statements: object) -> None:
            held.set()
            await release.wait()
            await super().write(statements)  # type: ignore[arg-type] # only passed on

    async with opened(path) as database:
        database.__class__ = Held
        commits = GroupCommit(database)
        task = asyncio.create_task(commits.run())
        commits.defer(insert(1))
        await held.wait()
        barrier = commits.defer([])
        assert not barrier.done()
        release.set()
        await barrier
        assert rows(path) == [1]
        commits.close()
        await task


async def test_a_waiter_that_goes_away_takes_nothing_with_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database, committing(database) as commits:
        gone = asyncio.create_task(commits.submit(insert(1)))
        stays = asyncio.create_task(commits.submit(insert(2)))
        asyncio.get_running_loop().call_soon(gone.cancel)
        await stays
        assert rows(path) == [1, 2]


async def test_close_writes_what_was_accepted_and_accepts_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database:
        commits = GroupCommit(database)
        last = commits.defer(insert(1))
        commits.close()
        await commits.run()
        assert last.done()
        assert rows(path) == [1]
        with pytest.raises(StoreFailedError):
            commits.defer(insert(2))


async def test_a_full_queue_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database:
        commits = GroupCommit(database, limit=2)
        commits.defer(insert(1))
        assert not commits.full
        commits.defer(insert(2))
        assert commits.full
        with pytest.raises(StoreBusyError):
            commits.defer(insert(3))
        commits.close()
        await commits.run()
        assert rows(path) == [1, 2]


async def test_after_an_error_everyone_hears_it_and_nothing_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database:
        commits = GroupCommit(database)
        futures = [commits.defer(insert(1)), commits.defer(insert(1)), commits.defer([])]  # seq 1 twice
        with pytest.raises(StoreFailedError, match="UNIQUE"):
            await commits.run()
        for future in futures:
            assert isinstance(future.exception(), StoreFailedError)
        with pytest.raises(StoreFailedError):
            await commits.submit(insert(2))
        assert await one_value(database, "SELECT count(*) FROM event") == 0  # and reads see no half
    assert rows(path) == []


async def test_a_full_database_steps_down(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database:
        await database.execute("PRAGMA max_page_count = 12")
        commits = GroupCommit(database)
        task = asyncio.create_task(commits.run())
        acknowledged: list[int] = []
        with contextlib.suppress(StoreFailedError):
            for number in range(1, 1_000):
                await commits.submit(insert(*range(number * 100, number * 100 + 100)))
                acknowledged.append(number * 100)
        assert len(acknowledged) < 999
        with pytest.raises(StoreFailedError, match="full"):
            await task
    assert acknowledged
    assert [seq for seq in rows(path) if seq % 100 == 0] == acknowledged


async def test_cancelling_the_writer_leaves_nobody_waiting(tmp_path: Path) -> None:
    async with opened(tmp_path / "ledger.db") as database:
        commits = GroupCommit(database)
        task = asyncio.create_task(commits.run())
        await commits.submit(insert(1))
        waiter = commits.defer(insert(2))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(waiter.exception(), StoreFailedError)


async def test_a_value_that_sqlite_cannot_hold_stops_the_writer_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "ledger.db") as database:
        commits = GroupCommit(database)
        waiter = commits.defer([*insert(1), *insert(2**70)])
        with pytest.raises(OverflowError):
            await commits.run()
        assert isinstance(waiter.exception(), StoreFailedError)
        assert await one_value(database, "SELECT count(*) FROM event") == 0
        with pytest.raises(StoreFailedError):
            commits.defer(insert(3))


async def test_a_second_opener_is_told_whose_store_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path):
        with pytest.raises(StoreLockedError, match=f"in use by process {os.getpid()}; stop it first"):
            await open_database(path, SCHEMA)
        child = run_child(f"asyncio.run(open_database(Path({str(path)!r}), ()))")
        assert f"StoreLockedError: {path} is in use by process {os.getpid()}" in child.stderr
    async with opened(path):
        pass


async def test_migrations_run_once_each_after_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    second = "ALTER TABLE event ADD COLUMN note TEXT; CREATE TABLE extra (a)"
    async with opened(path) as database:
        await database.write(insert(1))
    copy = tmp_path / "ledger.db.before-2"
    assert not copy.exists()
    async with opened(path, (*SCHEMA, second)) as database:
        assert await one_value(database, "PRAGMA user_version") == 2
        assert await one_value(database, "SELECT note FROM event") is None
    assert copy.stat().st_mode & 0o777 == 0o600
    async with opened(copy) as database:
        assert await one_value(database, "PRAGMA user_version") == 1
        assert await one_value(database, "SELECT body FROM event") == "event 1"
    async with opened(path, (*SCHEMA, second)):
        pass
    with pytest.raises(StoreVersionError, match="has schema 2, this release knows 1"):
        await open_database(path, SCHEMA)


async def test_a_failed_migration_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with opened(path) as database:
        await database.write(insert(1))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await open_database(path, (*SCHEMA, "DELETE FROM event; DROP TABLE absent"))
    async with opened(path) as database:
        assert await one_value(database, "PRAGMA user_version") == 1
    assert rows(path) == [1]


ACKNOWLEDGE = """
async def main():
    database = await open_database(Path({path!r}), {schema!r})
    commits = GroupCommit(database)
    task = asyncio.create_task(commits.run())
    start = (await (await database.execute("SELECT coalesce(max(seq), 0) FROM event")).fetchone())[0]
    async def one(number):
        await commits.submit([("INSERT INTO event VALUES (?, 'x')", [(number,)])])
        os.write(1, b"%d\\n" % number)
    number = start
    while True:
        await asyncio.gather(*(one(number + n) for n in range(1, 8)))
        number += 7
asyncio.run(main())
"""


def test_what_was_acknowledged_before_kill_9_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    acknowledged: set[int] = set()
    for wanted in (3, 50, 11, 100, 29):
        with start_child(ACKNOWLEDGE.format(path=str(path), schema=SCHEMA)) as child:
            assert child.stdout is not None
            for _ in range(wanted):
                acknowledged.add(int(child.stdout.readline()))
            child.send_signal(signal.SIGKILL)
            acknowledged |= {
                int(line) for line in child.stdout.read().splitlines(keepends=True) if line[-1] == "\n"
            }
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert acknowledged <= set(rows(path))
    assert len(acknowledged) >= 193


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_every_group_is_synced_before_its_answer(tmp_path: Path) -> None:
    """The trace shows an fdatasync before each acknowledgement, one for a group of seven."""
    path, trace = tmp_path / "ledger.db", tmp_path / "trace"
    code = ACKNOWLEDGE.format(path=str(path), schema=SCHEMA).replace("while True", "while number < 70")
    done = run_child(
        code.replace(
            "number += 7\n", "number += 7\n    commits.close(); await task; await database.close()\n"
        ),
        "strace",
        "-f",
        "-o",
        str(trace),
        "-e",
        "trace=fdatasync,write",
    )
    assert done.stdout.split() == [str(number) for number in range(1, 71)], done.stderr
    syncs = 0
    per_group: list[int] = []
    for line in trace.read_text().splitlines():
        if "fdatasync(" in line:
            syncs += 1
        elif "write(1, " in line:
            number = int(line.split('"')[1].split("\\")[0])
            if number % 7 == 1:
                per_group.append(syncs)
                syncs = 0
            assert number % 7 == 1 or syncs == 0
    assert len(per_group) == 10
    assert all(count >= 1 for count in per_group), per_group


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not installed")
def test_a_full_file_system_steps_down_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """A real tmpfs of 1 MiB in a mount namespace of our own."""
    code = f"""
async def main():
    path = Path({str(tmp_path)!r}) / "ledger.db"
    database = await open_database(path, {SCHEMA!r})
    commits = GroupCommit(database)
    task = asyncio.create_task(commits.run())
    number = 0
    try:
        while True:
            await commits.submit([("INSERT INTO event VALUES (?, ?)", [(number + 1, "x" * 3000)])])
            number += 1
    except StoreFailedError:
        pass
    try:
        await task
    except StoreFailedError as error:
        print(error)
    await database.close()
    found = sqlite3.connect(path).execute("SELECT count(*), max(seq) FROM event").fetchone()
    print(number > 50, found == (number, number))
asyncio.run(main())
"""
    wrapped = (
        "import subprocess; subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', "
        + repr(str(tmp_path))
        + "], check=True)\n"
        + code
    )
    done = run_child(wrapped, "unshare", "-rm")
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("this machine allows no mount namespace")
    assert done.stdout.splitlines()[-1] == "True True", done.stdout + done.stderr
    assert "disk is full" in done.stdout or "disk I/O error" in done.stdout


IMPORTS = """
import asyncio, os, sqlite3
from pathlib import Path
from runtime.store import *
from runtime.store import GroupCommit, open_database
"""


def run_child(code: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-c", IMPORTS + code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def start_child(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTS + code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def wal_commits(path: Path) -> int:
    """How many frames of the WAL end a transaction (file format, section 4.1)."""
    wal = path.with_name(path.name + "-wal").read_bytes()
    page = int.from_bytes(wal[8:12], "big")
    frames = range(32, len(wal) - page, 24 + page)
    return sum(int.from_bytes(wal[at + 4 : at + 8], "big") != 0 for at in frames)
