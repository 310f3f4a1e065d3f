"""What is left of an account's credit, and whether somebody should know (B.r23).

A pay-per-use call lowers it by its list price when it is rated, so that it may fall below 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ALERTS: Final = (20, 5, 0)
"""Percent of (credit at the start of the period + top-ups), falling below which alerts once a period each."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Micro-euro at an instant: a top-up is positive, a call negative; `key` names the call."""

    at_ms: int
    micro: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """Which threshold a movement fell below."""

    percent: int
    at_ms: int
    key: str


@dataclass(frozen=True, slots=True)
class Credit:
    """What is left, micro-euro, and the alerts of the period in order."""

    left_micro: int
    alerts: tuple[Alert, ...]


def follow(start_micro: int, movements: Iterable[Movement]) -> Credit:
    """The credit after the movements of a period, taken in order of instant and key."""
    left = base = start_micro
    alerts: list[Alert] = []
    for movement in sorted(movements, key=lambda each: (each.at_ms, each.key)):
        left += movement.micro
        base += max(movement.micro, 0)
        given = {alert.percent for alert in alerts}
        alerts += [
            Alert(percent, movement.at_ms, movement.key)
            for percent in ALERTS
            if percent not in given and left * 100 < base * percent and movement.micro < 0
        ]
    return Credit(left, tuple(alerts))
