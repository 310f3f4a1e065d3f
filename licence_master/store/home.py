"""Where a store lies, written into it: in a copy of it the text is there too, and no longer true.

A copy that is served beside the original, or long after it was made, may not lend what the original has lent
since (protocol.md, safety rule 3). A file made anew has another inode number, another host another machine
id. What copies both, such as a snapshot of a whole virtual disk, is not noticed.
"""

import hashlib
from pathlib import Path

import aiosqlite

from runtime.store import Statement

MACHINE_ID = Path("/etc/machine-id")

FORGET: Statement = ("DELETE FROM home", [()])

_KEEP = "INSERT OR REPLACE INTO home (only, place) VALUES (1, ?)"
_READ = "SELECT place FROM home"


def place_of(store: Path) -> str:
    """What is particular about the place of this file: its inode on this machine, as 16 hex digits."""
    try:
        machine = MACHINE_ID.read_text().strip()
    except OSError:
        machine = ""  # containers have none
    return hashlib.sha256(f"{machine}/{store.stat().st_ino}".encode()).hexdigest()[:16]


def keep(place: str) -> Statement:
    """From now on the store is at home here."""
    return (_KEEP, [(place,)])


async def recorded(database: aiosqlite.Connection) -> str | None:
    """Where the store was served last; None for one that was made, migrated or restored since."""
    rows = list(await database.execute_fetchall(_READ))
    return str(rows[0][0]) if rows else None
