"""The newest state beside the ledger, so that a start replays only what came after it.

A snapshot counts only where everything fits: the very rules that made it, its own digest, and the hash of the
ledger row that it stands on. Else the ledger is replayed from its first row, which is always right.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import aiosqlite
import msgspec

import licensing
from licence_master.store.ledger import Entry
from licensing.ledger import replay
from licensing.snapshot import decode, digest, encode
from licensing.state import State
from runtime.store import Statement

FORGET: Statement = ("DELETE FROM snapshot", [()])

_KEEP = (
    "INSERT OR REPLACE INTO snapshot (only, position, head, rules, digest, body) VALUES (1, ?, ?, ?, ?, ?)"
)
_READ = "SELECT position, head, rules, digest, body FROM snapshot"
_ROW = "SELECT hash FROM event WHERE seq = ?"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state and the hash of the last ledger row that is in it."""

    state: State
    head: bytes


class SnapshotError(Exception):
    """The snapshot does not fit the ledger or is damaged; the text says how."""


def keep(found: Snapshot) -> Statement:
    """Put this snapshot in the place of the one before."""
    state, head = found.state, found.head
    return (_KEEP, [(state.position, head, rules(), digest(state, head), encode(state))])


async def newest(database: aiosqlite.Connection) -> Snapshot | None:
    """The snapshot to start from; None where there is none that these rules made. SnapshotError."""
    rows = list(await database.execute_fetchall(_READ))
    if not rows or rows[0][2] != rules():
        return None
    found = _decoded(*rows[0])
    last = found.state.position - 1
    standing = list(await database.execute_fetchall(_ROW, (last,)))
    if not standing or standing[0][0] != found.head:
        raise SnapshotError(f"the ledger's row {last} is not the one the snapshot stands on")
    return found


def audit(path: Path, entries: Sequence[Entry]) -> None:
    """SnapshotError unless a replay of this unbroken ledger gives the state that a start would believe."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'snapshot'").fetchone()
        row = connection.execute(_READ).fetchone() if known else None
    if row is None or row[2] != rules():
        return
    found = _decoded(*row)
    passed = entries[: found.state.position]
    if len(passed) < found.state.position or passed[-1].hash != found.head:
        raise SnapshotError(
            f"the ledger's row {found.state.position - 1} is not the one the snapshot stands on"
        )
    if digest(replay(entry.event for entry in passed), found.head) != row[3]:
        raise SnapshotError("the snapshot is not the state that the ledger's rows make")


def _decoded(position: int, head: bytes, _rules: str, kept: bytes, body: bytes) -> Snapshot:
    try:
        state = decode(body)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"the snapshot cannot be read: {error}") from error
    if state.position != position or digest(state, head) != kept:
        raise SnapshotError("the snapshot was changed after it was written")
    return Snapshot(state, head)


@cache
def rules() -> str:
    """What tells the rules of this program from those of another release: a hash of their files.

    A mended rule may make another state of the same events, so its release replays them once.
    """
    room = Path(licensing.__file__).parent
    found = hashlib.sha256()
    for path in sorted(path for path in room.rglob("*") if path.suffix in (".py", ".so")):
        found.update(f"{path.relative_to(room)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]
