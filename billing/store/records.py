"""Call records in billing.db: each once by its key, with the local day that was found when it came."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import aiosqlite

from runtime.store import Statement, insert
from telephony.cdr.columns import COLUMNS, RAW
from telephony.cdr.record import Cdr, Direction, Key, Kind

_FIELDS: Final = tuple(column.name for column in COLUMNS if column.name != RAW)
_OURS: Final = ("hash", "customer", "day", "period", "landing", "received_ms")
_ALL: Final = ", ".join((*_FIELDS, *_OURS))
_KEEP: Final = f"INSERT INTO record ({_ALL}) VALUES"
_READ: Final = f"SELECT {_ALL} FROM record"  # noqa: S608 - names of columns, ours
_ASKED: Final = (
    "FROM json_each(?) AS asked JOIN record AS r"
    " ON r.source = json_extract(asked.value, '$[0]') AND r.call_ref = json_extract(asked.value, '$[1]')"
    " AND r.leg = json_extract(asked.value, '$[2]')"
)
_HASHES: Final = f"SELECT r.source, r.call_ref, r.leg, r.hash {_ASKED}"
_THESE: Final = f"SELECT r.{_ALL.replace(', ', ', r.')} {_ASKED} ORDER BY r.source, r.call_ref, r.leg"
_QUARANTINE: Final = "INSERT OR IGNORE INTO quarantine (digest, at_ms, reason, detail, record) VALUES"
_ARRIVAL: Final = (
    "INSERT INTO arrival (at_ms, file, received, new, duplicate, quarantine) VALUES (?, ?, ?, ?, ?, ?)"
)
_PLACE: Final = (
    "UPDATE record SET customer = ?, day = ?, period = ?, landing = ?, received_ms = ?"
    " WHERE source = ? AND call_ref = ? AND leg = ?"
)
_STAMP: Final = "INSERT OR REPLACE INTO stamp (only, at_ms) VALUES (1, ?)"


@dataclass(frozen=True, slots=True)
class Stored:
    """A record with its content hash: whose it is ("": nobody's yet), when it was, which month invoices it.

    `day` and `period` are local to the customer.
    """

    cdr: Cdr
    hash: bytes
    customer: str
    day: date
    period: int
    landing: int
    received_ms: int

    @property
    def instant_ms(self) -> int:
        """The answer, or the set-up of a call that nobody answered (B.r7)."""
        return self.cdr.setup_ms if self.cdr.answer_ms is None else self.cdr.answer_ms


@dataclass(frozen=True, slots=True)
class Aside:
    """Something that a person must look at; `digest` is equal for the same thing."""

    digest: bytes
    reason: str
    detail: str
    record: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one import brought."""

    at_ms: int
    file: str
    received: int
    new: int
    duplicate: int
    quarantine: int


def keep(stored: Sequence[Stored]) -> list[Statement]:
    """Write new records."""
    rows = [
        (
            *(_value(each.cdr, name) for name in _FIELDS), each.hash, each.customer,
            each.day.toordinal(), each.period, each.landing, each.received_ms,
        )
        for each in stored
    ]  # fmt: skip
    return insert(_KEEP, rows)


def _value(cdr: Cdr, name: str) -> str | int | None:
    value: str | int | None = getattr(cdr, name)
    return str(value) if isinstance(value, str) else value


def put_aside(asides: Sequence[Aside], at_ms: int) -> list[Statement]:
    """Write what is in quarantine; what is there already stays as it is."""
    return insert(_QUARANTINE, [(a.digest, at_ms, a.reason, a.detail, a.record) for a in asides])


def arrived(arrival: Arrival) -> Statement:
    """Note an import."""
    a = arrival
    return (_ARRIVAL, [(a.at_ms, a.file, a.received, a.new, a.duplicate, a.quarantine)])


def place(stored: Iterable[Stored]) -> Statement:
    """Give records another customer, day, month or landing."""
    rows = [
        (each.customer, each.day.toordinal(), each.period, each.landing, each.received_ms, *each.cdr.key)
        for each in stored
    ]
    return (_PLACE, rows)


def stamped(at_ms: int) -> Statement:
    """Note the last stamp that was given."""
    return (_STAMP, [(at_ms,)])


async def last_stamp(database: aiosqlite.Connection) -> int:
    """The last one; 0: none yet."""
    rows = list(await database.execute_fetchall("SELECT at_ms FROM stamp"))
    return int(rows[0][0]) if rows else 0


async def hashes(database: aiosqlite.Connection, keys: Iterable[Key]) -> dict[Key, bytes]:
    """The content hash of each of these records that is there."""
    rows = await database.execute_fetchall(_HASHES, (json.dumps(list(keys)),))
    return {Key(*row[:3]): row[3] for row in rows}


async def one(database: aiosqlite.Connection, key: Key) -> Stored | None:
    """The record of this key."""
    wanted = f"{_READ} WHERE source = ? AND call_ref = ? AND leg = ?"
    return next((_stored(row) for row in await database.execute_fetchall(wanted, tuple(key))), None)


async def these(database: aiosqlite.Connection, keys: Iterable[Key]) -> list[Stored]:
    """The records of these keys that are there, in order of key."""
    return [_stored(row) for row in await database.execute_fetchall(_THESE, (json.dumps(list(keys)),))]


async def of_month(database: aiosqlite.Connection, customer: str, landing: int) -> list[Stored]:
    """All records of a customer of those months of which some go on this month's invoice, in order of key."""
    months = "SELECT DISTINCT period FROM record WHERE landing = ?2 AND customer = ?1"
    wanted = f"{_READ} WHERE customer = ?1 AND landing <= ?2 AND (period = ?2 OR period IN ({months}))"
    order = " ORDER BY source, call_ref, leg"
    return [_stored(row) for row in await database.execute_fetchall(wanted + order, (customer, landing))]


async def of_nobody(database: aiosqlite.Connection) -> list[Stored]:
    """Records that no customer has yet, in order of key."""
    wanted = f"{_READ} WHERE customer = '' ORDER BY source, call_ref, leg"
    return [_stored(row) for row in await database.execute_fetchall(wanted)]


async def customers(database: aiosqlite.Connection, landing: int) -> tuple[str, ...]:
    """Whose records go on this month's invoices."""
    wanted = "SELECT DISTINCT customer FROM record WHERE landing = ? ORDER BY customer"
    return tuple(row[0] for row in await database.execute_fetchall(wanted, (landing,)))


async def landings(database: aiosqlite.Connection) -> tuple[int, ...]:
    """The months on whose invoices records go, in order."""
    return tuple(
        row[0]
        for row in await database.execute_fetchall("SELECT DISTINCT landing FROM record ORDER BY landing")
    )


async def quarantined(database: aiosqlite.Connection) -> list[Aside]:
    """What waits for a person, in order of arrival."""
    wanted = "SELECT digest, reason, detail, record FROM quarantine ORDER BY at_ms, digest"
    return [Aside(*row) for row in await database.execute_fetchall(wanted)]


async def arrivals(database: aiosqlite.Connection) -> list[Arrival]:
    """All imports in order."""
    wanted = "SELECT at_ms, file, received, new, duplicate, quarantine FROM arrival ORDER BY id"
    return [Arrival(*row) for row in await database.execute_fetchall(wanted)]


def _stored(row: Sequence[object]) -> Stored:
    given = dict(zip(_FIELDS, row, strict=False))
    given["direction"] = Direction(str(given["direction"]))
    given["kind"] = Kind(str(given["kind"]))
    hash_, customer, day, period, landing, received = row[len(_FIELDS) :]
    cdr = Cdr(**given, raw=b"")  # type: ignore[arg-type] # the columns are those of the record
    assert isinstance(hash_, bytes)
    assert isinstance(day, int)
    assert isinstance(period, int)
    assert isinstance(landing, int)
    assert isinstance(received, int)
    return Stored(cdr, hash_, str(customer), date.fromordinal(day), period, landing, received)
