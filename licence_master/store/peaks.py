"""Hourly peaks on disk, derived from the activity: they may be lost and made again, and outlive its rows.

`peak` has the hours that are over. `standing` has, for some hours, who held what when they began, so that
rows that come late are counted where they belong; `rolled` says which rows and hours are in it.
"""

import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiosqlite
import msgspec

from licensing.usage.peaks import HOUR_MS, Peak, Standing, Told
from runtime.store import Statement, insert

CHUNK = 1_000
FUTURE_MS = 24 * HOUR_MS  # a clock further ahead than this is wrong

_Body = list[tuple[str, str, list[str]]]
_ROWS = (
    "SELECT at_ms, agent, object, class, event FROM activity"
    " WHERE id > ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms, id"
)
_FIRST = "SELECT min(at_ms) FROM activity WHERE id > ? AND at_ms >= ? AND at_ms < ?"
_PEAK = "INSERT OR REPLACE INTO peak (hour, site, pool, peak, refused) VALUES"
_STANDING = "INSERT OR REPLACE INTO standing (hour, low, body) VALUES (?, ?, ?)"
_ROLLED = "INSERT OR REPLACE INTO rolled (only, upto, hour) VALUES (1, ?, ?)"
_HOURS = (
    "SELECT hour, site, pool, peak, refused FROM peak"
    " WHERE hour >= ? AND (? IS NULL OR site = ?) AND (? IS NULL OR pool = ?) ORDER BY hour, site, pool"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Rows up to id `upto` are in the peaks of the hours before `hour`."""

    upto: int
    hour: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A standing; no row up to id `low` belongs to its hour or a later one."""

    standing: Standing
    low: int


def rolled(begin: Kept, end: Kept, peaks: Sequence[Peak], upto: int, oldest: int) -> list[Statement]:
    """The peaks of the hours between two standings, in the place of what was there from the first on.

    Standings before hour `oldest` go, and of the others all but the last and those that begin a day (UTC).
    """
    first = begin.standing.hour
    days = (begin, end) if first % 24 == 0 and first >= oldest else (end,)
    return [
        ("DELETE FROM peak WHERE hour >= ?", [(first,)]),
        *insert(_PEAK, peaks),
        ("DELETE FROM standing WHERE hour > ? OR hour < ? OR hour % 24 <> 0", [(first, oldest)]),
        (_STANDING, [(kept.standing.hour, kept.low, _packed(kept.standing)) for kept in days]),
        (_ROLLED, [(upto, end.standing.hour)]),
    ]


class PeakReader:
    """Reads peaks, and activity in order of its time, over a connection that never holds up a commit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def mark(self) -> Mark:
        """How far the peaks go."""
        rows = await self._all("SELECT upto, hour FROM rolled")
        return Mark(*rows[0]) if rows else Mark(0, 0)

    async def news(self, upto: int, from_ms: int, until_ms: int) -> tuple[int, int | None]:
        """The highest id of all rows, and the earliest time of those after `upto`, None without any.

        A time that is not between these is that of a wrong clock.
        """
        last = await self._all("SELECT coalesce(max(id), 0) FROM activity")
        first = await self._all(_FIRST, upto, from_ms, until_ms)
        return int(last[0][0]), first[0][0]

    async def kept_before(self, hour: int) -> Kept | None:
        """The last standing at or before this hour, else the first there is."""
        sql = "SELECT hour, low, body FROM standing ORDER BY hour <= ? DESC, abs(hour - ?) LIMIT 1"
        rows = await self._all(sql, hour, hour)
        return Kept(_unpacked(rows[0][0], rows[0][2]), rows[0][1]) if rows else None

    async def low(self, low: int, begin_ms: int, until_ms: int, last: int) -> int:
        """The highest id below every row from `begin_ms` on, among those above `low` and up to `last`."""
        sql = "SELECT min(id) FROM activity WHERE id > ? AND at_ms >= ? AND at_ms < ?"
        rows = await self._all(sql, low, begin_ms, until_ms)
        return last if rows[0][0] is None else int(rows[0][0]) - 1

    @asynccontextmanager
    async def rows(self, low: int, begin_ms: int, end_ms: int) -> AsyncIterator[AsyncIterator[list[Told]]]:
        """The activity of these times in its order, in chunks, all as of one moment."""
        async with aiosqlite.connect(f"file:{self._path}?mode=ro", uri=True) as connection:
            yield _chunks(connection, (low, begin_ms, end_ms))

    async def hours(self, first: int, site: str | None, pool: str | None) -> list[Peak]:
        """Stored peaks from this hour on."""
        return [Peak(*row) for row in await self._all(_HOURS, first, site, site, pool, pool)]

    async def _all(self, sql: str, *parameters: int | str | None) -> list[aiosqlite.Row]:
        async with aiosqlite.connect(f"file:{self._path}?mode=ro", uri=True) as connection:
            return list(await connection.execute_fetchall(sql, parameters))


async def _chunks(connection: aiosqlite.Connection, times: tuple[int, int, int]) -> AsyncIterator[list[Told]]:
    async with connection.execute(_ROWS, times) as cursor:
        while rows := await cursor.fetchmany(CHUNK):
            yield [Told(*row) for row in rows]


def _packed(standing: Standing) -> bytes:
    body = [(*key, sorted(names)) for key, names in sorted(standing.held.items())]
    return zlib.compress(msgspec.msgpack.encode(body), 1)


def _unpacked(hour: int, body: bytes) -> Standing:
    rows: Iterable[tuple[str, str, list[str]]] = msgspec.msgpack.decode(zlib.decompress(body), type=_Body)
    return Standing(hour, {(agent, class_): frozenset(names) for agent, class_, names in rows})
