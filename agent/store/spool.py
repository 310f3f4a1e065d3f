"""`PBX/spool.db`: call records from their acknowledgement until the master has them, and a while after.

What a source sent is one transaction: records, quarantine, parts of calls that go on, the place in its file.
Entries are numbered in the order of arrival; a batch is all entries behind the one before it, so that a batch
is two numbers (telephony.cdr.wire). Nothing is ever dropped to make room: `full` stops the intake.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

import aiosqlite

from agent.store import loss
from agent.store.cdr_row import RECORD, UNREAD, Row, encode, record_of, unread_of
from runtime.entropy import SYSTEM, Entropy
from runtime.store import Database, GroupCommit, Statement, Value, open_database
from telephony.cdr.reading import Part, Quarantined, Reading
from telephony.cdr.record import Cdr
from telephony.cdr.wire import MAX_RECORDS

PRUNED_AT_ONCE: Final = 1_000
UNREAD_AT_ONCE: Final = 20
BATCHES_KEPT: Final = 100_000
"""Ends of batches that are remembered, for a master that comes back with an older memory."""

MIGRATIONS = (
    """
    CREATE TABLE entry (
        n INTEGER PRIMARY KEY, kind TEXT NOT NULL, source TEXT NOT NULL, call_ref TEXT NOT NULL,
        leg TEXT NOT NULL, hash TEXT NOT NULL, at_ms INTEGER NOT NULL, taken_ms INTEGER NOT NULL,
        body BLOB NOT NULL, UNIQUE (source, call_ref, leg, hash)) STRICT;
    CREATE INDEX entry_at ON entry (at_ms);
    CREATE INDEX entry_taken ON entry (taken_ms);
    CREATE TABLE part (
        n INTEGER PRIMARY KEY, source TEXT NOT NULL, call_ref TEXT NOT NULL, taken_ms INTEGER NOT NULL,
        raw BLOB NOT NULL) STRICT;
    CREATE INDEX part_call ON part (source, call_ref);
    CREATE TABLE position (
        source TEXT NOT NULL, name TEXT NOT NULL, offset INTEGER NOT NULL,
        before BLOB NOT NULL, PRIMARY KEY (source, name)) STRICT, WITHOUT ROWID;
    CREATE TABLE source (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE batch (number INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
    CREATE TABLE mark (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    """,
    loss.MIGRATION,
)

_ADD = """
    INSERT INTO entry (n, kind, source, call_ref, leg, hash, at_ms, taken_ms, body)
    SELECT ?1, CASE WHEN ?2 = 'record' AND EXISTS (
        SELECT 1 FROM entry WHERE source = ?3 AND call_ref = ?4 AND leg = ?5 AND kind = 'record')
        THEN 'conflict' ELSE ?2 END, ?3, ?4, ?5, ?6, ?7, ?8, ?9
    WHERE true ON CONFLICT (source, call_ref, leg, hash) DO NOTHING"""
_ADD_PART = "INSERT INTO part (source, call_ref, taken_ms, raw) VALUES (?, ?, ?, ?)"
_FORGET_PARTS = "DELETE FROM part WHERE source = ? AND call_ref = ?"
_KEEP_POSITION = "INSERT OR REPLACE INTO position VALUES (?, ?, ?, ?)"
_FORGET_POSITION = "DELETE FROM position WHERE source = ? AND name = ?"
_KEEP_SOURCE = "INSERT OR REPLACE INTO source VALUES (?, ?)"
_SET_MARK = "INSERT OR REPLACE INTO mark VALUES (?, ?)"
_ADD_BATCH = "INSERT OR REPLACE INTO batch VALUES (?, ?)"
_FORGET_BATCHES = "DELETE FROM batch WHERE number > ?"
_AGE_BATCHES = "DELETE FROM batch WHERE number <= ?"
_MOVE = "UPDATE entry SET n = ? WHERE n = ?"
_DROP = "DELETE FROM entry WHERE n = ?"
# By number, not by the index of times: each page goes on where the last one ended.
_OF_TIMES = """
    SELECT n FROM entry
    WHERE +at_ms >= ? AND +at_ms < ? AND n > ? AND n <= ? ORDER BY n LIMIT ?"""
_UNREAD_OF_TIMES = """
    SELECT n, kind, body FROM entry
    WHERE +at_ms >= ? AND +at_ms < ? AND n > ? AND kind = 'unread' ORDER BY n LIMIT ?"""
_WAITING = "SELECT count(*), coalesce(sum(length(body)), 0) FROM entry WHERE n > ?"


class Position(NamedTuple):
    """How far a file was read, and the bytes before that, by which it is known under any name."""

    name: str
    offset: int
    before: bytes


class Stored(NamedTuple):
    """A part of a call that goes on, and when it came (UTC epoch ms)."""

    raw: bytes
    taken_ms: int


class Outgoing(NamedTuple):
    """What is for the master next: the number of a batch and its entries."""

    number: int
    rows: list[Row]


@dataclass(slots=True)
class _Sent:
    """The batches of this spool: its name, the last one that was cut and the last one that the master has.

    `last` and `kept_last` are the numbers of their last entries.
    """

    name: str = ""
    number: int = 0
    last: int = 0
    kept: int = 0
    kept_last: int = 0


Measure = Callable[[Row], int]
"""Bytes of an entry in a batch."""


class Spool:
    """One PBX's call records on disk; every write goes through the group commit in the order it was made."""

    def __init__(self, database: Database, most_bytes: int) -> None:
        self.arrived = asyncio.Event()
        self.waiting = 0
        self.waiting_bytes = 0
        self.lost: dict[str, int] = {}
        """Entries of each source that neither the master has any more nor we."""
        self._database = database
        self._most_bytes = most_bytes
        self._commits = GroupCommit(database)
        self._next = 1
        self._sent = _Sent()

    @classmethod
    async def open(cls, path: Path, most_bytes: int, entropy: Entropy = SYSTEM) -> Self:
        """Open or make the spool; StoreError."""
        spool = cls(await open_database(path, MIGRATIONS), most_bytes)
        await spool._begin(entropy)
        return spool

    async def _begin(self, entropy: Entropy) -> None:
        marks = {str(name): value for name, value in await self._rows("SELECT name, value FROM mark")}
        kept = int(marks.get("kept", 0))
        batches = await self._rows("SELECT number, last FROM batch WHERE number >= ? ORDER BY number", kept)
        kept_last = next((last for number, last in batches if number == kept), 0)
        number, last = batches[-1] if batches else (kept, kept_last)
        name = str(marks.get("name") or entropy(16).hex())
        self._sent = _Sent(name, number, last, kept, kept_last)
        ((highest,),) = await self._rows("SELECT coalesce(max(n), 0) FROM entry")
        self._next = max(int(highest), last) + 1
        ((count, size),) = await self._rows(_WAITING, kept_last)
        self.waiting, self.waiting_bytes = int(count), int(size)
        self.lost = {str(source): int(count) for source, count in await self._rows(loss.LOST)}
        await self._database.write([(_SET_MARK, [("name", name)])])

    @property
    def name(self) -> str:
        """Which spool this is, for the master."""
        return self._sent.name

    @property
    def kept_last(self) -> int:
        """The number of the last entry that the master has."""
        return self._sent.kept_last

    @property
    def full(self) -> bool:
        """As much waits for the master as may: take nothing in."""
        return self.waiting_bytes >= self._most_bytes or self._commits.full

    async def run(self) -> None:
        """Commit until `finish`; raises StoreFailedError, and then the spool must be opened anew."""
        await self._commits.run()

    def finish(self) -> None:
        """Accept nothing more; `run` returns when everything accepted is on disk."""
        self._commits.close()

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()

    # what a source begins with

    async def parts(self, source: str) -> list[Stored]:
        """The parts of calls that go on, in their order."""
        query = "SELECT raw, taken_ms FROM part WHERE source = ? ORDER BY n"
        return [Stored(raw, taken_ms) for raw, taken_ms in await self._rows(query, source)]

    async def positions(self, source: str) -> dict[str, Position]:
        """How far its files were read, by name."""
        query = "SELECT name, offset, before FROM position WHERE source = ?"
        return {row[0]: Position(*row) for row in await self._rows(query, source)}

    async def state(self, source: str) -> bytes | None:
        """What it kept of itself."""
        rows = await self._rows("SELECT body FROM source WHERE name = ?", source)
        return bytes(rows[0][0]) if rows else None

    # what it takes in

    def keep(
        self,
        source: str,
        readings: Iterable[Reading],
        taken_ms: int,
        *,
        position: Position | None = None,
        state: bytes | None = None,
    ) -> asyncio.Future[None]:
        """All of it in one transaction; the future is done when it is on disk. StoreError."""
        statements: list[Statement] = []
        for reading in readings:
            statements += self._kept(source, reading, taken_ms)
        if position is not None:
            statements.append((_KEEP_POSITION, [(source, *position)]))
        if state is not None:
            statements.append((_KEEP_SOURCE, [(source, state)]))
        kept = self._commits.defer(statements)
        kept.add_done_callback(lambda _: self.arrived.set())
        return kept

    def _kept(self, source: str, reading: Reading, taken_ms: int) -> list[Statement]:
        match reading:
            case Part(call_ref, raw):
                forgotten: list[Statement] = [] if call_ref else [(_FORGET_PARTS, [(source, "")])]
                return [*forgotten, (_ADD_PART, [(source, call_ref, taken_ms, raw)])]
            case Quarantined(raw, _, _, call_ref):
                body = encode(unread_of(reading, source, taken_ms))
                key = (source, call_ref, "", hashlib.sha256(raw).hexdigest())
                added = self._added(UNREAD, key, taken_ms, taken_ms, body)
            case Cdr(call_ref=call_ref):
                body = encode(record_of(reading))
                key = (*reading.key, reading.content_hash)
                added = self._added(RECORD, key, reading.end_ms, taken_ms, body)
        return [added, (_FORGET_PARTS, [(source, call_ref)])] if call_ref else [added]

    def _added(
        self, kind: str, key: tuple[str, str, str, str], at_ms: int, taken_ms: int, body: bytes
    ) -> Statement:
        self._next += 1
        self.waiting += 1
        self.waiting_bytes += len(body)
        return _ADD, [(self._next - 1, kind, *key, at_ms, taken_ms, body)]

    async def forget_file(self, source: str, name: str) -> None:
        """This file is gone."""
        await self._commits.submit([(_FORGET_POSITION, [(source, name)])])

    # what goes to the master

    async def outgoing(self, size_of: Measure, most_bytes: int) -> Outgoing | None:
        """The next batch of at most so many bytes, its number on disk; None: the master has everything."""
        sent = self._sent
        if sent.number > sent.kept:
            return Outgoing(sent.number, await self._entries(sent.kept_last, sent.last))
        rows = await self._fitting(sent.last, size_of, most_bytes)
        if not rows:
            return None
        await self._cut(rows[-1].n)
        return Outgoing(sent.number, rows)

    async def cut_empty(self) -> Outgoing:
        """A batch without entries, which only says how the sources are."""
        await self._cut(self._sent.last)
        return Outgoing(self._sent.number, [])

    async def _cut(self, last: int) -> None:
        sent = self._sent
        await self._commits.submit([(_ADD_BATCH, [(sent.number + 1, last)])])
        sent.number, sent.last = sent.number + 1, last

    async def _fitting(self, behind: int, size_of: Measure, most_bytes: int) -> list[Row]:
        """As many entries as fit, at least one if there is one; only as much is read as may fit."""
        query = "SELECT n, length(body) FROM entry WHERE n > ? ORDER BY n LIMIT ?"
        size, last = 0, None
        for n, length in await self._rows(query, behind, MAX_RECORDS):
            size += length
            if last is not None and size > most_bytes:
                break
            last = n
        if last is None:
            return []
        rows = await self._entries(behind, last)
        total, count = 0, 0
        for count, row in enumerate(rows):
            total += size_of(row)
            if count and total > most_bytes:
                return rows[:count]
        return rows

    async def _entries(self, behind: int, last: int) -> list[Row]:
        query = "SELECT n, kind, body FROM entry WHERE n > ? AND n <= ? ORDER BY n"
        return [Row(n, kind, body) for n, kind, body in await self._rows(query, behind, last)]

    async def answered(self, kept: int) -> bool:
        """The master keeps batches up to this number; False: not what we thought, so we begin from there.

        A master with an older memory gets again what it lost, as far as it is here; the rest is `lost`. If
        it has more than we ever sent, this spool is an old copy: it takes a new name and sends all of it.
        """
        sent = self._sent
        if kept == sent.number:
            statements: list[Statement] = [(_SET_MARK, [("kept", kept)])]
            if kept > BATCHES_KEPT:
                statements += [(_AGE_BATCHES, [(kept - BATCHES_KEPT,)]), *loss.aged(kept - BATCHES_KEPT)]
            await self._commits.submit(statements)
            await self._delivered(sent.kept_last, sent.last)
            sent.kept, sent.kept_last = sent.number, sent.last
            return True
        name, number, moved = (
            (SYSTEM(16).hex(), 0, loss.renamed) if kept > sent.number else (sent.name, kept, loss.rewound)
        )
        rows = await self._rows("SELECT last FROM batch WHERE number = ?", number) if number else []
        last = int(rows[0][0]) if rows else 0
        statements = [(_SET_MARK, [("name", name), ("kept", number)]), (_FORGET_BATCHES, [(number,)])]
        await self._commits.submit([*statements, (_ADD_BATCH, [(number, last)]), *moved(number)])
        self.lost = {str(source): int(count) for source, count in await self._rows(loss.LOST)}
        self._sent = _Sent(name, number, last, number, last)
        await self.measure()
        return False

    async def _delivered(self, behind: int, last: int) -> None:
        query = f"{_WAITING} AND n <= ?"
        ((count, size),) = await self._rows(query, behind, last)
        self.waiting, self.waiting_bytes = max(0, self.waiting - count), max(0, self.waiting_bytes - size)

    async def measure(self) -> None:
        """Count what waits: what came twice was counted twice. Takes time where much waits."""
        before = self._next
        await self._commits.submit([])
        ((count, size),) = await self._rows(_WAITING, self._sent.kept_last)
        if before == self._next:  # else more came meanwhile
            self.waiting, self.waiting_bytes = int(count), int(size)

    # what was delivered

    async def send_again(self, from_ms: int, to_ms: int) -> int:
        """Entries of these times (end of a record, arrival of the rest) that the master had: how many.

        They go to the end of the queue; the master knows a record that it still has.
        """
        again, behind, last = 0, 0, self._sent.kept_last
        while rows := await self._rows(_OF_TIMES, from_ms, to_ms, behind, last, MAX_RECORDS):
            behind = rows[-1][0]
            moved = [(number, row[0]) for number, row in enumerate(rows, start=self._next)]
            self._next += len(moved)
            await self._commits.submit([(_MOVE, moved)])
            again += len(moved)
        self.arrived.set()
        return again

    async def unread(self, from_ms: int, to_ms: int, behind: int) -> list[Row]:
        """Some of what could not be read and came at these times."""
        rows = await self._rows(_UNREAD_OF_TIMES, from_ms, to_ms, behind, UNREAD_AT_ONCE)
        return [Row(n, kind, body) for n, kind, body in rows]

    async def read_after_all(self, n: int, source: str, records: Iterable[Cdr], taken_ms: int) -> None:
        """This entry could be read: these records stand in its place."""
        statements: list[Statement] = [(_DROP, [(n,)])]
        for record in records:
            statements += self._kept(source, record, taken_ms)
        await self._commits.submit(statements)
        self.arrived.set()

    async def prune(self, before_ms: int, up_to: int) -> bool:
        """Drop some of what came before this, to this entry and what the master has; True: perhaps more."""
        row = (before_ms, min(up_to, self._sent.kept_last), PRUNED_AT_ONCE)
        query = "SELECT count(*) FROM (SELECT 1 FROM entry WHERE taken_ms < ? AND n <= ? LIMIT ?)"
        ((count,),) = await self._rows(query, *row)
        if count:
            await self._commits.submit(loss.pruned(*row))
        return bool(count == PRUNED_AT_ONCE)

    async def mark(self, name: str) -> int:
        """A number that somebody keeps here; 0: none yet."""
        rows = await self._rows("SELECT value FROM mark WHERE name = ?", name)
        return int(rows[0][0]) if rows else 0

    async def keep_mark(self, name: str, value: int) -> None:
        """Keep it; returns when it is on disk."""
        await self._commits.submit([(_SET_MARK, [(name, value)])])

    async def records_behind(self, behind: int, most: int) -> list[Row]:
        """Records in the order of arrival, without conflicts and what could not be read."""
        query = "SELECT n, kind, body FROM entry WHERE n > ? AND kind = 'record' ORDER BY n LIMIT ?"
        return [Row(n, kind, body) for n, kind, body in await self._rows(query, behind, most)]

    async def _rows(self, query: str, *values: Value) -> Sequence[aiosqlite.Row]:
        async with self._database.execute(query, values) as cursor:
            return list(await cursor.fetchall())
