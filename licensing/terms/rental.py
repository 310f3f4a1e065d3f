"""Rented units: what they cost a day, and for how long a balance of iSC pays them (8.4).

Rent is paid for whole days that have passed. Rented units count while the balance is above 0 (L.r31, L.T7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

HORIZON: Final = 36_525
"""Days that the forecast looks ahead: a hundred years."""


class Rental(msgspec.Struct, frozen=True):
    """What one unit costs: `isc` for every `days` days, from `since_day` on."""

    isc: int
    days: int
    since_day: int


@dataclass(frozen=True, slots=True)
class Rented:
    """So many units at this rent."""

    count: int
    rental: Rental


def rent(rented: Sequence[Rented], first: int, last: int) -> int:
    """The iSC of all days from `first` to `last`, both included.

    In any `days` days from the beginning a unit costs exactly its `isc`: the parts of a day are spread, and
    nothing is lost by rounding, however the days are taken together.
    """
    return sum(_rent(each, first, last) for each in rented)


def _rent(each: Rented, first: int, last: int) -> int:
    total, begin = each.count * each.rental.isc, max(first - each.rental.since_day, 0)
    end = last + 1 - each.rental.since_day
    return total * end // each.rental.days - total * begin // each.rental.days if end > begin else 0


def paid_until(rented: Sequence[Rented], balance: int, first: int) -> int | None:
    """The last day that counts when the rent from `first` on is taken from this balance; None: no end seen.

    It is the day whose rent takes the rest, so that the balance is 0 afterwards.
    """
    if rent(rented, first, first + HORIZON) < balance:
        return None
    low, high = first, first + HORIZON
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if rent(rented, first, middle) >= balance else (middle + 1, high)
    return low
