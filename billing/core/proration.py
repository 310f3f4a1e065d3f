"""What a monthly price costs for some days of a month: cents for each price segment (B.r9 to B.r12).

A *segment* is the days of one instance at one price; it is rounded once. Its cents are then split over the
entities by their days. Source: seed 000 ("le nombre de jours où l'option a été activée dans le mois").
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from billing.core import calendar, money
from billing.core.calendar import Span, Timed

THIRTY = 30


class Rule(StrEnum):
    """By what a month is divided (B.r10)."""

    ACTUAL = "actual"
    """Its own days."""
    THIRTY = "30"
    """30, but for a whole month."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The days of one instance at one monthly price, and what they cost together."""

    monthly_cents: int
    spans: tuple[Span, ...]
    cents: int


def segments(period: int, active: Iterable[Span], monthly: Timed[int], rule: Rule) -> tuple[Segment, ...]:
    """The segments of a month in order of time; days that are active twice count once.

    A whole month costs the whole price, also with the rule of 30: so no part of it has more than 30 days.
    """
    whole = calendar.month(period)
    spans = calendar.merged(calendar.common(active, whole))
    divisor = THIRTY if rule is Rule.THIRTY and calendar.days(spans) < whole.days else whole.days
    found = []
    for part, price in monthly.segments(whole):
        here = calendar.common(spans, part)
        if here:
            found.append(Segment(price, here, money.half_up(price * calendar.days(here), divisor)))
    return tuple(found)


def over_entities(segment: Segment, entity: Timed[str]) -> tuple[tuple[str, int], ...]:
    """The cents of a segment over the entities of its days, in order of time (B.r12)."""
    whole = Span(segment.spans[0].first, segment.spans[-1].last)
    parts: dict[str, int] = {}
    for part, name in entity.segments(whole):
        if here := calendar.days(calendar.common(segment.spans, part)):
            parts[name] = parts.get(name, 0) + here
    return tuple(zip(parts, money.split(segment.cents, tuple(parts.values())), strict=True))
