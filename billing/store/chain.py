"""What was issued: closed periods and credit notes as one chain of hashes, and the documents in full.

Nothing here is ever changed. A hash has the one before, the number of the entry, and its body in it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiosqlite
import msgspec

from billing.core.crediting import Credited
from billing.core.document import Document
from runtime.store import Statement

_APPEND: Final = "INSERT INTO entry (seq, body, hash) VALUES (?, ?, ?)"
_ISSUE: Final = (
    "INSERT INTO document (number, seq, customer, period, corrects, body) VALUES (?, ?, ?, ?, ?, ?)"
)
_KEEP_FILE: Final = "INSERT OR IGNORE INTO source_file (digest, content) VALUES (?, ?)"


class PeriodClosed(msgspec.Struct, frozen=True, tag="period_closed"):
    """A period with everything that it says; digests are SHA-256, hexadecimal."""

    period: int
    at_ms: int
    """Its stamp: every record that was in time has an earlier one."""
    waiting: int
    """Calls in suspense that go on to the next period, since somebody allowed it."""
    files: dict[str, str]
    """Configuration and tariffs as they stood: path to digest."""
    ratings: dict[str, str]
    """Customer to digest of its rated calls."""
    documents: dict[str, str]
    """Number to digest of the document."""
    artefacts: dict[str, str]
    """Path below the period's directory to digest of the file."""
    without: dict[str, list[str]]
    """Customer to its entities that have nothing to pay; none named: the customer itself."""


class CreditIssued(msgspec.Struct, frozen=True, tag="credit_issued"):
    """A credit note, and what it took back of its invoice."""

    number: str
    corrects: str
    at_ms: int
    reason: str
    lines: dict[int, int]
    vat_cents: int
    document: str
    artefacts: dict[str, str]

    @property
    def credited(self) -> Credited:
        """As the core asks for it."""
        return Credited(self.lines, self.vat_cents)


AnyEntry = PeriodClosed | CreditIssued


@dataclass(frozen=True, slots=True)
class Link:
    """An entry in its place."""

    seq: int
    entry: AnyEntry
    hash: bytes


@dataclass(frozen=True, slots=True)
class Issued:
    """A document, and whose it is."""

    customer: str
    document: Document


class ChainBrokenError(Exception):
    """Something that was issued is not what it was when it was written."""


def linked(before: Link | None, entry: AnyEntry) -> Link:
    """The entry behind `before`; None: the first one."""
    seq = 1 if before is None else before.seq + 1
    previous = b"" if before is None else before.hash
    return Link(seq, entry, _hash(previous, seq, msgspec.json.encode(entry)))


def append(link: Link, issued: Sequence[Issued], files: Mapping[str, bytes]) -> list[Statement]:
    """Write an entry with its documents, and the files whose digests it names."""
    rows = [
        (
            each.document.number, link.seq, each.customer, each.document.invoice.period,
            each.document.corrects, msgspec.json.encode(each.document),
        )
        for each in issued
    ]  # fmt: skip
    found: list[Statement] = [(_APPEND, [(link.seq, msgspec.json.encode(link.entry), link.hash)])]
    if rows:
        found.append((_ISSUE, rows))
    if files:
        found.append((_KEEP_FILE, list(files.items())))
    return found


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def document_digest(document: Document) -> str:
    """Of everything that it says."""
    return digest(msgspec.json.encode(document))


async def links(database: aiosqlite.Connection) -> list[Link]:
    """The chain from its beginning; ChainBrokenError names the first entry that does not fit."""
    found: list[Link] = []
    previous = b""
    for seq, body, hash_ in await database.execute_fetchall("SELECT seq, body, hash FROM entry ORDER BY seq"):
        fits = isinstance(body, bytes) and _hash(previous, seq, body) == hash_
        if seq != len(found) + 1 or not fits:
            raise ChainBrokenError(f"entry {len(found) + 1}: it, or its hash, was changed later")
        found.append(Link(seq, msgspec.json.decode(body, type=AnyEntry), hash_))
        previous = hash_
    return found


async def verify_documents(database: aiosqlite.Connection, found: Sequence[Link]) -> None:
    """ChainBrokenError names the first document that is not what its entry says."""
    said: dict[str, str] = {}
    for link in found:
        match link.entry:
            case PeriodClosed(documents=documents):
                said |= documents
            case CreditIssued(number=number, document=document):
                said[number] = document
    rows = await database.execute_fetchall("SELECT number, body FROM document")
    there = {number: digest(body) if isinstance(body, bytes) else "text" for number, body in rows}
    for number in sorted(said.keys() | there.keys()):
        if said.get(number) != there.get(number):
            raise ChainBrokenError(f"document {number}: it was changed, added or removed after it was issued")


async def documents(
    database: aiosqlite.Connection, *, number: str | None = None, period: int | None = None
) -> list[Issued]:
    """Documents in order of number: all, or those of a number or a period."""
    wanted = (
        "SELECT customer, body FROM document"
        " WHERE (?1 IS NULL OR number = ?1) AND (?2 IS NULL OR period = ?2) ORDER BY number"
    )
    rows = await database.execute_fetchall(wanted, (number, period))
    return [Issued(customer, msgspec.json.decode(body, type=Document)) for customer, body in rows]


async def source_files(database: aiosqlite.Connection, closed: PeriodClosed) -> dict[str, bytes]:
    """Configuration and tariffs as they stood when the period was closed, by path."""
    rows = await database.execute_fetchall("SELECT digest, content FROM source_file")
    content = {digest_: bytes(text) for digest_, text in rows}
    return {path: content[digest_] for path, digest_ in closed.files.items()}


def _hash(previous: bytes, seq: int, body: bytes) -> bytes:
    return hashlib.sha256(previous + seq.to_bytes(8) + body).digest()
