"""Days of the civil calendar as whole numbers: how many days after 1970-01-01 (Gregorian, UTC).

A day is an int; names of fields end in `_day`. Nothing here asks what day it is.
"""

import re
from typing import Final

MS: Final = 86_400_000
"""Milliseconds of a day."""

LAST: Final = 2_932_896
"""9999-12-31, the last day that people can write."""

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_ERA = 146_097  # days of 400 years; the calendar repeats
_EPOCH = 719_468  # days from 0000-03-01, where the count below begins, to 1970-01-01


def of_date(year: int, month: int, day: int) -> int:
    """The day of a date that exists, from 0001-01-01 on."""
    year -= month <= 2  # years that begin in March have the leap day at their end
    in_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1
    era, of_era = divmod(year, 400)
    return era * _ERA + of_era * 365 + of_era // 4 - of_era // 100 + in_year - _EPOCH


def date(day: int) -> tuple[int, int, int]:
    """Year, month and day of the month."""
    era, in_era = divmod(day + _EPOCH, _ERA)
    of_era = (in_era - in_era // 1_460 + in_era // 36_524 - in_era // 146_096) // 365
    in_year = in_era - (365 * of_era + of_era // 4 - of_era // 100)
    month = (5 * in_year + 2) // 153
    in_month = in_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return era * 400 + of_era + (month <= 2), month, in_month


def of_ms(at_ms: int) -> int:
    """The day in which this instant lies; UTC epoch milliseconds."""
    return at_ms // MS


def parse(text: str) -> int | None:
    """The day that `2026-03-10` names, None for anything else and for a date that does not exist."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    named = (int(match[1]), int(match[2]), int(match[3]))
    if named[0] < 1 or not 1 <= named[1] <= 12 or not 1 <= named[2] <= 31:
        return None
    day = of_date(*named)
    return day if date(day) == named else None


def shown(day: int) -> str:
    """A day as people write it: `2026-03-10`."""
    year, month, in_month = date(day)
    return f"{year:04}-{month:02}-{in_month:02}"


def years_after(day: int, years: int) -> int:
    """The same date so many years later; where there is none (29 February), the last day of that month."""
    year, month, in_month = date(day)
    later = of_date(year + years, month, in_month)
    return later if date(later)[2] == in_month else later - 1


def last_of_years(first: int, years: int) -> int:
    """The last day of a term of whole years: the day before that anniversary of its first day (L.r32)."""
    return years_after(first, years) - 1


def dated(name: str, value: object) -> object:
    """A plain value of a field with every day in it as people write it, by the names of the fields."""
    if isinstance(value, dict):
        return {key: dated(key, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [dated(name, each) for each in value]
    is_day = name == "day" or name.endswith("_day")
    return shown(value) if is_day and isinstance(value, int) else value
