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


@dataclass(frozen=True, slots=True)
class Holder:
    """An object that holds a unit; `state` is held or surplus."""

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


_ADD = (
    "INSERT INTO activity (agent, n, at_ms, object, kind, class, event, code, until_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_HOLD = "INSERT OR REPLACE INTO holder (agent, class, object, state, since_ms) VALUES (?, ?, ?, ?, ?)"
_LEAVE = "DELETE FROM holder WHERE agent = ? AND class = ? AND object = ?"
_LEAVE_ALL = "DELETE FROM holder WHERE agent = ?"
_SEEN = "INSERT OR REPLACE INTO seen (agent, at_ms, ack_activity) VALUES (?, ?, ?)"
_DENY = (
    "INSERT OR REPLACE INTO denial (id, agent, class, code, first_ms, last_ms, times, detail)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_HISTORY = "SELECT agent, at_ms, object, kind, class, event, code, until_ms FROM activity"


def add(agent: str, events: Sequence[wire.Activity]) -> Statement:
    """Append an agent's events."""
    rows = [(agent, e.n, e.at_ms, e.object, e.kind, e.class_, e.event, e.code, e.until_ms) for e in events]
    return (_ADD, rows)


def hold(holders: Sequence[Holder]) -> Statement:
    """These objects hold a unit from now on."""
    return (_HOLD, [(h.agent, h.class_, h.object, h.state, h.since_ms) for h in holders])


def leave(gone: Sequence[tuple[str, str, str]]) -> Statement:
    """These (agent, class, object) hold nothing any more."""
    return (_LEAVE, list(gone))


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
