"""`PBX/agent.db`: what must survive a crash of the agent, behind one group commit.

The share's record, the bindings the PBX granted, the objects it ever accepted, the uses and calls that go on,
numbered activity for the master's history, and a few marks. Losing activity loses history; losing anything
else could over-grant, so those writes are on disk before they are used.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Self

import aiosqlite
import msgspec

from agent.store import call_row
from licensing import wire
from licensing.site.use import Use, decode, encode
from licensing.site.uses import Change
from runtime.store import Database, GroupCommit, Statement, open_database
from telephony.address import Flow
from telephony.binding import Binding, Registration
from telephony.output import Counted

# More than an hour of a busy site without its master; beyond it the oldest are dropped and counted.
ACTIVITY_LIMIT = 20_000

# From so many waiting writes on nothing is decided that must be stored. What one message or timer still needs
# must find room all the same, such as the end of every binding after an outage.
FULL_AT = 10_000
QUEUE_LIMIT = 200_000

MIGRATIONS = (
    """
    CREATE TABLE share (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL) STRICT;
    CREATE TABLE binding (
        aor TEXT NOT NULL, contact TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
        listener INTEGER NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL,
        granted_s INTEGER NOT NULL, since_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL,
        PRIMARY KEY (aor, contact)) STRICT, WITHOUT ROWID;
    CREATE TABLE proven (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE activity (n INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE mark (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE reservation (name TEXT PRIMARY KEY, kind TEXT NOT NULL) STRICT, WITHOUT ROWID;
    """,
    "CREATE TABLE use (n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;",
    "CREATE TABLE call (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;",
)

_KEEP_SHARE = "INSERT OR REPLACE INTO share (id, body) VALUES (1, ?)"
_DROP_BINDINGS = "DELETE FROM binding WHERE aor = ?"
_ADD_BINDING = "INSERT OR REPLACE INTO binding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LIST_BINDINGS = """
    SELECT aor, name, kind, since_ms, contact, listener, host, port, granted_s
    FROM binding ORDER BY since_ms, aor, contact"""
_PROVE = "INSERT OR IGNORE INTO proven (name) VALUES (?)"
_RESERVE = "INSERT OR REPLACE INTO reservation (name, kind) VALUES (?, ?)"
_FORGET_RESERVATION = "DELETE FROM reservation WHERE name = ?"
_BEGIN_USE = "INSERT OR REPLACE INTO use (key, body) VALUES (?, ?)"
_END_USE = "DELETE FROM use WHERE key = ?"
_KEEP_CALL = "INSERT OR REPLACE INTO call (name, body) VALUES (?, ?)"
_DROP_CALL = "DELETE FROM call WHERE name = ?"
_ADD_ACTIVITY = "INSERT OR REPLACE INTO activity (n, body) VALUES (?, ?)"
_DROP_ACTIVITY = "DELETE FROM activity WHERE n <= ?"
_SET_MARK = "INSERT OR REPLACE INTO mark (name, value) VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class Marks:
    """The small facts of a site; times are wall ms.

    `longest_granted_s` is the longest expiry the PBX ever granted here; 0 before the first one. `standing_in`
    are the names of PBXs that this one stands in for, with blanks between them.
    """

    clean_stop: bool = False
    flow_secret: bytes | None = None
    activity_last: int = 0
    activity_dropped: int = 0
    longest_granted_s: int = 0
    bypass_until_ms: int = 0
    standing_in: bytes = b""


class Journal:
    """One PBX's durable memory; every write goes through the group commit in the order it was made."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = GroupCommit(database, limit=QUEUE_LIMIT, rests=True)
        self._activity: deque[wire.Activity] = deque()
        self._since: dict[str, int] = {}
        self._longest_granted_s = 0
        self.activity_dropped = 0
        self.no_room = False

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or make the database, migrated; StoreLockedError when another process has it open."""
        return cls(await open_database(path, MIGRATIONS))

    @property
    def full(self) -> bool:
        """More writes wait than may: decide nothing now that must be stored."""
        return self._commits.waiting >= FULL_AT

    async def run(self) -> None:
        """Commit until `finish`; raises StoreFailedError, and then the process must stop."""
        await self._commits.run()

    def finish(self) -> None:
        """Accept nothing more; `run` returns when everything accepted is on disk."""
        self._commits.close()

    async def close(self) -> None:
        """Close the database; call after `run` has ended."""
        await self._database.close()

    # reading, once at the start

    async def share(self) -> bytes | None:
        """The share's record as it was kept, or None on a new site."""
        rows = await self._rows("SELECT body FROM share")
        return bytes(rows[0][0]) if rows else None

    async def registrations(self) -> list[Registration]:
        """Every AOR with its bindings, oldest first; `expires_ms` means nothing yet and is 0."""
        rows = await self._rows(_LIST_BINDINGS)
        found = []
        for (aor, name, kind, since_ms), group in groupby(rows, key=lambda row: tuple(row[:4])):
            self._since[aor] = since_ms
            bindings = tuple(Binding(row[4], Flow(row[5], row[6], row[7]), 0, row[8]) for row in group)
            found.append(Registration(aor, name, kind, bindings))
        return found

    async def proven(self) -> set[str]:
        """Names of the objects the PBX has ever answered 2xx."""
        return {row[0] for row in await self._rows("SELECT name FROM proven")}

    async def reservations(self) -> dict[str, str]:
        """Objects (name to kind) whose first REGISTER was on its way to the PBX when the agent stopped."""
        return dict(await self._rows("SELECT name, kind FROM reservation"))  # type: ignore[arg-type] # rows of two

    async def uses(self) -> list[Use]:
        """What went on when the agent stopped and took a unit: legs, calls, logins, watches; oldest first."""
        return [decode(row[0]) for row in await self._rows("SELECT body FROM use ORDER BY n")]

    async def calls(self) -> list[bytes]:
        """The calls over lines that went on, for `agent.store.call_row.decode`."""
        return [row[0] for row in await self._rows("SELECT body FROM call ORDER BY name")]

    async def marks(self) -> Marks:
        """The marks; the activity that waits for the master is read into memory too."""
        rows = await self._rows("SELECT body FROM activity ORDER BY n")
        self._activity = deque(msgspec.msgpack.decode(row[0], type=wire.Activity) for row in rows)
        values = {row[0]: row[1] for row in await self._rows("SELECT name, value FROM mark")}
        marks = msgspec.convert(values, Marks, strict=False)  # SQLite has no booleans
        self.activity_dropped = marks.activity_dropped
        self._longest_granted_s = marks.longest_granted_s
        return marks

    # writing

    async def keep_share(self, body: bytes) -> None:
        """Store the share's record (with the latest wall time it saw); returns when it is on disk."""
        await self._commits.submit([(_KEEP_SHARE, [(body,)])])

    async def keep_marks(self, **marks: int | bytes) -> None:
        """Store marks by the names of `Marks`; returns when they are on disk."""
        await self._commits.submit([(_SET_MARK, list(marks.items()))])

    def replace(self, registration: Registration, now_ms: int, at_ms: int) -> asyncio.Future[None]:
        """Make these all that is stored for the AOR; the future is done when it is on disk.

        Monotonic and wall time now: the wall time of an expiry is for people who look into the file.
        """
        aor, name, kind, bindings = registration
        statements: list[Statement] = [(_DROP_BINDINGS, [(aor,)])]
        if not bindings:
            self._since.pop(aor, None)
            return self._commits.defer(statements)
        since_ms = self._since.setdefault(aor, at_ms)
        statements += [(_PROVE, [(name,)]), (_FORGET_RESERVATION, [(name,)])]
        statements.append(
            (
                _ADD_BINDING,
                [
                    (aor, b.contact, name, kind, b.flow.listener, b.flow.host, b.flow.port,
                     b.granted_s, since_ms, at_ms + b.expires_ms - now_ms)
                    for b in bindings
                ],
            )
        )  # fmt: skip
        longest_s = max(binding.granted_s for binding in bindings)
        if longest_s > self._longest_granted_s:
            self._longest_granted_s = longest_s
            statements.append((_SET_MARK, [("longest_granted_s", longest_s)]))
        return self._commits.defer(statements)

    def reserve(self, objects: Sequence[tuple[str, str]]) -> asyncio.Future[None]:
        """Note objects (name, kind) before their first REGISTER leaves; done when it is on disk."""
        return self._commits.defer([(_RESERVE, objects)])

    def barrier(self) -> asyncio.Future[None]:
        """Done when everything written before is on disk."""
        return self._commits.defer([])

    def forget_reservations(self, names: Sequence[str]) -> None:
        """These reservations ended without a binding."""
        self._commits.defer([(_FORGET_RESERVATION, [(name,) for name in names])])

    def keep_uses(self, changes: Iterable[Change]) -> None:
        """What began and what ended, in order."""
        self._commits.defer([_written(change) for change in changes])

    def keep_call(
        self, counted: Counted, changes: Iterable[Change], now_ms: int, at_ms: int
    ) -> asyncio.Future[None]:
        """What a call is now, together with what that made of its use; done when both are on disk."""
        statements = [_written(change) for change in changes]
        if counted.record is None:
            statements.append((_DROP_CALL, [(counted.over,)]))
        else:
            body = call_row.encode(counted.record, now_ms, at_ms)
            statements.append((_KEEP_CALL, [(counted.record.name, body)]))
        return self._commits.defer(statements)

    def add_activity(self, events: Sequence[wire.Activity]) -> None:
        """Keep events, whose numbers must rise; above the limit the oldest are dropped and counted.

        With `no_room` on the disk these are dropped and counted: history gives way first.
        """
        if self.no_room:
            self.activity_dropped += len(events)
            return
        self._activity.extend(events)
        statements: list[Statement] = [
            (_ADD_ACTIVITY, [(event.n, msgspec.msgpack.encode(event)) for event in events]),
            (_SET_MARK, [("activity_last", events[-1].n)]),
        ]
        excess = len(self._activity) - ACTIVITY_LIMIT
        if excess > 0:
            statements += self._drop_oldest(excess)
        self._commits.defer(statements)

    def _drop_oldest(self, count: int) -> Iterable[Statement]:
        dropped = [self._activity.popleft() for _ in range(count)]
        self.activity_dropped += count
        yield _DROP_ACTIVITY, [(dropped[-1].n,)]
        yield _SET_MARK, [("activity_dropped", self.activity_dropped)]

    def activity(self, limit: int = wire.MAX_ACTIVITY) -> tuple[wire.Activity, ...]:
        """The oldest events that the master has not acknowledged, at most `limit`."""
        return tuple(islice(self._activity, limit))

    def drop_activity(self, up_to: int) -> None:
        """Forget what the master acknowledged."""
        before = len(self._activity)
        while self._activity and self._activity[0].n <= up_to:
            self._activity.popleft()
        if len(self._activity) != before:
            self._commits.defer([(_DROP_ACTIVITY, [(up_to,)])])

    async def _rows(self, query: str) -> list[aiosqlite.Row]:
        async with self._database.execute(query) as cursor:
            return list(await cursor.fetchall())


def _written(change: Change) -> Statement:
    """A use that began or ended, as a statement."""
    if change.use is None:
        return _END_USE, [(change.key,)]
    return _BEGIN_USE, [(change.key, encode(change.use))]
