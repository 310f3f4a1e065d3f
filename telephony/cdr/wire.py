"""What an agent uploads of its spool, and what the master answers: numbered batches, none counts twice.

A spool has a random name and numbers its batches from 1 without a gap. The master takes the batch after the
last one that it keeps of this spool; any other is answered with the number that it has, and the agent goes on
from there. Sent to POST /v1/agent/cdrs, signed like every message of the agent.
Source: design architecture.md "The four ways data travels", 3.
"""

from typing import Annotated, Final

import msgspec

from telephony.cdr.reading import Reason
from telephony.cdr.record import Direction, Kind

VERSION: Final = 1
MAX_RECORDS: Final = 1_000
MAX_BATCH: Final = 256 * 1024
"""Bytes of the body; one record of MAX_RECORD bytes in base64 fits."""

# No number of the protocol is larger, and a store takes no larger one either.
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Cdr on its way: the fields of telephony.cdr.record, `raw` in base64. The master hashes it itself."""

    source: str
    call_ref: str
    leg: str
    pbx: str
    direction: Direction
    kind: Kind
    setup_ms: Whole
    end_ms: Whole
    talk_s: Whole
    raw: bytes
    caller: str = ""
    called: str = ""
    dialled: str = ""
    account: str = ""
    answer_ms: Whole | None = None
    cause: Whole | None = None
    forwarded_by: str = ""
    transferred_by: str = ""


class Unread(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bytes of a source that no parser could read, for a person to decide."""

    source: str
    reason: Reason
    detail: str
    raw: bytes
    taken_ms: Whole
    call_ref: str = ""


class Missing(msgspec.Struct, frozen=True):
    """Numbers that a counting source never sent, both included."""

    first: Whole
    last: Whole


class SourceState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent knows of one of its sources, absolute: the master's gap report is made of it."""

    source: str
    last_ms: Whole | None = None
    """UTC epoch ms of its last record or quarantine; None: none yet."""
    silent: bool = False
    """It has been quiet for longer than its configured `silent_after`."""
    connected: bool = True
    missing: tuple[Missing, ...] = ()
    forgotten: Whole = 0
    restarts: Whole = 0
    lost: Whole = 0
    """Records and quarantine that a master had and lost, and the agent has no longer."""


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """POST /v1/agent/cdrs. At most MAX_RECORDS of both kinds, and MAX_BATCH bytes."""

    v: int
    installation: str
    agent: str
    spool: str
    number: Whole
    records: tuple[Record, ...] = ()
    unread: tuple[Unread, ...] = ()
    sources: tuple[SourceState, ...] = ()


class BatchAnswer(msgspec.Struct, frozen=True):
    """The number of the last batch of this spool that is durable at the master; 0: none."""

    spool: str
    kept: Whole
