"""Days and months in the words of a language, from CLDR by Babel."""

from datetime import date

from billing.edges.extra import einvoice_needed

with einvoice_needed():
    from babel import Locale
    from babel.dates import format_date, format_skeleton


class LocalDates:
    """Dates of fr, it, de or en."""

    def __init__(self, language: str) -> None:
        self._locale = Locale.parse("en_GB" if language == "en" else language)

    def day(self, day: date) -> str:
        """4 novembre 2026."""
        return format_date(day, "long", self._locale)

    def short(self, day: date) -> str:
        """4 nov."""
        return format_skeleton("MMMd", day, locale=self._locale)

    def month(self, day: date) -> str:
        """novembre 2026."""
        return format_skeleton("yMMMM", day, locale=self._locale)
