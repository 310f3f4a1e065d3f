"""Amounts, rates, counts and times as people write them, from integers only.

Babel rounds half to even and takes decimals; our cents are rounded already (B.r1), so they are only
punctuated here. The separators are those of CLDR; a test compares the two.
"""

from dataclasses import dataclass

from billing.core.money import CENT_PLACES, MICRO_PLACES, shown

NARROW_SPACE = "\u202f"
NO_BREAK_SPACE = "\u00a0"


@dataclass(frozen=True, slots=True)
class Figures:
    """Punctuation of one language."""

    group: str
    decimal: str
    leading: str = ""
    """The currency sign, before the amount."""
    trailing: str = ""
    percent: str = "%"

    def count(self, number: int) -> str:
        """1 234."""
        return f"{number:,}".replace(",", self.group)

    def amount(self, cents: int) -> str:
        """1 234,57 €."""
        euro, cent = divmod(abs(cents), 100)
        sign = "-" if cents < 0 else ""
        return f"{sign}{self.leading}{self.count(euro)}{self.decimal}{cent:02}{self.trailing}"

    def rate(self, basis_points: int) -> str:
        """20 %, 5,5 %."""
        whole, part = divmod(basis_points, 100)
        digits = f"{part:02}".rstrip("0")
        return f"{whole}{self.decimal + digits if digits else ''}{self.percent}"


FIGURES = {
    "fr": Figures(NARROW_SPACE, ",", trailing=f"{NO_BREAK_SPACE}€", percent=f"{NARROW_SPACE}%"),
    "it": Figures(".", ",", trailing=f"{NO_BREAK_SPACE}€"),
    "de": Figures(".", ",", trailing=f"{NO_BREAK_SPACE}€", percent=f"{NO_BREAK_SPACE}%"),
    "en": Figures(",", ".", leading="€"),
}


def decimal(cents: int) -> str:
    """1234.57: how machines read it, in CSV, XML and JSON."""
    return shown(cents, CENT_PLACES)


def micro(price: int) -> str:
    """0.031250: the price of one call, from micro-euro."""
    return shown(price, MICRO_PLACES)


def clock(seconds: int) -> str:
    """2:14:24, or 14:24 below an hour."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
