"""How a page writes days and months: as ISO dates, or by local_dates.py in words."""

from datetime import date
from typing import Protocol


class Dates(Protocol):
    """How a page writes its dates."""

    def day(self, day: date) -> str:
        """4 November 2026."""

    def short(self, day: date) -> str:
        """4 Nov, where the year is known."""

    def month(self, day: date) -> str:
        """November 2026."""


class IsoDates:
    """2026-11-04 and 2026-11: understood in every language, and no library needed."""

    def day(self, day: date) -> str:
        """2026-11-04."""
        return day.isoformat()

    def short(self, day: date) -> str:
        """2026-11-04."""
        return day.isoformat()

    def month(self, day: date) -> str:
        """2026-11."""
        return day.isoformat()[:7]
