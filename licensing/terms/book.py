"""The book of an installation: lots and their SSA, credits, devices, offers, and the reminders given."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from licensing.terms.credit import Booking, Unit
from licensing.terms.lot import Lots
from licensing.terms.warranty import Device


class Offer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Units that the installation may have and has not, until an administrator confirms (7.1, L.r34)."""

    number: int
    type: str
    count: int
    why: str
    day: int
    place: str = ""


class Reminder(msgspec.Struct, frozen=True):
    """What was said last about one deadline: on which day, so many days before (-1: after) its end."""

    before: int
    day: int
    text: str


Deadline = tuple[str, int]
"""Kind and last day: everything of a kind that ends on one day is one deadline."""


@dataclass(frozen=True, slots=True)
class Book:
    """Balances in whole credits; `rent_day` is the last day whose rent was taken."""

    lots: Lots = field(default_factory=dict)
    ssc: int = 0
    isc: int = 0
    bookings: tuple[Booking, ...] = ()
    rent_day: int = 0
    devices: Mapping[str, Device] = field(default_factory=dict)
    offers: Mapping[int, Offer] = field(default_factory=dict)
    reminders: Mapping[Deadline, Reminder] = field(default_factory=dict)

    def balance(self, unit: Unit) -> int:
        """The balance of one of the two."""
        return self.ssc if unit == "ssc" else self.isc

    def booked(self, unit: Unit, amount: int, why: str, by: str, day: int) -> "Book":
        """This book after one booking; rent that a clock running ahead has skipped is due again."""
        balance = max(0, self.balance(unit) + amount)
        bookings = (*self.bookings, Booking(unit, day, amount, balance, why, by))
        if unit == "ssc":
            return replace(self, ssc=balance, bookings=bookings)
        return replace(self, isc=balance, bookings=bookings, rent_day=min(self.rent_day, day - 1))
