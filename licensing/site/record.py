"""What the agent durably knows of its share, as one row of its store, and what that row allows."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from licensing.codes import Code
from licensing.offers import compares_clients
from licensing.site import grace
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
    """Everything the agent must know after a power cut, as one row of its store.

    `doubted` is the code by which the master said that another process goes on with this agent's record, or
    that the record is an old one: until an answer comes only objects that hold a seat are served.
    """

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
    doubted: Code | None = None

    @property
    def synced(self) -> bool:
        """Whether a master has answered since this epoch began."""
        return self.answer is not None


@dataclass(frozen=True, slots=True)
class Limit:
    """What one class allows now: units lent, how many of them this software may use, and why not more.

    `max_software` is the highest release that the units serve; 0: nothing is installed, or not known yet.
    """

    lent: int
    usable: int
    state: ShareState = "open"
    recall_to: int | None = None
    blocked: Code | None = None
    max_software: int = 0


def encode(record: ShareRecord) -> bytes:
    """The row for the store."""
    return msgspec.json.encode(record)


def decode(row: bytes, now_ms: int) -> ShareRecord:
    """The record of a stored row in a new process; a damaged row is `msgspec.MsgspecError`."""
    record = msgspec.json.decode(row, type=ShareRecord)
    return msgspec.structs.replace(record, grace=grace.resumed(record.grace, now_ms))


def usable(record: ShareRecord, class_: str, software: int) -> int:
    """Units of a class this agent may use: 0 when its software is newer than the units serve.

    Else the least of what was granted and every want durably written since (safety rule 1). Where clients
    are compared (7.1, 7.2) the software of the PBX does not matter.
    """
    lent = record.shares.get(class_)
    return 0 if lent is None or _compared(record.policy, class_, software) > lent.max_software else lent.cap


def limits(record: ShareRecord, software: int) -> dict[str, Limit]:
    """Every class of the record as the seats need it."""
    return {
        class_: Limit(
            lent=lent.cap,
            usable=usable(record, class_, software),
            state=lent.state,
            recall_to=lent.recall_to,
            blocked=record.doubted or _blocked(lent, _compared(record.policy, class_, software)),
            max_software=lent.max_software,
        )
        for class_, lent in record.shares.items()
    }


def _compared(policy: Policy, class_: str, software: int) -> int:
    return 0 if compares_clients(policy, class_) else software


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


def closed(record: ShareRecord, now_ms: int, at_ms: int) -> bool:
    """Whether only objects that hold a seat are served: the grace is over, or the record is doubted."""
    return record.doubted is not None or grace_left_ms(record, now_ms, at_ms) <= 0


def grace_left_ms(record: ShareRecord, now_ms: int, at_ms: int) -> int:
    """Milliseconds until the share serves only those who hold a seat; 0 or less: it is over."""
    return record.policy.grace_s * 1000 - grace.away_ms(record.grace, now_ms, at_ms)


def counted(record: ShareRecord, now_ms: int, at_ms: int) -> ShareRecord:
    """The record with the time away brought up to now: store it now and then while the master is away."""
    return msgspec.structs.replace(record, grace=grace.counted(record.grace, now_ms, at_ms))
