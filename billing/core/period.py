"""The life of a period: open while its month goes on, draft behind it, closed for good (B.r31).

Source: design billing.md 9. Periods are yyyymm, days local to the customer, stamps UTC ms.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from billing.core import calendar
from billing.core.refusal import Code, Refused

GRACE_DAYS: Final = 3
OLDEST_DAYS: Final = 365
"""Records that are older are refused (B.r30)."""
_BEFORE_FIRST: Final = 14
"""Months before the first close that count as closed with it: no record may be older than 365 days."""


class State(StrEnum):
    """What may happen to it."""

    OPEN = "open"
    """Its month goes on."""
    DRAFT = "draft"
    """Over: records still come in, and it is closed from the end of grace on."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed period, and when: a stamp behind those of all records that were in time."""

    period: int
    at_ms: int


def state(period: int, today: date, closed: Iterable[Closed]) -> State:
    """Of a period on a day."""
    if any(each.period == period for each in closed):
        return State.CLOSED
    return State.DRAFT if today > calendar.month(period).last else State.OPEN


def closable_from(period: int, grace_days: int = GRACE_DAYS) -> date:
    """From 00:00 of this day on it may be closed: the 4th, with 3 days of grace."""
    return calendar.month(period).last + timedelta(days=grace_days + 1)


def following(period: int) -> int:
    """The month behind it."""
    return calendar.period_of(calendar.month(period).last + timedelta(days=1))


def preceding(period: int) -> int:
    """The month before it."""
    return calendar.period_of(calendar.month(period).first - timedelta(days=1))


def refusal(
    period: int, today: date, grace_days: int, closed: Iterable[Closed], oldest: int | None
) -> Refused | None:
    """Why it cannot be closed today; `oldest` is the first month on whose invoice records wait, if any."""
    last = max((each.period for each in closed), default=None)
    if last is None and calendar.month(period).last < today - timedelta(days=OLDEST_DAYS):
        why = f"{named(period)} is over for more than a year, and no record of it would be taken"
        return Refused(
            Code.NOT_IN_ORDER, f"{why}; close the month first from which you bill with this ledger"
        )
    if last is not None and period != following(last):
        why = f"{named(last)} was closed last; close {named(following(last))} first"
        return Refused(Code.NOT_IN_ORDER, why)
    if oldest is not None and oldest < period:
        return Refused(Code.NOT_IN_ORDER, f"records of {named(oldest)} wait; close {named(oldest)} first")
    first = closable_from(period, grace_days)
    if today < first:
        return Refused(Code.NOT_OVER, f"{named(period)} can be closed from {first} on, today is {today}")
    return None


def closings(closed: Iterable[Closed]) -> Mapping[int, int]:
    """When each period was closed, those before the first one with it: what came later is late (B.r32)."""
    found = {each.period: each.at_ms for each in closed}
    if found:
        first = min(found)
        before = first
        for _ in range(_BEFORE_FIRST):
            before = preceding(before)
            found[before] = found[first]
    return found


def named(period: int) -> str:
    """2026-10."""
    return f"{period // 100}-{period % 100:02}"
