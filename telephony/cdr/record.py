"""One call record whatever the PBX: what was called, when, for how long, and whose account it is.

Source: docs/contract.md "Call record"; design billing.md 8. Times are UTC epoch milliseconds and durations
whole seconds, both int. A text that the PBX does not say is "".
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple


class Direction(StrEnum):
    """On which side of this record its account stands."""

    OUT = "out"
    """It placed this leg, forwarded it, or transferred the call into it: it may pay."""
    IN = "in"
    """It received this leg; whoever placed it has a record of his own, or is no account here."""
    RELATED = "related"
    """Another record of the same call counts: this leg rang beside the one that was taken."""


class Kind(StrEnum):
    """What was transmitted."""

    VOICE = "voice"
    FAX = "fax"
    SMS = "sms"


class Key(NamedTuple):
    """What makes two records one (B.r30)."""

    source: str
    call_ref: str
    leg: str


@dataclass(frozen=True, slots=True)
class Cdr:
    """One finished leg of a call; docs/call-records.md says for each dialect where each field comes from."""

    source: str
    """installation/pbx/intake, given at enrolment: two PBXs may count their calls alike."""
    call_ref: str
    """The call as the PBX names it, unique within the source."""
    leg: str
    """Which record of that call."""
    pbx: str
    """Name of the PBX in agent.yaml."""
    direction: Direction
    kind: Kind
    caller: str
    """Number or user part of who calls, as the PBX writes it."""
    called: str
    """Number that this leg was led to: what it costs follows from it."""
    dialled: str
    """Digits as they were dialled, where the PBX still knows them; else as `called`."""
    account: str
    """Who answers for this leg (telephony.cdr.payer says whether he pays)."""
    setup_ms: int
    answer_ms: int | None
    """None: nobody answered."""
    end_ms: int
    talk_s: int
    """Whole seconds from answer to end by the PBX's own count; a fraction rounds up (B.r6)."""
    cause: int | None
    """Q.850; None where the PBX gives none, or 0."""
    forwarded_by: str
    transferred_by: str
    raw: bytes
    """The PBX's own bytes, of all parts of a record that came in several."""

    @property
    def key(self) -> Key:
        """What makes it the same record as another one."""
        return Key(self.source, self.call_ref, self.leg)

    @property
    def content_hash(self) -> str:
        """SHA-256, hexadecimal, of what decides price and identity: one call over two transports has one.

        `raw`, `cause` and `pbx` are left out.
        """
        content = json.dumps(_hashed(self), ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()


HASHED: Final = (
    "source", "call_ref", "leg", "direction", "kind", "caller", "called", "dialled", "account",
    "setup_ms", "answer_ms", "end_ms", "talk_s", "forwarded_by", "transferred_by",
)  # fmt: skip
"""Fields of the content hash, in the order in which they are hashed; never to be changed."""

TEXTS: Final = (
    "source", "call_ref", "leg", "pbx", "caller", "called", "dialled", "account", "forwarded_by",
    "transferred_by",
)  # fmt: skip
"""Fields that hold a text of the PBX's making."""

_hashed: Final = attrgetter(*HASHED)
