"""The ledger on disk: events chained by hash, the store's identity, and the last answer of each agent."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from licensing.ledger import AnyEvent, Founded, Restored, TermRaised, decode, encode, link
from licensing.lender.contact import Contact
from runtime.store import Database, Statement


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger; `hash` chains it to the row before, `actor` is who caused it."""

    seq: int
    term: int
    at_ms: int
    actor: str
    event: AnyEvent
    hash: bytes


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The last answer given to an agent, byte for byte, and the request that it answers."""

    agent: str
    term: int
    seq: int
    request_hash: bytes
    request_signature: str
    status: int
    body: bytes
    signature: str


class ChainBrokenError(Exception):
    """A row of the ledger is not what it was when it was written."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"event {seq}: {reason}")
        self.seq = seq


_FOUND = "INSERT INTO meta (only, instance, term) VALUES (1, ?, ?)"
_RAISE = "UPDATE meta SET term = ?"
_RENAME = "UPDATE meta SET instance = ?, term = ?"
_APPEND = "INSERT INTO event (seq, term, at_ms, actor, body, hash) VALUES (?, ?, ?, ?, ?, ?)"
_EVENTS = "SELECT seq, term, at_ms, actor, body, hash FROM event WHERE seq >= ? ORDER BY seq"
_KEEP = (
    "INSERT OR REPLACE INTO answer"
    " (agent, term, seq, request_hash, request_signature, status, body, signature)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_KEEP_CONTACT = "INSERT OR REPLACE INTO contact (agent, body) VALUES (?, ?)"
_FORGET = "DELETE FROM answer WHERE agent = ?"
_ANSWERS = "SELECT agent, term, seq, request_hash, request_signature, status, body, signature FROM answer"


def chain(
    events: Sequence[AnyEvent], position: int, previous: bytes, term: int, at_ms: int, actor: str
) -> list[Entry]:
    """The rows of new events that follow the row with hash `previous`; `position` is the first's seq."""
    entries = []
    for seq, event in enumerate(events, start=position):
        previous = link(previous, seq, term, at_ms, actor, encode(event))
        entries.append(Entry(seq, term, at_ms, actor, event, previous))
    return entries


def append(entries: Sequence[Entry]) -> list[Statement]:
    """Write rows; those that found the store or raise its term write its identity first."""
    statements: list[Statement] = []
    for entry in entries:
        match entry.event:
            case Founded(instance=instance, term=term):
                statements.append((_FOUND, [(instance, term)]))
            case Restored(instance=instance, term=term):
                statements.append((_RENAME, [(instance, term)]))
            case TermRaised(term=term):
                statements.append((_RAISE, [(term,)]))
            case _:
                pass
    rows = [(e.seq, e.term, e.at_ms, e.actor, encode(e.event), e.hash) for e in entries]
    return [*statements, (_APPEND, rows)] if rows else []


def keep_answer(answer: KeptAnswer) -> Statement:
    """Remember the last answer of an agent."""
    a = answer
    row = (a.agent, a.term, a.seq, a.request_hash, a.request_signature, a.status, a.body, a.signature)
    return (_KEEP, [row])


def keep_contact(agent: str, contact: Contact) -> Statement:
    """Remember what was last said with an agent."""
    return (_KEEP_CONTACT, [(agent, msgspec.json.encode(contact))])


async def contacts(database: Database) -> dict[str, Contact]:
    """What is remembered of each agent's messages."""
    rows = await database.execute_fetchall("SELECT agent, body FROM contact")
    return {agent: msgspec.json.decode(body, type=Contact) for agent, body in rows}


async def entries(database: Database, position: int = 0, head: bytes = b"") -> list[Entry]:
    """The ledger in order from `position` on; ChainBrokenError names the first row that does not fit.

    `head` is the hash of the row before `position`, which is known to be right.
    """
    return list(_checked(await database.execute_fetchall(_EVENTS, (position,)), position, head))


async def answers(database: Database) -> dict[str, KeptAnswer]:
    """The last answer of each agent."""
    return {row[0]: KeptAnswer(*row) for row in await database.execute_fetchall(_ANSWERS)}


def read_file(path: Path) -> list[Entry]:
    """The ledger of a store file, read beside a running master or without one; errors as `entries`."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(_checked(connection.execute(_EVENTS, (0,))))


def _checked(rows: Iterable[sqlite3.Row], expected: int = 0, previous: bytes = b"") -> Iterator[Entry]:
    for seq, term, at_ms, actor, body, hash_ in rows:
        if seq != expected:
            raise ChainBrokenError(expected, "this row is missing")
        if not isinstance(body, bytes) or link(previous, seq, term, at_ms, actor, body) != hash_:
            raise ChainBrokenError(seq, "this row, or its hash, was changed after it was written")
        try:
            event = decode(body)
        except msgspec.ValidationError as error:
            raise ChainBrokenError(seq, f"this row is no event: {error}") from error
        yield Entry(seq, term, at_ms, actor, event, hash_)
        previous, expected = hash_, seq + 1
