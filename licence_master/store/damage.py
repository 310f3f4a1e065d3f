"""Which file of an installation is damaged, and what helps: SQLite names none."""

import sqlite3
from contextlib import closing
from pathlib import Path

from licence_master.store.directory import DataDirectory
from licence_master.store.ledger import ChainBrokenError
from runtime.store import StoreError

_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class DamagedStoreError(StoreError):
    """A file that no new start mends; the text names it and what would."""


def found(
    error: sqlite3.DatabaseError | ChainBrokenError, directory: DataDirectory, name: str
) -> DamagedStoreError | None:
    """What this error says of the stores of an installation; None when it is not about damage."""
    if isinstance(error, ChainBrokenError):
        file = directory.ledger(name)
    elif getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
        return None
    else:
        file = directory.calls(name) if _is_sound(directory.ledger(name)) else directory.ledger(name)
    return DamagedStoreError(
        f"{file}: {error}; licence-master restore FILE --installation {name} puts a backup in its place"
    )


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error:
        return False
    return bool(said == "ok")
