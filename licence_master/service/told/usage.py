"""Usage as people read it: the peaks of each pool and site, when it is full, and how many units are right."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from licence_master.service.installation import Installation
from licence_master.service.told.reports import DayView, HourView, UsageView
from licensing.demand import PoolKey
from licensing.installation import MASTER
from licensing.state import State
from licensing.usage.peaks import ALL, HOUR_MS, Peak
from licensing.usage.sizing import right_size
from licensing.usage.trend import Trend, trend

DAY = 24
DAY_MS = DAY * HOUR_MS


async def usage(
    each: Installation, days: int, pool: str | None, site: str | None, margin: int
) -> list[UsageView]:
    """For each pool all sites together, then each site, over so many days until now; by pool and site.

    Forecast and size are those of the whole pool: a site has no capacity of its own.
    """
    now_ms = each.writer.clock.wall_ms()
    found = await each.peaks.hours(now_ms // HOUR_MS - days * DAY + 1, site, pool)
    rows: dict[tuple[str, str], list[Peak]] = defaultdict(list)
    for row in found:
        rows[row.pool, row.site].append(row)
    state, today = each.writer.state, now_ms // DAY_MS
    return [_view(state, key, rows[key], today, margin) for key in sorted(rows)]


async def hours(each: Installation, days: int, pool: str | None, site: str | None) -> list[HourView]:
    """The peaks of every hour of so many days until now; the last one is not over."""
    first = each.writer.clock.wall_ms() // HOUR_MS - days * DAY + 1
    found = await each.peaks.hours(first, site, pool)
    return [HourView(row.hour * HOUR_MS, row.pool, row.site, row.peak, row.refused) for row in found]


def _view(state: State, key: tuple[str, str], rows: Sequence[Peak], today: int, margin: int) -> UsageView:
    pool, site = key
    usable = usable_of(state, pool)
    highest = max(rows, key=lambda row: row.peak)
    by_day = _days(rows)
    size = right_size(highest.peak, usable, margin)
    whole = {day.day_ms // DAY_MS: day.peak for day in by_day if day.day_ms // DAY_MS < today}
    found = trend(whole, usable, today) if site == ALL else None
    return UsageView(
        pool=pool,
        pbx=site,
        usable=usable,
        peak=highest.peak,
        peak_ms=highest.hour * HOUR_MS,
        refused=sum(row.refused for row in rows),
        hours=_hours_of_the_day(rows),
        days=tuple(by_day),
        trend=_told(found) if found else "",
        per_week=found.per_week if found else 0,
        full_ms=found.full_day * DAY_MS if found and found.full_day is not None else None,
        needed=size.needed if site == ALL else None,
        missing=size.missing if site == ALL else None,
        over=size.over if site == ALL else None,
    )


def usable_of(state: State, pool: str) -> int:
    """Units of a pool that its place can use."""
    key = PoolKey.parse(pool)
    software = state.master_software if key.place == MASTER else state.software_of(key.place)
    return state.pool(key).usable(software)


def _days(rows: Iterable[Peak]) -> list[DayView]:
    peaks: dict[int, int] = {}
    refused: dict[int, int] = defaultdict(int)
    for row in rows:
        day = row.hour // DAY
        peaks[day] = max(peaks.get(day, 0), row.peak)
        refused[day] += row.refused
    return [DayView(day * DAY_MS, peaks[day], refused[day]) for day in sorted(peaks)]


def _hours_of_the_day(rows: Iterable[Peak]) -> tuple[int, ...]:
    highest = [0] * DAY
    for row in rows:
        highest[row.hour % DAY] = max(highest[row.hour % DAY], row.peak)
    return tuple(highest)


def _told(found: Trend) -> str:
    """The forecast as a sentence, with what it rests on."""
    rests = f"{found.days} days"
    if found.full_day is None:
        return f"{found.why_not} ({rests})"
    return f"{found.per_week / 1_000:+.1f} a week, {found.level} expected now ({rests})"
