"""Local calendar days, months as yyyymm, and values that change on a day.

Everything here is local to the customer: what makes days of instants stands at the border (B.r6, B.r9).
"""

import calendar as _calendar
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_DAY = timedelta(days=1)


class Span(NamedTuple):
    """Days from `first` to `last`, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many; 0 when it is empty."""
        return max(0, (self.last - self.first).days + 1)

    def within(self, other: "Span") -> "Span | None":
        """The days of both; None when there are none."""
        both = Span(max(self.first, other.first), min(self.last, other.last))
        return both if both.days else None


def month(period: int) -> Span:
    """All days of a month: 202610."""
    year, number = divmod(period, 100)
    return Span(date(year, number, 1), date(year, number, _calendar.monthrange(year, number)[1]))


def period_of(day: date) -> int:
    """The month of a day, yyyymm."""
    return day.year * 100 + day.month


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same days in order, each once: what overlaps or touches becomes one span (B.r9)."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.first <= found[-1].last + _DAY:
            found[-1] = Span(found[-1].first, max(found[-1].last, span.last))
        else:
            found.append(span)
    return tuple(found)


def common(spans: Iterable[Span], other: Span) -> tuple[Span, ...]:
    """Those days of the spans that lie in the other one too."""
    return tuple(both for span in spans if (both := span.within(other)))


def days(spans: Iterable[Span]) -> int:
    """How many days these spans have that do not overlap."""
    return sum(span.days for span in spans)


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """A value that changes at 00:00 of a day: (first day, value) in order, the first from ever."""

    changes: tuple[tuple[date, T], ...]

    @staticmethod
    def always(value: T) -> "Timed[T]":
        """One that never changes."""
        return Timed(((date.min, value),))

    def on(self, day: date) -> T:
        """What it is on this day."""
        return next(value for first, value in reversed(self.changes) if first <= day)

    def segments(self, span: Span) -> Iterator[tuple[Span, T]]:
        """The span cut where the value changes, in order; equal neighbours stay one."""
        ends = [first - _DAY for first, _ in self.changes[1:]] + [date.max]
        open_: tuple[Span, T] | None = None
        for (first, value), last in zip(self.changes, ends, strict=True):
            part = Span(first, last).within(span)
            if part is None:
                continue
            if open_ and open_[1] == value:
                open_ = (Span(open_[0].first, part.last), value)
                continue
            if open_:
                yield open_
            open_ = (part, value)
        if open_:
            yield open_
