"""Instants and durations as PBXs write them, as integers: local times, zones, fractions of seconds.

The zone of a PBX that writes local times is the administrator's word. When clocks go back, an hour happens
twice; which of the two is meant follows from the PBX's own durations where it can (`laid_out`), else the
first one is taken. When they go forward, a time in the gap is read with the offset before it.
"""

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

DAY_MS: Final = 86_400_000
LAST_S: Final = 253_402_300_799
"""9999-12-31T23:59:59Z, the last instant that is one."""

_DECIMAL: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{0,20}))?", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_CLOCK: Final = re.compile(
    r"(?:([0-9]{1,3})\.)?([0-9]{1,5}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?", re.ASCII
)
_OFFSET: Final = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})")


class Zone(Protocol):
    """A time zone as far as call records need it; `runtime.zones` makes one of a name."""

    def instants(self, local_s: int) -> tuple[int, ...]:
        """UTC epoch seconds that clocks there show as this; two in the hour that happens twice, else one.

        `local_s` counts as if the local time were UTC.
        """
        ...


class _Utc:
    def instants(self, local_s: int) -> tuple[int, ...]:
        return (local_s,)


UTC: Final[Zone] = _Utc()


@dataclass(frozen=True, slots=True)
class Fixed:
    """A zone whose offset never changes, in seconds east of UTC."""

    offset_s: int

    def instants(self, local_s: int) -> tuple[int, ...]:
        return (local_s - self.offset_s,)


def epoch_s(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """Seconds after 1970 of a civil time that exists (a leap second is the one after it), else None."""
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and hour < 24 and minute < 60 and second <= 60):
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))


def candidates_ms(local_s: int, fraction: str, zone: Zone) -> tuple[int, ...]:
    """UTC epoch ms that a local time may mean; `fraction` are the digits behind the point, cut to ms."""
    ms = int((fraction + "000")[:3])
    return tuple(at_s * 1_000 + ms for at_s in zone.instants(local_s) if 0 <= at_s <= LAST_S)


def read_date_time(text: str, zone: Zone) -> tuple[int, ...] | None:
    """UTC epoch ms that `2026-11-23 17:54:02[.4][+01:00]` may mean, also with `/` for `-`; else None."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    local_s = epoch_s(*(int(part) for part in match.groups()[:6]))
    if local_s is None:
        return None
    named = match[8]
    return candidates_ms(local_s, match[7] or "", zone if named is None else read_offset(named)) or None


def read_offset(text: str) -> Zone:
    """The zone of `Z` or `+0100` or `+01:00`."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        return UTC
    seconds = int(match[2]) * 3_600 + int(match[3]) * 60
    return Fixed(-seconds if match[1] == "-" else seconds)


def read_seconds_ms(text: str) -> int | None:
    """Epoch or other seconds with or without fraction as ms, cut; None when it is no such number."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    return int(match[1]) * 1_000 + int(((match[2] or "") + "000")[:3])


def read_whole_seconds(text: str) -> int | None:
    """A duration in seconds, a fraction rounded up (B.r6: 3.0000001 is 4); None when it is no number."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    return int(match[1]) + (1 if (match[2] or "").strip("0") else 0)


def read_clock_ms(text: str) -> int | None:
    """A duration `00:01:22`, `1.02:03:04` or `00:01:22.5` as ms, cut; None when it is none."""
    match = _CLOCK.fullmatch(text)
    if match is None or int(match[3]) > 59 or int(match[4]) > 59:
        return None
    hours = int(match[1] or 0) * 24 + int(match[2])
    return (hours * 3_600 + int(match[3]) * 60 + int(match[4])) * 1_000 + int(((match[5] or "") + "000")[:3])


def whole_seconds(ms: int) -> int:
    """A duration in whole seconds, a fraction rounded up."""
    return -(-ms // 1_000)


def laid_out(
    setups: Sequence[int], answers: Sequence[int], ends: Sequence[int], duration_ms: int | None
) -> tuple[int, int | None, int]:
    """Set-up, answer (None without candidates) and end, of the instants that each of them may mean.

    Taken are those whose distance from set-up to end is nearest to the PBX's own duration, or without one the
    shortest that does not run backwards; of equals the earliest. The answer lies between them if it can.
    """
    pairs = [(setup, end) for setup in setups for end in ends]

    def misfit(pair: tuple[int, int]) -> tuple[bool, int]:
        length = pair[1] - pair[0]
        return length < 0, length if duration_ms is None else abs(length - duration_ms)

    setup, end = min(pairs, key=misfit)
    between = [answer for answer in answers if setup <= answer <= end]
    nearest = between or list(answers)
    return setup, nearest[0] if nearest else None, end
