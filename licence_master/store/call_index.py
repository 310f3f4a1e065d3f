"""calls.db: the call records of one installation, each once, and what became of everything that arrived.

Keys outlive their records (`call_key`): a record that was deleted is not taken again when it comes late.
Everything of a batch is one transaction, with the number of the batch.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple

import aiosqlite
import msgspec

from runtime.store import Database, Statement, Value, insert
from telephony.cdr.columns import COLUMNS
from telephony.cdr.reading import Reason
from telephony.cdr.record import Cdr, Key
from telephony.cdr.verdict import Verdict
from telephony.cdr.wire import SourceState

MAX_SPOOLS: Final = 100
"""Of one agent; the longest unused is forgotten. Its records are known by their keys all the same."""

MIGRATIONS: Final = (
    """
CREATE TABLE generation (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  name TEXT NOT NULL              -- an archive of another generation is made again
);
CREATE TABLE spool (
  agent TEXT NOT NULL,
  spool TEXT NOT NULL,
  kept  INTEGER NOT NULL,         -- the last batch that is durable here
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (agent, spool)
) WITHOUT ROWID;
CREATE TABLE call_key (
  source   TEXT NOT NULL,
  call_ref TEXT NOT NULL,
  leg      TEXT NOT NULL,
  hash     BLOB NOT NULL,
  end_ms   INTEGER NOT NULL,
  PRIMARY KEY (source, call_ref, leg)
) WITHOUT ROWID;
CREATE TABLE call (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of arrival, never given twice
  source         TEXT NOT NULL,
  call_ref       TEXT NOT NULL,
  leg            TEXT NOT NULL,
  pbx            TEXT NOT NULL,
  direction      TEXT NOT NULL,
  kind           TEXT NOT NULL,
  caller         TEXT NOT NULL,
  called         TEXT NOT NULL,
  dialled        TEXT NOT NULL,
  account        TEXT NOT NULL,
  setup_ms       INTEGER NOT NULL,
  answer_ms      INTEGER,
  end_ms         INTEGER NOT NULL,
  talk_s         INTEGER NOT NULL,
  cause          INTEGER,
  forwarded_by   TEXT NOT NULL,
  transferred_by TEXT NOT NULL,
  raw            BLOB NOT NULL
);
CREATE INDEX call_by_end ON call (end_ms);
CREATE TABLE quarantine (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms    INTEGER NOT NULL,
  source   TEXT NOT NULL,
  verdict  TEXT NOT NULL,
  reason   TEXT NOT NULL,
  detail   TEXT NOT NULL,
  call_ref TEXT NOT NULL,
  leg      TEXT NOT NULL,
  digest   BLOB NOT NULL,         -- the same thing once more is only counted
  record   BLOB,                  -- the record as JSON; NULL: unread bytes
  raw      BLOB NOT NULL,
  UNIQUE (source, digest)
);
CREATE TABLE arrived (
  source  TEXT NOT NULL,
  verdict TEXT NOT NULL,
  count   INTEGER NOT NULL,
  PRIMARY KEY (source, verdict)
) WITHOUT ROWID;
CREATE TABLE source_state (
  source  TEXT PRIMARY KEY,
  told_ms INTEGER NOT NULL,
  body    BLOB NOT NULL
) WITHOUT ROWID;
""",
    """
CREATE TABLE mark (               -- how far somebody got with the records, by their ids
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
""",
)

_FIELDS: Final = ", ".join(column.name for column in COLUMNS)
_row: Final[Callable[[Cdr], tuple[Value, ...]]] = attrgetter(*(column.name for column in COLUMNS))
_KEEP_KEY: Final = "INSERT INTO call_key (source, call_ref, leg, hash, end_ms) VALUES"
_KEEP: Final = f"INSERT INTO call ({_FIELDS}) VALUES"
_QUARANTINE: Final = (
    "INSERT OR IGNORE INTO quarantine"
    " (at_ms, source, verdict, reason, detail, call_ref, leg, digest, record, raw) VALUES"
)
_COUNT: Final = (
    "INSERT INTO arrived (source, verdict, count) VALUES (?, ?, ?)"
    " ON CONFLICT (source, verdict) DO UPDATE SET count = count + excluded.count"
)
_TELL: Final = "INSERT OR REPLACE INTO source_state (source, told_ms, body) VALUES (?, ?, ?)"
_NUMBER: Final = "INSERT OR REPLACE INTO spool (agent, spool, kept, at_ms) VALUES (?, ?, ?, ?)"
_FORGET_SPOOLS: Final = (
    "DELETE FROM spool WHERE agent = ?1 AND spool IN"
    " (SELECT spool FROM spool WHERE agent = ?1 ORDER BY at_ms DESC, spool LIMIT -1 OFFSET ?2)"
)
_HASHES: Final = (
    "SELECT k.source, k.call_ref, k.leg, k.hash FROM json_each(?) AS asked JOIN call_key AS k"
    " ON k.source = json_extract(asked.value, '$[0]') AND k.call_ref = json_extract(asked.value, '$[1]')"
    " AND k.leg = json_extract(asked.value, '$[2]')"
)


@dataclass(frozen=True, slots=True)
class Aside:
    """Something that a person must look at: a record with its verdict, or bytes that could not be read."""

    source: str
    verdict: Verdict
    digest: bytes
    raw: bytes
    cdr: Cdr | None = None
    reason: Reason | None = None
    detail: str = ""
    call_ref: str = ""


class Kept(NamedTuple):
    """A record that is new, and its content hash."""

    cdr: Cdr
    hash: bytes


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch after the verdicts: what is new, what is put aside, and how many of each there were."""

    agent: str
    spool: str
    number: int
    at_ms: int
    kept: Sequence[Kept]
    aside: Sequence[Aside]
    counts: Sequence[tuple[str, Verdict, int]]
    sources: Sequence[SourceState]


def take(batch: Judged) -> list[Statement]:
    """All of a batch, for one transaction."""
    keys = [(*cdr.key, hash_, cdr.end_ms) for cdr, hash_ in batch.kept]
    rows = [_row(cdr) for cdr, _ in batch.kept]
    told = [(each.source, batch.at_ms, msgspec.json.encode(each)) for each in batch.sources]
    return [
        *insert(_KEEP_KEY, keys),
        *insert(_KEEP, rows),
        *insert(_QUARANTINE, [_aside(each, batch.at_ms) for each in batch.aside]),
        (_COUNT, [(source, verdict, count) for source, verdict, count in batch.counts]),
        (_TELL, told),
        (_NUMBER, [(batch.agent, batch.spool, batch.number, batch.at_ms)]),
        (_FORGET_SPOOLS, [(batch.agent, MAX_SPOOLS)]),
    ]


def _aside(each: Aside, at_ms: int) -> tuple[Value, ...]:
    record = None if each.cdr is None else msgspec.json.encode(each.cdr)
    key = (each.call_ref, "") if each.cdr is None else (each.cdr.call_ref, each.cdr.leg)
    reason = each.reason or ""
    return (at_ms, each.source, each.verdict, reason, each.detail, *key, each.digest, record, each.raw)


def forget(ids: Sequence[int]) -> Statement:
    """Delete these records; their keys stay."""
    return ("DELETE FROM call WHERE id IN (SELECT value FROM json_each(?))", [(_list(ids),)])


def forget_keys(keys: Sequence[Key]) -> Statement:
    """Delete these keys."""
    return (
        "DELETE FROM call_key WHERE source = ? AND call_ref = ? AND leg = ?",
        [tuple(key) for key in keys],
    )


def forget_aside(limit_ms: int) -> Statement:
    """Delete what was put aside before this."""
    return ("DELETE FROM quarantine WHERE at_ms < ?", [(limit_ms,)])


def set_mark(name: str, value: int) -> Statement:
    """Keep a number under this name."""
    return ("INSERT OR REPLACE INTO mark (name, value) VALUES (?, ?)", [(name, value)])


def begin_of(month: str) -> int:
    """When a UTC month (`2026-10`) begins, in epoch ms."""
    return int(datetime.strptime(f"{month} +0000", "%Y-%m %z").timestamp()) * 1_000


def _list(values: Iterable[object]) -> str:
    """Values for json_each."""
    return msgspec.json.encode(list(values)).decode()


async def kept_batch(database: Database, agent: str, spool: str) -> int:
    """The number of the last batch of this spool that is durable; 0: none."""
    sql = "SELECT kept FROM spool WHERE agent = ? AND spool = ?"
    rows = list(await database.execute_fetchall(sql, (agent, spool)))
    return int(rows[0][0]) if rows else 0


async def hashes(database: Database, keys: Iterable[Key]) -> dict[Key, bytes]:
    """Of these keys the ones that are known, with the content hash of their record."""
    rows = await database.execute_fetchall(_HASHES, (_list(keys),))
    return {Key(source, call_ref, leg): hash_ for source, call_ref, leg, hash_ in rows}


async def mark(database: Database, name: str) -> int:
    """The number that is kept under this name; 0: none yet."""
    rows = list(await database.execute_fetchall("SELECT value FROM mark WHERE name = ?", (name,)))
    return int(rows[0][0]) if rows else 0


async def generation(database: aiosqlite.Connection) -> str:
    """The name that this index got when it was made, or put in the place of another."""
    await database.execute(
        "INSERT OR IGNORE INTO generation (only, name) VALUES (1, ?)", (secrets.token_hex(8),)
    )
    rows = list(await database.execute_fetchall("SELECT name FROM generation"))
    return str(rows[0][0])
