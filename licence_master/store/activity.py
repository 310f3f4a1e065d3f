"""Who held what when, and who was refused: tables for history and `why`, never part of safety."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import aiosqlite
import msgspec

from licence_master.store.ledger import Entry
from licensing import wire
from licensing.ledger import decode
from runtime.store import Database, Statement, insert

CLOCKS_MS = 60_000
REFUSED = 10  # objects named in one denial


class Holders(msgspec.Struct, frozen=True, array_like=True):
    """Who holds units of a class at an agent, by name with since when (UTC epoch ms)."""

    held: dict[str, int]
    surplus: dict[str, int]


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
    """A demand the master could not meet; equal ones in a row are one, seen `times` times.

    `held` is who had the units when it began: (PBX, pool, units). None: a row from before this was kept.
    """

    id: int
    agent: str
    class_: str
    code: str
    first_ms: int
    last_ms: int
    times: int
    detail: wire.Denial
    held: tuple[tuple[str, str, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Objects that were refused or reported within a denial, the latest first; `others` are not listed."""

    objects: tuple[str, ...]
    others: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The last sync of an agent: when, and how much of its activity has arrived."""

    agent: str
    at_ms: int
    ack_activity: int


READ_AT_ONCE = 1_000

_ADD = "INSERT INTO activity (agent, n, at_ms, object, kind, class, event, code, until_ms) VALUES"
_ROW = "(?, ?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, 0))"
"""Python looks for an adapter of each None that it binds: two of them took a tenth of a row's time."""
_HOLDING = "INSERT OR REPLACE INTO holding VALUES (?, (SELECT coalesce(max(id), 0) FROM activity), ?)"
_WRITTEN = "SELECT agent, coalesce(upto, 0) FROM seen LEFT JOIN holding USING (agent)"
_UNWRITTEN = "SELECT id, agent, n, at_ms, object, kind, class, event FROM activity WHERE id > ? ORDER BY id"
_SEEN = "INSERT OR REPLACE INTO seen (agent, at_ms, ack_activity) VALUES (?, ?, ?)"
_DENY = (
    "INSERT OR REPLACE INTO denial (id, agent, class, code, first_ms, last_ms, times, detail, held)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_Held = tuple[tuple[str, str, int], ...] | None
_DENIED = (
    "SELECT id, agent, class, code, first_ms, last_ms, times, detail, held FROM denial"
    " WHERE (? IS NULL OR agent = ?) AND (? IS NULL OR class = ?) ORDER BY last_ms DESC LIMIT ?"
)
_REFUSED = (
    "SELECT object, max(at_ms) AS last FROM activity WHERE event IN ('refused', 'reported')"
    " AND agent = ? AND class = ? AND at_ms BETWEEN ? AND ? GROUP BY object ORDER BY last DESC LIMIT 1000"
)
_TAIL = (
    "SELECT agent, n, at_ms, object, kind, class, event, code, until_ms FROM activity"
    " WHERE id > (SELECT coalesce(max(id), 0) FROM activity) - ? ORDER BY id"
)
_HISTORY = "SELECT agent, at_ms, object, kind, class, event, code, until_ms FROM activity"


def add(agent: str, events: Sequence[wire.Activity]) -> list[Statement]:
    """Append an agent's events."""
    return insert(
        _ADD,
        [
            (agent, e.n, e.at_ms, e.object, e.kind, e.class_, e.event, e.code or "", e.until_ms or 0)
            for e in events
        ],
        _ROW,
    )


def holding(agent: str, classes: Mapping[str, Holders]) -> Statement:
    """These hold units at this agent, by class, after all of its events that were added before."""
    return (_HOLDING, [(agent, msgspec.json.encode(classes))])


def saw(sync: Seen) -> Statement:
    """Note the last sync of an agent."""
    return (_SEEN, [(sync.agent, sync.at_ms, sync.ack_activity)])


def unsee(agent: str) -> Statement:
    """Forget how far an agent's numbered events had arrived."""
    return ("DELETE FROM seen WHERE agent = ?", [(agent,)])


def deny(denied: Denied) -> Statement:
    """Write a denial, or its next repetition."""
    d = denied
    detail, held = msgspec.json.encode(d.detail), msgspec.json.encode(d.held)
    return (_DENY, [(d.id, d.agent, d.class_, d.code, d.first_ms, d.last_ms, d.times, detail, held)])


async def holders(database: Database) -> list[tuple[str, dict[str, Holders]]]:
    """The holders of each agent as last written down, for the start of the writer."""
    rows = await database.execute_fetchall("SELECT agent, body FROM holding")
    return [(agent, msgspec.json.decode(body, type=dict[str, Holders])) for agent, body in rows]


async def since_holders(database: Database) -> AsyncIterator[tuple[str, list[wire.Activity]]]:
    """The events of agents after their holders were last written down, in order, some at a time."""
    written = {str(row[0]): int(row[1]) for row in await database.execute_fetchall(_WRITTEN)}
    async with database.execute(_UNWRITTEN, (min(written.values(), default=0),)) as cursor:
        while rows := list(await cursor.fetchmany(READ_AT_ONCE)):
            for agent, group in groupby(rows, key=itemgetter(1)):
                upto = written.get(agent, 0)
                yield agent, [wire.Activity(*row[2:]) for row in group if row[0] > upto]


async def seen(database: Database) -> list[Seen]:
    """The last sync of each agent, for the start of the writer."""
    sql = "SELECT agent, at_ms, ack_activity FROM seen"
    return [Seen(*row) for row in await database.execute_fetchall(sql)]


async def last_denial_id(database: Database) -> int:
    """The highest number given to a denial; 0 when there is none."""
    rows = list(await database.execute_fetchall("SELECT coalesce(max(id), 0) FROM denial"))
    return int(rows[0][0])


async def tail(database: Database, rows: int) -> list[tuple[str, wire.Activity]]:
    """The newest events with their agents, in the order in which they came."""
    found = await database.execute_fetchall(_TAIL, (rows,))
    return [(agent, wire.Activity(*facts)) for agent, *facts in found]


class PastReader:
    """Questions about the past, over a connection of their own so that they never hold up a commit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def of_object(self, name: str, limit: int, agent: str | None = None) -> list[Happened]:
        """The last events of an object (at one agent), newest first."""
        sql = f"{_HISTORY} WHERE object = ? AND (? IS NULL OR agent = ?) ORDER BY at_ms DESC, id DESC LIMIT ?"
        return [Happened(*row) for row in await self._rows(sql, (name, agent, agent, limit))]

    async def recent(self, limit: int, agent: str | None = None) -> list[Happened]:
        """The last events of all objects (or of one agent's), newest first."""
        sql = f"{_HISTORY} WHERE ? IS NULL OR agent = ? ORDER BY id DESC LIMIT ?"
        return [Happened(*row) for row in await self._rows(sql, (agent, agent, limit))]

    async def denials(
        self, limit: int, agent: str | None = None, class_: str | None = None
    ) -> list[tuple[Denied, Refused]]:
        """The last denials (of one agent, one class), newest first, each with who was refused meanwhile."""
        async with self._connected() as connection:
            rows = await connection.execute_fetchall(_DENIED, (agent, agent, class_, class_, limit))
            found = [_denied(row) for row in rows]
            return [(denied, await _refused(connection, denied)) for denied in found]

    async def entries(self, limit: int) -> list[Entry]:
        """The last rows of the ledger, newest first."""
        sql = "SELECT seq, term, at_ms, actor, body, hash FROM event ORDER BY seq DESC LIMIT ?"
        return [
            Entry(seq, term, at_ms, actor, decode(body), hash_)
            for seq, term, at_ms, actor, body, hash_ in await self._rows(sql, (limit,))
        ]

    async def _rows(self, sql: str, parameters: tuple[str | int | None, ...]) -> list[aiosqlite.Row]:
        async with self._connected() as connection:
            return list(await connection.execute_fetchall(sql, parameters))

    def _connected(self) -> aiosqlite.Connection:
        return aiosqlite.connect(f"file:{self._path}?mode=ro", uri=True)


async def _refused(connection: aiosqlite.Connection, denied: Denied) -> Refused:
    """The clocks of agent and master may differ a little."""
    begin, end = denied.first_ms - CLOCKS_MS, denied.last_ms + CLOCKS_MS
    rows = list(await connection.execute_fetchall(_REFUSED, (denied.agent, denied.class_, begin, end)))
    return Refused(tuple(name for name, _ in rows[:REFUSED]), max(0, len(rows) - REFUSED))


def _denied(row: aiosqlite.Row) -> Denied:
    id_, agent, class_, code, first_ms, last_ms, times, detail, held = row
    told = msgspec.json.decode(detail, type=wire.Denial)
    who = msgspec.json.decode(held, type=_Held) if held is not None else None
    return Denied(id_, agent, class_, code, first_ms, last_ms, times, told, who)
