"""SQLite as a ledger wants it: one process, numbered migrations, and an answer only after its commit.

Group commit (reliability.md section 2, decision 0003): everything that waits goes into one transaction with
`synchronous=FULL`. After any error the store answers nothing more and its task ends: step down, never retry.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import aiosqlite

from runtime.files import sync_directory

BUSY_TIMEOUT_MS = 5_000
QUEUE_LIMIT = 10_000
REST_S = 0.05  # between two commits at most
BLOCK = 128  # rows of one statement at most: with 9 values each, far from SQLite's 32,766 parameters

Value = str | int | bytes | None
Statement = tuple[str, Sequence[tuple[Value, ...]]]
"""One SQL statement and the rows of parameters to run it with, in order; a statement without any: [()]."""


def insert(into: str, rows: Sequence[Sequence[Value]], row: str = "") -> list[Statement]:
    """Many rows by few steps of SQLite; `into` is the statement up to and with `VALUES`, `row` one of them.

    Each step gives up Python's interpreter lock and wins it back. Blocks of 1, 2, 4, … 128 rows, so that
    there are eight texts for SQLite to prepare and to keep.
    """
    statements: list[Statement] = []
    start = 0
    while start < len(rows):
        size = min(BLOCK, 1 << (len(rows) - start).bit_length() - 1)
        block = rows[start : start + size]
        places = row or f"({', '.join('?' * len(block[0]))})"
        values = tuple(chain.from_iterable(block))
        statements.append((f"{into} {', '.join([places] * size)}", [values]))
        start += size
    return statements


class StoreError(Exception):
    """The store cannot be used."""


class StoreLockedError(StoreError):
    """Another process has this store open; the text names its pid."""


class StoreVersionError(StoreError):
    """The store was written by a newer release than this one."""


class StoreFailedError(StoreError):
    """A write failed or its fate is unknown: answer nothing, end the process, read again."""


class StoreBusyError(StoreError):
    """The queue is full; nothing was accepted. Ask `GroupCommit.full` before you decide."""


class Database(aiosqlite.Connection):
    """A connection in autocommit mode that holds the lock of its store until it is closed."""

    def __init__(self, path: Path, connector: Callable[[], sqlite3.Connection], lock: int) -> None:
        super().__init__(connector, 64)
        self.path = path
        self._thread.daemon = True  # a program that steps down does not wait for its store
        self._lock = lock
        self._index = -1
        self._log_limit = _checkpoint_pages(path)

    async def write(self, statements: Sequence[Statement]) -> None:
        """Run the statements in one transaction, in one visit to the connection's thread."""
        await self._execute(self._write, statements)  # type: ignore[no-untyped-call] # aiosqlite is half typed

    async def close(self) -> None:
        """Close the connection and let the next process in."""
        try:
            await super().close()
        finally:
            for descriptor in (self._index, self._lock):
                if descriptor >= 0:
                    os.close(descriptor)
            self._index = self._lock = -1

    def _write(self, statements: Sequence[Statement]) -> None:
        connection: sqlite3.Connection = self._conn
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql, rows in statements:
                connection.executemany(sql, rows)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:  # it failed: later reads shall see only what is committed
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
        if self._logged_pages() >= self._log_limit:
            _checkpoint(connection)

    def _logged_pages(self) -> int:
        """Pages in the log: mxFrame of the wal-index header (SQLite, "WAL-mode File Format", 2.1).

        The index stays open as long as the connection: closing any descriptor of a file drops all locks that
        the process has on it.
        """
        if self._index < 0:
            self._index = os.open(self.path.with_name(f"{self.path.name}-shm"), os.O_RDONLY)
        return int.from_bytes(os.pread(self._index, 4, 16), sys.byteorder)


async def open_database(
    path: Path, migrations: Sequence[str], *, synchronous: Literal["FULL", "NORMAL"] = "FULL"
) -> Database:
    """Open or make the file (0600), take its lock and bring its schema to the last migration.

    Migration n (from 1) is the n-th text and runs once, in one transaction. Before an existing store is
    migrated its copy `<name>.before-<n>` is written. StoreLockedError, StoreVersionError, sqlite3.Error.
    """
    lock = _take_lock(path)
    try:
        _make_file(path)
        database = await _opened(Database(path, lambda: _connect(path, synchronous), lock))
    except BaseException as error:
        os.close(lock)
        _name_disk_trouble(path, error)
        raise
    try:
        await database._execute(_migrate, path, database._conn, migrations)  # type: ignore[no-untyped-call]
        sync_directory(path.parent)  # the log is there now; SQLite's own sync of its name may fail unheard
    except BaseException as error:
        await database.close()
        _name_disk_trouble(path, error)
        raise
    return database


async def _opened(database: Database) -> Database:
    """The connection; if it cannot be opened its thread has ended, which would outlive the event loop."""
    try:
        return await database  # type: ignore[return-value] # aiosqlite says Connection, and means itself
    except BaseException:
        await asyncio.to_thread(database._thread.join)
        raise


class GroupCommit:
    """One writer: statements in, in order; each caller hears of it after the commit that contains them.

    One that `rests` lets a crowd gather: after a commit of several writes it waits as long as that one took,
    50 ms at most. Who writes alone waits for nobody (decision 0054).
    """

    def __init__(self, database: Database, *, limit: int = QUEUE_LIMIT, rests: bool = False) -> None:
        self._database = database
        self._limit = limit
        self._rests = rests
        self._waiting: deque[tuple[Sequence[Statement], asyncio.Future[None]]] = deque()
        self._arrived = asyncio.Event()
        self._busy = False  # a commit is under way
        self._closed = False
        self._failure: StoreFailedError | None = None

    @property
    def waiting(self) -> int:
        """How many writes are not yet durable."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Would `defer` refuse now? Ask before you decide, since a decision cannot be undone."""
        return len(self._waiting) >= self._limit

    def defer(self, statements: Sequence[Statement]) -> asyncio.Future[None]:
        """Take a place in the queue at once; the future ends after the commit.

        Without statements it ends when everything deferred before is durable: what repeats and denials
        wait for. Raises StoreFailedError after a failure or `close`, StoreBusyError when the queue is full.
        """
        if self._failure or self._closed:
            raise StoreFailedError("the store has stopped") from self._failure
        if self.full:
            raise StoreBusyError(f"{self._limit} writes wait already")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not statements and not self._waiting and not self._busy:
            future.set_result(None)
            return future
        self._waiting.append((statements, future))
        self._arrived.set()
        return future

    async def submit(self, statements: Sequence[Statement]) -> None:
        """Return after the commit that contains these statements; errors as `defer`."""
        await self.defer(statements)

    async def run(self) -> None:
        """Commit what arrives until `close` or the first failure, which it raises as StoreFailedError.

        Run it as a task of the program's TaskGroup: its failure ends the program.
        """
        try:
            while not (self._closed and not self._waiting):
                await self._arrived.wait()
                self._arrived.clear()
                crowd_s = await self._commit_waiting()
                if self._rests and crowd_s:
                    await asyncio.sleep(min(crowd_s, REST_S))
        except (sqlite3.Error, OSError) as error:
            self._failure = StoreFailedError(_told(self._database.path, error))
            raise self._failure from error
        finally:
            self._closed = True
            self._refuse_waiting()

    def close(self) -> None:
        """Accept nothing more; `run` returns once everything accepted is durable."""
        self._closed = True
        self._arrived.set()

    async def _commit_waiting(self) -> float:
        """Commit them together; the seconds that took for more than one write, else 0."""
        if not self._waiting:
            return 0.0
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        batch = list(self._waiting)
        self._busy = True
        try:
            statements = [statement for part, _ in batch for statement in part]
            if statements:
                await self._database.write(statements)
            for _ in batch:
                self._waiting.popleft()
        finally:
            self._busy = False
        for _, future in batch:
            if not future.done():  # its waiter may be gone
                future.set_result(None)
        return now_s() - began_s if len(batch) > 1 else 0.0

    def _refuse_waiting(self) -> None:
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(StoreFailedError("the fate of this write is unknown"))
                future.exception()  # nobody may be left to read it
        self._waiting.clear()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a store without opening it, so that nobody else does; StoreLockedError."""
    lock = _take_lock(path)
    try:
        yield
    finally:
        os.close(lock)


def _name_disk_trouble(path: Path, error: BaseException) -> None:
    """SQLite names no file; raise StoreFailedError for what an administrator has to mend at the disk."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        raise StoreFailedError(_told(path, error)) from error


def _told(path: Path, error: BaseException) -> str:
    """With the room that is left: SQLite says "disk I/O error" of a full disk too."""
    with contextlib.suppress(OSError):
        disk = os.statvfs(path.parent)
        return f"{path}: {error} ({disk.f_bavail * disk.f_frsize} bytes free on its disk)"
    return f"{path}: {error}"


def _take_lock(path: Path) -> int:
    """An exclusive lock on `<name>.lock`, which holds our pid; the kernel lets go when we die."""
    lock_path = path.with_name(path.name + ".lock")
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StoreLockedError(f"{path} is in use by process {holder}; stop it first") from None
    with contextlib.suppress(OSError):  # a full disk: the lock holds without our name
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _make_file(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # SQLite would choose the mode by the umask
    sync_directory(path.parent)


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1_000)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # ours is in Database._write
    return connection


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Take the log into the file; an error from fsync is one of the commit.

    SQLite's own checkpoint swallows it and tries again, and what the kernel then says of the pages may be a
    lie. A full disk is none: the log has them, and goes on growing where there is room.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise


def _checkpoint_pages(path: Path) -> int:
    """Pages after which the log goes into the file: 1,000, fewer where that would fill the disk."""
    disk = os.statvfs(path.parent)
    return max(16, min(1_000, disk.f_blocks * disk.f_frsize // 64 // 4_096))


def _migrate(path: Path, connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise StoreVersionError(
            f"{path} has schema {version}, this release knows {len(migrations)}; install the newer release"
        )
    if 0 < version < len(migrations):
        _back_up(path, connection, version + 1)
    for number, script in enumerate(migrations[version:], start=version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script};\nPRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _back_up(path: Path, connection: sqlite3.Connection, number: int) -> None:
    """Copy the store beside itself (0600), complete or not at all."""
    target = path.with_name(f"{path.name}.before-{number}")
    partial = path.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with contextlib.closing(sqlite3.connect(partial)) as copy:
        connection.backup(copy)
    partial.replace(target)
    sync_directory(path.parent)
