"""Reads a spool beside the agent that writes it, in bounded memory; for `pbx-agent cdr export`."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self

from agent.store.cdr_row import RECORD, Row, cdr_of
from telephony.cdr.record import Cdr
from telephony.cdr.wire import Record

ROWS_AT_ONCE: Final = 500

_PAGE: Final = """
    SELECT at_ms, n, body FROM entry
    WHERE kind = 'record' AND (at_ms, n) > (?, ?) AND at_ms < ? ORDER BY at_ms, n LIMIT ?"""
_COUNT: Final = "SELECT count(*) FROM entry WHERE kind = 'record' AND at_ms >= ? AND at_ms < ?"


class UnreadableSpoolError(Exception):
    """There is no spool, or it cannot be read; the text names the file."""


class SpoolReader:
    """A spool to read; a page is one short look, so that its writer is never held up."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """UnreadableSpoolError."""
        if not path.exists():
            raise UnreadableSpoolError(f"{path}: not there; has this PBX sources of call records?")
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise UnreadableSpoolError(f"{path}: {error}") from error
        return cls(connection, path)

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def count(self, from_ms: int, to_ms: int) -> int:
        """How many records ended at these times (UTC epoch ms). UnreadableSpoolError."""
        ((count, *_),) = self._fetched(_COUNT, from_ms, to_ms)
        return int(count)

    def records(self, from_ms: int, to_ms: int) -> Iterator[Cdr]:
        """The records, by their end and then by arrival. UnreadableSpoolError."""
        at_ms, n = from_ms, 0
        while rows := self._fetched(_PAGE, at_ms, n, to_ms, ROWS_AT_ONCE):
            for at_ms, n, body in rows:  # noqa: B007 - where the next page begins
                record = Row(n, RECORD, body).read()
                assert isinstance(record, Record)
                yield cdr_of(record)

    def _fetched(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        try:
            with closing(self._connection.execute(query, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise UnreadableSpoolError(f"{self._path}: {error}") from error
