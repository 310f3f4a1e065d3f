"""A disk with one SQLite store on it, without a thread: it can be slow, full, fail, and be set back.

The store is the product's own `Database`; only the visit to its thread is replaced. A process dies before
the transaction, after it, or after it and before anybody hears of it; SQLite's own atomicity is not in doubt
here (the chaos tests tear real files).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from runtime.store import Database, Statement

PLACE = Path(__file__).parent  # only the size of its disk is asked for
Watcher = Callable[[Sequence[Statement]], None]


@cache
def _empty(migrations: tuple[str, ...]) -> bytes:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for script in migrations:
        connection.executescript(script)
    content = connection.serialize()
    connection.close()
    return content


class Disk:
    """What outlives a process; `watch` sees every transaction that became durable."""

    def __init__(self, migrations: Sequence[str], dice: Random) -> None:
        self._migrations = tuple(migrations)
        self._dice = dice
        self.latency_ms = 1.0
        self.full = False
        self.fails_in: int | None = None
        self.failures = 0
        self.watch: Watcher = _nobody
        self.connection: sqlite3.Connection
        self.wipe()

    def wipe(self) -> None:
        """The store is lost: a new, empty one."""
        self.restore(_empty(self._migrations))

    def snapshot(self) -> bytes:
        """The store as it is now."""
        return self.connection.serialize()

    def restore(self, content: bytes) -> None:
        """Set the store back to a snapshot."""
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.deserialize(content)

    def rows(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        """What is durable now, read by nobody's process."""
        return self.connection.execute(sql, values).fetchall()

    def delay(self) -> float:
        """Seconds for one visit."""
        return self.latency_ms * self._dice.random() / 1_000

    def before_commit(self) -> None:
        """Raise when this write fails and leaves nothing behind."""
        if self.full:
            self.failures += 1
            raise sqlite3.OperationalError("database or disk is full")
        if self.fails_in is not None:
            self.fails_in -= 1
            if self.fails_in <= 0 and self._dice.random() < 0.5:
                self._fail()

    def after_commit(self) -> None:
        """Raise when this write is durable and its writer is told otherwise."""
        if self.fails_in is not None and self.fails_in <= 0:
            self._fail()

    def _fail(self) -> None:
        self.fails_in = None
        self.failures += 1
        raise sqlite3.OperationalError("disk I/O error")


class SimulatedDatabase(Database):
    """The product's connection over a `Disk`; every visit takes virtual time and runs in this thread."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(PLACE / "store", lambda: disk.connection, -1)
        self._connection = disk.connection
        self._disk = disk

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        disk = self._disk
        if fn != self._write:
            await asyncio.sleep(0)
            return fn(*args, **kwargs)
        await asyncio.sleep(disk.delay())
        disk.before_commit()
        fn(*args, **kwargs)
        disk.watch(args[0])
        disk.after_commit()
        return await asyncio.sleep(disk.delay())

    def _logged_pages(self) -> int:
        """There is no log in memory."""
        return 0

    async def close(self) -> None:
        """The disk stays."""
        self._connection = None

    def __del__(self) -> None:
        """A killed process closes nothing."""


def _nobody(statements: Sequence[Statement]) -> None:
    """Nobody watches."""
