"""Call records as rows of the spool: the record of the wire, with the PBX's own bytes as they are."""

from typing import Final, NamedTuple

import msgspec

from telephony.cdr.reading import MAX_TEXT, Quarantined
from telephony.cdr.record import Cdr
from telephony.cdr.wire import Record, Unread

RECORD: Final = "record"
CONFLICT: Final = "conflict"
"""The same key as a record that is kept, with another content; the master judges it."""
UNREAD: Final = "unread"

_FIELDS: Final = Record.__struct_fields__
_RECORDS: Final = msgspec.msgpack.Decoder(Record)
_UNREAD: Final = msgspec.msgpack.Decoder(Unread)


class Row(NamedTuple):
    """An entry of the spool: its place in the order of arrival, what it is, and its body."""

    n: int
    kind: str
    body: bytes

    def read(self) -> Record | Unread:
        """What it holds."""
        return _UNREAD.decode(self.body) if self.kind == UNREAD else _RECORDS.decode(self.body)


def record_of(cdr: Cdr) -> Record:
    """The record for the wire."""
    return Record(**{name: getattr(cdr, name) for name in _FIELDS})


def cdr_of(record: Record) -> Cdr:
    """The record again."""
    return Cdr(**{name: getattr(record, name) for name in _FIELDS})


def unread_of(found: Quarantined, source: str, taken_ms: int) -> Unread:
    """The quarantine for the wire, whose names have the length that those of a record may have."""
    call_ref, detail = found.call_ref[:MAX_TEXT], found.detail[:MAX_TEXT]
    return Unread(source, found.reason, detail, found.raw, taken_ms, call_ref)


def encode(entry: Record | Unread) -> bytes:
    """The body of a row."""
    return msgspec.msgpack.encode(entry)
