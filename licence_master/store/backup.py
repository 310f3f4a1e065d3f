"""A backup: one file with a whole store as it was at one moment, labelled, and checked before it is believed.

Keys and configuration are not in it. Any store file may be read as a backup, also one copied by hand with
its `-wal`; only those that `licence-master backup` made have a label.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from licence_master.store import ledger
from licence_master.store.ledger import Entry

PAGES_PER_STEP = 4_096  # 16 MiB between two looks at the progress

_LABEL = """
CREATE TABLE backup (
  only         INTEGER PRIMARY KEY CHECK (only = 1),
  installation TEXT NOT NULL,
  made_ms      INTEGER NOT NULL
)"""
_WRITE_LABEL = "INSERT INTO backup (only, installation, made_ms) VALUES (1, ?, ?)"
_READ_LABEL = "SELECT installation, made_ms FROM backup"
CALLS_SUFFIX = ".calls.db"  # the call records lie beside the backup of their ledger
DROP_LABEL = "DROP TABLE IF EXISTS backup"  # a restored store is no backup any more

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Label:
    """Of which installation a backup is, and when it was made (UTC milliseconds)."""

    installation: str
    made_ms: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store file holds: its label if it has one, and its unbroken ledger."""

    label: Label | None
    entries: list[Entry]


class NoBackupError(Exception):
    """The file is no store, or a damaged one; the text says what is wrong with it."""


def write(store: Path, target: Path, label: Label) -> None:
    """Copy a store that may be in use into a new file (0600): one moment, and the writer never waits.

    Takes as long as the disk needs: call it from a thread. OSError, sqlite3.Error; then there is no file.
    """
    try:
        _copied(store, target)
        with closing(_connected(target)) as copy:
            copy.execute(_LABEL)
            copy.execute(_WRITE_LABEL, (label.installation, label.made_ms))
    except BaseException:
        discard(target)
        raise


def take(file: Path, target: Path, progress: Progress | None = None) -> Contents:
    """Copy a backup to `target` (0600) and look into the copy: that is what will be served.

    NoBackupError when it is none, or damaged; then there is no copy. OSError when it cannot be read.
    """
    with file.open("rb"):
        pass  # SQLite's own words for a missing file help nobody
    try:
        _copied(file, target, progress)
        return read(target)
    except sqlite3.Error as error:
        discard(target)
        raise NoBackupError(f"{file}: {error}") from error
    except BaseException:
        discard(target)
        raise


def read(path: Path) -> Contents:
    """What is in this file, after every page and the whole hash chain were checked; NoBackupError."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            labelled = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'backup'").fetchone()
            row = connection.execute(_READ_LABEL).fetchone() if labelled else None
        entries = ledger.read_file(path)
    except (sqlite3.Error, ledger.ChainBrokenError) as error:
        raise NoBackupError(f"{path}: {error}") from error
    if found != "ok":
        raise NoBackupError(f"{path}: damaged: {found}")
    if not entries:
        raise NoBackupError(f"{path}: it holds no ledger")
    return Contents(Label(*row) if row else None, entries)


def calls_beside(file: Path) -> Path:
    """Where the call records of a backup lie."""
    return file.with_name(file.name.removesuffix(".db") + CALLS_SUFFIX)


def read_calls(path: Path) -> int:
    """How many call records are in this file, after every page was checked; NoBackupError."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            (rows,) = connection.execute("SELECT count(*) FROM call").fetchone()
            connection.execute("SELECT count(*) FROM call_key").fetchone()
    except sqlite3.Error as error:
        raise NoBackupError(f"{path}: {error}") from error
    if found != "ok":
        raise NoBackupError(f"{path}: damaged: {found}")
    return int(rows)


def take_calls(file: Path, target: Path, progress: Progress | None = None) -> int:
    """Copy call records to `target` (0600), as another index: its archive is made anew. How many they are.

    NoBackupError when they are none, or damaged; then there is no copy. OSError.
    """
    try:
        _copied(file, target, progress)
        rows = read_calls(target)
        with closing(_connected(target)) as copy:
            copy.execute(DROP_LABEL)
            copy.execute("DELETE FROM generation")
    except sqlite3.Error as error:
        discard(target)
        raise NoBackupError(f"{file}: {error}") from error
    except BaseException:
        discard(target)
        raise
    return rows


def discard(path: Path) -> None:
    """Remove a copy and what SQLite and the lock left beside it."""
    for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()


def _copied(source: Path, target: Path, progress: Progress | None = None) -> None:
    def done(_status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as original,
        closing(_connected(target)) as copy,
    ):
        original.isolation_level = None
        original.execute("BEGIN")
        original.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it sees one moment
        original.backup(copy, pages=PAGES_PER_STEP, progress=done)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection
