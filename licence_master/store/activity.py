"""Who held what when, and who was refused: tables for history and `why`, never part of safety."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiosqlite
import msgspec

from licence_master.store.ledger import Entry
from licensing import wire
from licensing.ledger import decode
from runtime.store import Database, Statement


class Holder(msgspec.Struct, frozen=True, gc=False):
    """An object that holds a unit; `state` is held or surplus. There may be 100,000 of them in memory."""

    agent: str
    class_: str
    object: str
    state: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of an object, as its agent reported it."""

    agent: str
    at_ms: int
    object: str
    kind: str
    class_: str
    event: str
    code: str | None
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Denied:
    """A demand the master could not meet; equal ones in a row are one, seen `times` times."""

    id: int
    agent: str
    class_: str
    code: str
    first_ms: int
    last_ms: int
    times: int
    detail: wire.Denial


@dataclass(frozen=True, slots=True)
class Seen:
    """The last sync of an agent: when, and how much of its activity has arrived."""

    agent: str
    at_ms: int
    ack_activity: int


# Many rows travel as one JSON text: one step of SQLite instead of one for each row, each of which would
# give up and win back Python's interpreter lock.
_ADD = """
INSERT INTO activity (agent, n, at_ms, object, kind, class, event, code, until_ms)
SELECT ?, value ->> 'n', value ->> 'at_ms', value ->> 'object', value ->> 'kind', value ->> 'class',
       value ->> 'event', value ->> 'code', value ->> 'until_ms'
FROM json_each(?)
"""
_HOLD = """
INSERT OR REPLACE INTO holder (agent, class, object, state, since_ms)
SELECT value ->> 'agent', value ->> 'class_', value ->> 'object', value ->> 'state', value ->> 'since_ms'
FROM json_each(?)
"""
_LEAVE = """
DELETE FROM holder WHERE agent = ? AND (class, object) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
"""
_LEAVE_ALL = "DELETE FROM holder WHERE agent = ?"
_SEEN = "INSERT OR REPLACE INTO seen (agent, at_ms, ack_activity) VALUES (?, ?, ?)"
_DENY = (
    "INSERT OR REPLACE INTO denial (id, agent, class, code, first_ms, last_ms, times, detail)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_HISTORY = "SELECT agent, at_ms, object, kind, class, event, code, until_ms FROM activity"


def add(agent: str, events: Sequence[wire.Activity]) -> Statement:
    """Append an agent's events."""
    return (_ADD, [(agent, msgspec.json.encode(events).decode())])


def hold(holders: Sequence[Holder]) -> Statement:
    """These objects hold a unit from now on."""
    return (_HOLD, [(msgspec.json.encode(holders).decode(),)])


def leave(agent: str, gone: Sequence[tuple[str, str]]) -> Statement:
    """These (class, object) of an agent hold nothing any more."""
    return (_LEAVE, [(agent, msgspec.json.encode(gone).decode())])


def leave_all(agent: str) -> Statement:
    """Nobody at this agent holds anything any more."""
    return (_LEAVE_ALL, [(agent,)])


def saw(sync: Seen) -> Statement:
    """Note the last sync of an agent."""
    return (_SEEN, [(sync.agent, sync.at_ms, sync.ack_activity)])


def unsee(agent: str) -> Statement:
    """Forget how far an agent's numbered events had arrived."""
    return ("DELETE FROM seen WHERE agent = ?", [(agent,)])


def deny(denied: Denied) -> Statement:
    """Write a denial, or its next repetition."""
    d = denied
    detail = msgspec.json.encode(d.detail)
    return (_DENY, [(d.id, d.agent, d.class_, d.code, d.first_ms, d.last_ms, d.times, detail)])


async def holders(database: Database) -> list[Holder]:
    """Every holder, for the start of the writer."""
    sql = "SELECT agent, class, object, state, since_ms FROM holder"
    return [Holder(*row) for row in await database.execute_fetchall(sql)]


async def seen(database: Database) -> list[Seen]:
    """The last sync of each agent, for the start of the writer."""
    sql = "SELECT agent, at_ms, ack_activity FROM seen"
    return [Seen(*row) for row in await database.execute_fetchall(sql)]


async def last_denial_id(database: Database) -> int:
    """The highest number given to a denial; 0 when there is none."""
    rows = list(await database.execute_fetchall("SELECT coalesce(max(id), 0) FROM denial"))
    return int(rows[0][0])


class PastReader:
    """Questions about the past, over a connection of their own so that they never hold up a commit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def of_object(self, name: str, limit: int) -> list[Happened]:
        """The last events of an object, newest first."""
        sql = f"{_HISTORY} WHERE object = ? ORDER BY at_ms DESC, id DESC LIMIT ?"
        return [Happened(*row) for row in await self._rows(sql, (name, limit))]

    async def recent(self, limit: int, agent: str | None = None) -> list[Happened]:
        """The last events of all objects (or of one agent's), newest first."""
        sql = f"{_HISTORY} WHERE ? IS NULL OR agent = ? ORDER BY id DESC LIMIT ?"
        return [Happened(*row) for row in await self._rows(sql, (agent, agent, limit))]

    async def denials(self, limit: int, agent: str | None = None) -> list[Denied]:
        """The last denials (or those of one agent), newest first."""
        sql = (
            "SELECT id, agent, class, code, first_ms, last_ms, times, detail FROM denial"
            " WHERE ? IS NULL OR agent = ? ORDER BY last_ms DESC LIMIT ?"
        )
        rows = await self._rows(sql, (agent, agent, limit))
        return [_denied(row) for row in rows]

    async def entries(self, limit: int) -> list[Entry]:
        """The last rows of the ledger, newest first."""
        sql = "SELECT seq, term, at_ms, actor, body, hash FROM event ORDER BY seq DESC LIMIT ?"
        return [
            Entry(seq, term, at_ms, actor, decode(body), hash_)
            for seq, term, at_ms, actor, body, hash_ in await self._rows(sql, (limit,))
        ]

    async def _rows(self, sql: str, parameters: tuple[str | int | None, ...]) -> list[aiosqlite.Row]:
        async with aiosqlite.connect(f"file:{self._path}?mode=ro", uri=True) as connection:
            return list(await connection.execute_fetchall(sql, parameters))


def _denied(row: aiosqlite.Row) -> Denied:
    id_, agent, class_, code, first_ms, last_ms, times, detail = row
    return Denied(
        id_, agent, class_, code, first_ms, last_ms, times, msgspec.json.decode(detail, type=wire.Denial)
    )
