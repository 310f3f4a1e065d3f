"""The store: acknowledged is durable, order is kept, one process only, and after an error nothing more."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.store import (
    Database,
    GroupCommit,
    Statement,
    StoreBusyError,
    StoreFailedError,
    StoreVersionError,
    open_database,
)
from runtime.store import insert as insert_rows

SCHEMA = ("CREATE TABLE event (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)",)


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


@pytest.mark.parametrize("count", [0, 1, 2, 100, 127, 128, 129, 1_000])
async def test_many_rows_arrive_in_order_by_few_steps(tmp_path: Path, count: int) -> None:
    path = tmp_path / "ledger.db"
    statements = insert_rows("INSERT INTO event VALUES", [(n, f"event {n}") for n in range(count)])
    async with opened(path) as database:
        await database.write(statements)
    assert rows(path) == list(range(count))
    assert len(statements) <= count // 128 + 7


def test_rows_of_any_count_share_eight_texts() -> None:
    texts = {sql for count in range(600) for sql, _ in insert_rows("INSERT INTO t VALUES", [(0,)] * count)}
    assert len(texts) == 8


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


def wal_commits(path: Path) -> int:
    """How many frames of the WAL end a transaction (file format, section 4.1)."""
    wal = path.with_name(path.name + "-wal").read_bytes()
    page = int.from_bytes(wal[8:12], "big")
    frames = range(32, len(wal) - page, 24 + page)
    return sum(int.from_bytes(wal[at + 4 : at + 8], "big") != 0 for at in frames)
