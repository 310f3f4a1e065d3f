"""What the agent durably knows of its share, as one row of its store, and what that row allows."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from licensing import grace
from licensing.codes import Code
from licensing.wire import Policy, Proof

ShareState = Literal["open", "short", "recovering", "frozen"]


class Lent(msgspec.Struct, frozen=True):
    """One class as the master lent it; `cap` is the lowest of `granted` and every want written since."""

    granted: int
    cap: int
    max_software: int
    state: ShareState = "open"
    recall_to: int | None = None


class Request(msgspec.Struct, frozen=True):
    """A request that may be on its way: a retry sends exactly these bytes again."""

    path: str
    body: bytes


class ShareRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the agent must know after a power cut, as one row of its store."""

    agent: str
    installation: str
    epoch: int
    instance: str
    term: int
    prev: str
    grace: grace.Grace
    policy: Policy
    seq: int = 0
    in_flight: Request | None = None
    answer: Proof | None = None
    roster_answer: Proof | None = None
    roster_version: int = 0
    shares: dict[str, Lent] = {}

    @property
    def synced(self) -> bool:
        """Whether a master has answered since this epoch began."""
        return self.answer is not None


@dataclass(frozen=True, slots=True)
class Limit:
    """What one class allows now: units lent, how many of them this software may use, and why not more."""

    lent: int
    usable: int
    state: ShareState = "open"
    recall_to: int | None = None
    blocked: Code | None = None


def encode(record: ShareRecord) -> bytes:
    """The row for the store."""
    return msgspec.json.encode(record)


def decode(row: bytes, now_ms: int) -> ShareRecord:
    """The record of a stored row in a new process; a damaged row is `msgspec.MsgspecError`."""
    record = msgspec.json.decode(row, type=ShareRecord)
    return msgspec.structs.replace(record, grace=grace.resumed(record.grace, now_ms))


def usable(record: ShareRecord, class_: str, software: int) -> int:
    """Units of a class this agent may use: 0 when its software is newer than the units serve.

    Else the least of what was granted and every want durably written since (safety rule 1).
    """
    lent = record.shares.get(class_)
    return 0 if lent is None or software > lent.max_software else lent.cap


def limits(record: ShareRecord, software: int) -> dict[str, Limit]:
    """Every class of the record as the seats need it."""
    return {
        class_: Limit(
            lent=lent.cap,
            usable=usable(record, class_, software),
            state=lent.state,
            recall_to=lent.recall_to,
            blocked=_blocked(lent, software),
        )
        for class_, lent in record.shares.items()
    }


def _blocked(lent: Lent, software: int) -> Code | None:
    if lent.granted > 0 and software > lent.max_software:
        return Code.LICENCE_VERSION_TOO_LOW
    match lent.state:
        case "recovering":
            return Code.RECOVERING
        case "frozen":
            return Code.FROZEN
        case "open" | "short":
            return None


def grace_left_ms(record: ShareRecord, now_ms: int, at_ms: int) -> int:
    """Milliseconds until the share serves only those who hold a seat; 0 or less: it is over."""
    return record.policy.grace_s * 1000 - grace.away_ms(record.grace, now_ms, at_ms)


def counted(record: ShareRecord, now_ms: int, at_ms: int) -> ShareRecord:
    """The record with the time away brought up to now: store it now and then while the master is away."""
    return msgspec.structs.replace(record, grace=grace.counted(record.grace, now_ms, at_ms))
