"""Calls on their way to a price: what is rated, what came out of it, and what became of every record.

received = rated + not billable + duplicate + suspense + quarantine, at all times (design billing.md 8).
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from billing.core.number import Number


@dataclass(frozen=True, slots=True)
class Call:
    """A call with a number, of an account that there is: only its price is missing.

    Tariff, period, entity and offer follow from `day`, the local day of the answer instant (B.r7).
    """

    key: str
    account: str
    line: str
    entity: str
    offer: str
    kind: str
    number: Number
    answer_ms: int
    day: date
    period: int
    seconds: int
    late: int = 0
    """Period whose invoice brings it, yyyymm, when it came after its own was closed (B.r32); 0: in time."""

    @property
    def landing(self) -> int:
        """The period on whose invoice it goes."""
        return self.late or self.period


@dataclass(frozen=True, slots=True)
class Rated:
    """A call at one price level; `row` is the index of its tariff row, -1 where none is needed."""

    key: str
    level: str
    class_: str
    row: int
    billed_s: int
    in_basket_s: int
    price_micro: int


class Reason(StrEnum):
    """Why a call has no price yet (suspense), or was set aside (quarantine)."""

    NUMBER = "number"
    """No form of number that there is."""
    ACCOUNT = "account"
    """No such account on that day, or none that has this number."""
    NO_PRICE = "no_price"
    """No row of a tariff."""
    CONFLICT = "conflict"
    """The same key as another record, and another content."""
    TOO_OLD = "too_old"
    FUTURE = "future"
    TOO_LONG = "too_long"
    """Longer than a week."""
    UNREADABLE = "unreadable"
    """No record at all."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that waits, and what for."""

    key: str
    reason: Reason
    detail: str
    landing: int
    """The period on whose invoice it would go, yyyymm."""


class Verdict(StrEnum):
    """What became of a record."""

    RATED = "rated"
    NOT_BILLABLE = "not_billable"
    """Inbound, internal, unanswered: shown at 0."""
    DUPLICATE = "duplicate"
    SUSPENSE = "suspense"
    QUARANTINE = "quarantine"
