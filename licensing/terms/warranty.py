"""The device register: what was bought when, and how long its warranty lasts (8.3)."""

from typing import Final

import msgspec

from licensing.terms import day

BASE_YEARS: Final = 1
EXTENDED_YEARS: Final = 5


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device by its MAC (normal form); `known_day` is when it was registered."""

    mac: str
    model: str
    serial: str
    bought_day: int
    known_day: int
    extended: bool = False

    @property
    def warranty_day(self) -> int:
        """Modele de Licence V13r2, 8.3: the last day of the warranty, which is 1 year, extended 5 (L.r32).

        The day of purchase does not count: it is the same date in that year.
        """
        return day.years_after(self.bought_day, EXTENDED_YEARS if self.extended else BASE_YEARS)
