"""Reads calls.db beside the writer, some rows at a time: no commit waits, and the log is not held up."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from telephony.cdr.columns import COLUMNS
from telephony.cdr.record import Cdr, Direction, Key, Kind
from telephony.cdr.verdict import Verdict
from telephony.cdr.wire import SourceState

ROWS: Final = 500
STEP: Final = 1_000  # of a deletion: at most a few ms of the writer's time
BYTES: Final = 1 << 20
"""Of `raw`, of which a page holds a little more at most."""

_FIELDS: Final = ", ".join(f"c.{column.name}" for column in COLUMNS)
_CALLS: Final = " ".join(("SELECT c.id,", _FIELDS, "FROM call AS c"))
_SPAN: Final = "(c.end_ms, c.id) > (?, ?) AND c.end_ms < ? AND c.id <= ? AND (? IS NULL OR c.pbx = ?)"
_IN_SPAN: Final = f"{_CALLS} WHERE {_SPAN} ORDER BY c.end_ms, c.id LIMIT ?"
_COUNT: Final = " ".join(("SELECT count(*) FROM call AS c WHERE", _SPAN))
_ARRIVED: Final = f"{_CALLS} WHERE c.id > ? ORDER BY c.id LIMIT ?"
_FIRST: Final = (
    f"{_CALLS} JOIN call_key AS k ON c.end_ms = k.end_ms AND c.source = k.source AND c.call_ref = k.call_ref"
    " AND c.leg = k.leg WHERE k.source = ? AND k.call_ref = ? AND k.leg = ? LIMIT 1"
)
_ASIDE: Final = (
    "SELECT id, at_ms, source, verdict, reason, detail, call_ref, leg, raw, record"
    " FROM quarantine WHERE ? IS NULL OR verdict = ? ORDER BY id DESC LIMIT ?"
)
_OLDER: Final = "SELECT id FROM call WHERE end_ms < ? ORDER BY end_ms LIMIT ?"
_KEYS: Final = (
    "SELECT source, call_ref, leg, end_ms FROM call_key WHERE (source, call_ref, leg) > (?, ?, ?)"
    " ORDER BY source, call_ref, leg LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class Span:
    """Records that ended from `from_ms` on and before `to_ms`, and had arrived by then (id `upto`)."""

    from_ms: int
    to_ms: int
    upto: int
    rows: int
    pbx: str | None = None


@dataclass(frozen=True, slots=True)
class PutAside:
    """A row of the quarantine; `first` is the record that stays where another one is in conflict with it."""

    id: int
    at_ms: int
    source: str
    verdict: Verdict
    reason: str
    detail: str
    call_ref: str
    leg: str
    raw: bytes
    record: Cdr | None
    first: Cdr | None


@dataclass(frozen=True, slots=True)
class Told:
    """What an agent said last of a source, when, and what became of all that came from it."""

    source: str
    told_ms: int | None
    state: SourceState | None
    arrived: dict[Verdict, int]


class KeyStep(NamedTuple):
    """Where a walk through all keys has come to, and those of this step that are old."""

    last: Key
    old: list[Key]


class CallReader:
    """Questions about the call records of one installation; each may take long: ask from a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def span(self, from_ms: int, to_ms: int, pbx: str | None = None) -> Span:
        """The records of this time that are there now; they can be read for as long as they are kept."""
        with self._connected() as connection:
            (upto,) = connection.execute("SELECT coalesce(max(id), 0) FROM call").fetchone()
            (rows,) = connection.execute(_COUNT, (from_ms, -1, to_ms, upto, pbx, pbx)).fetchone()
        return Span(from_ms, to_ms, upto, rows, pbx)

    def pages(self, span: Span) -> Iterator[list[Cdr]]:
        """The records of a span in the order in which they ended, some at a time."""
        end_ms, id_ = span.from_ms, -1
        while True:
            asked = (end_ms, id_, span.to_ms, span.upto, span.pbx, span.pbx, ROWS)
            page = self._page(_IN_SPAN, asked)
            if not page:
                return
            yield [cdr for _, cdr in page]
            id_, last = page[-1]
            end_ms = last.end_ms

    def arrived(self, after: int, rows: int) -> Iterator[list[tuple[int, Cdr]]]:
        """Up to so many records in the order in which they arrived, each with its number, some at a time."""
        while rows > 0 and (page := self._page(_ARRIVED, (after, min(rows, ROWS)))):
            yield page
            after, rows = page[-1][0], rows - len(page)

    def last(self) -> int:
        """The number of the newest record; 0: there is none."""
        with self._connected() as connection:
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM call").fetchone()
        return int(last)

    def older(self, limit_ms: int) -> list[int]:
        """Some records that ended before this, by their numbers; none: there are none."""
        with self._connected() as connection:
            return [int(row[0]) for row in connection.execute(_OLDER, (limit_ms, STEP))]

    def keys(self, after: Key, limit_ms: int) -> KeyStep | None:
        """The next keys behind this one, of which some are of records that ended before the limit."""
        with self._connected() as connection:
            rows = [(Key(*row[:3]), row[3]) for row in connection.execute(_KEYS, (*after, STEP))]
        return KeyStep(rows[-1][0], [key for key, end_ms in rows if end_ms < limit_ms]) if rows else None

    def generation(self) -> str:
        """The name of this index."""
        with self._connected() as connection:
            (name,) = connection.execute("SELECT name FROM generation").fetchone()
        return str(name)

    def quarantine(self, limit: int, verdict: Verdict | None = None) -> list[PutAside]:
        """What was put aside, newest first."""
        with self._connected() as connection:
            rows = connection.execute(_ASIDE, (verdict, verdict, limit)).fetchall()
            return [_put_aside(row, _first(connection, row)) for row in rows]

    def sources(self) -> list[Told]:
        """All sources that were ever heard of."""
        with self._connected() as connection:
            told = {
                row[0]: row[1:]
                for row in connection.execute("SELECT source, told_ms, body FROM source_state")
            }
            arrived: dict[str, dict[Verdict, int]] = {}
            for source, verdict, count in connection.execute("SELECT source, verdict, count FROM arrived"):
                arrived.setdefault(source, {})[Verdict(verdict)] = count
        return [_told(name, told.get(name), arrived.get(name, {})) for name in sorted({*told, *arrived})]

    def _page(self, sql: str, asked: Sequence[str | int | None]) -> list[tuple[int, Cdr]]:
        page, size = [], 0
        with self._connected() as connection:
            for row in connection.execute(sql, asked):
                page.append((int(row[0]), _cdr(row[1:])))
                size += len(row[-1])
                if size > BYTES:
                    break
        return page

    def _connected(self) -> "closing[sqlite3.Connection]":
        return closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True))


def _cdr(row: Sequence[Any]) -> Cdr:
    given = dict(zip((column.name for column in COLUMNS), row, strict=True))
    given |= {"direction": Direction(given["direction"]), "kind": Kind(given["kind"])}
    return Cdr(**given)


def _first(connection: sqlite3.Connection, row: Sequence[Any]) -> Cdr | None:
    """The record that a conflict is about, if it is still kept."""
    _, _, source, verdict, _, _, call_ref, leg, *_ = row
    if verdict != Verdict.CONFLICT:
        return None
    found = connection.execute(_FIRST, (source, call_ref, leg)).fetchone()
    return None if found is None else _cdr(found[1:])


def _put_aside(row: Sequence[Any], first: Cdr | None) -> PutAside:
    id_, at_ms, source, verdict, reason, detail, call_ref, leg, raw, record = row
    cdr = None if record is None else msgspec.json.decode(record, type=Cdr)
    return PutAside(id_, at_ms, source, Verdict(verdict), reason, detail, call_ref, leg, raw, cdr, first)


def _told(source: str, told: tuple[int, bytes] | None, arrived: dict[Verdict, int]) -> Told:
    if told is None:
        return Told(source, None, None, arrived)
    return Told(source, told[0], msgspec.json.decode(told[1], type=SourceState), arrived)
