"""How old activity and denials go: a few rows at a time, from the oldest on; no request waits long."""

from dataclasses import dataclass
from pathlib import Path

import aiosqlite
import msgspec

from runtime.store import Statement

ROWS = 1_000  # looked at in one step: at most a few ms of the writer's time

_LOOK = (
    "SELECT id, at_ms FROM activity WHERE id > ? AND id <= min(?, (SELECT upto FROM rolled))"
    " ORDER BY id LIMIT ?"
)
_FORGET = "DELETE FROM activity WHERE id IN (SELECT value FROM json_each(?))"
_FORGET_DENIALS = "DELETE FROM denial WHERE last_ms < ?"


@dataclass(frozen=True, slots=True)
class Step:
    """Rows to delete, and the id that the next step goes on after."""

    after: int
    ids: tuple[int, ...]


class Oldest:
    """Finds what is old enough, over a connection that never holds up a commit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def last(self) -> int:
        """The highest id there is."""
        async with aiosqlite.connect(f"file:{self._path}?mode=ro", uri=True) as connection:
            rows = list(await connection.execute_fetchall("SELECT coalesce(max(id), 0) FROM activity"))
        return int(rows[0][0])

    async def step(self, after: int, limit_ms: int, last: int) -> Step:
        """The next rows up to `last` older than the limit whose peaks are stored; none where all are younger.

        Rows come in the order of their arrival: one with a wrong date holds up nothing behind it.
        """
        async with aiosqlite.connect(f"file:{self._path}?mode=ro", uri=True) as connection:
            rows = list(await connection.execute_fetchall(_LOOK, (after, last, ROWS)))
        old = tuple(id_ for id_, at_ms in rows if at_ms < limit_ms)
        return Step(rows[-1][0], old) if old else Step(after, ())


def forget(step: Step) -> Statement:
    """Delete the rows of a step."""
    return (_FORGET, [(msgspec.json.encode(step.ids).decode(),)])


def forget_denials(limit_ms: int) -> Statement:
    """Delete the denials that were over before this."""
    return (_FORGET_DENIALS, [(limit_ms,)])
