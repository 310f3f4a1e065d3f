"""Money as integers: reading and printing at the border, and the one way of rounding and of splitting.

Prices of a tariff are nano-euro, the price of a call micro-euro, a line cents (B.r1). Rounding happens at
four places only: a call, an atom, the VAT of an invoice, a split. Source: docs/billing.md.
"""

import re
from collections.abc import Sequence
from typing import Final

CENT_PLACES: Final = 2
MICRO_PLACES: Final = 6
NANO_PLACES: Final = 9
MICRO_PER_CENT: Final = 10_000
NANO_PER_MICRO: Final = 1_000

_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,18}))?", re.ASCII)


def read(text: str, places: int) -> int | None:
    """A decimal with a dot and at most `places` decimals, in units of 10^-places; None for anything else."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction = found[1], found[2], (found[3] or "").rstrip("0")
    if len(fraction) > places:
        return None
    return int(sign + whole + fraction.ljust(places, "0"))


def shown(value: int, places: int) -> str:
    """`1234.57`: always a dot, always all decimals, never a group separator."""
    digits = str(abs(value)).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def shown_short(value: int, places: int) -> str:
    """As `shown`, without zeros at the end beyond cents: 9.94 for 9.940000."""
    text = shown(value, places)
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(CENT_PLACES, '0')}"


def half_up(numerator: int, denominator: int) -> int:
    """The nearest whole number, a half away from zero, also below zero: -0.055 in cents is -6 (B.r1)."""
    assert denominator > 0
    nearest = (abs(numerator) * 2 + denominator) // (denominator * 2)
    return nearest if numerator >= 0 else -nearest


def split(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """An amount over weights by largest remainder, ties to the first: 10 over 7, 2, 2 is 6, 2, 2 (B.r5)."""
    total = sum(weights)
    assert total > 0, "somebody must carry it"
    assert min(weights) >= 0
    size, sign = abs(amount), -1 if amount < 0 else 1
    parts = [size * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: -(size * weights[index] % total))
    for index in by_remainder[: size - sum(parts)]:
        parts[index] += 1
    return tuple(sign * part for part in parts)
