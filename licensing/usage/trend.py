"""When a pool will be full, from its daily peaks: a line that no single day and no weekly rhythm bends.

Slope: the median of the slopes between every two days of the same weekday (Theil and Sen, in the seasonal
form of Hirsch and Slack). Whether it is one: the seasonal test of Mann and Kendall at 95 %. Whole numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

WEEK = 7
WEEKS_NEEDED = 3
FARTHEST = 5 * 365  # days; further ahead nobody should believe a line
_Z2_NUMERATOR, _Z2_DENOMINATOR = 38_416, 10_000  # 1.96 squared


@dataclass(frozen=True, slots=True)
class Trend:
    """What the daily peaks say; days count since 1970.

    `days` had a peak; `per_week` is the slope in thousandths of a unit a week, `level` the peak to expect
    today on the busiest weekday. `full_day` is None where no day within five years is known; then `why_not`.
    """

    days: int
    per_week: int
    level: int
    full_day: int | None
    why_not: str


def trend(peaks: Mapping[int, int], usable: int, today: int) -> Trend:
    """The trend of peaks by day, and the first day at which the expected peak is above `usable`."""
    seasons = [sorted(day for day in peaks if day % WEEK == weekday) for weekday in range(WEEK)]
    long_enough = [days for days in seasons if len(days) >= WEEKS_NEEDED]
    if not long_enough:
        return Trend(len(peaks), 0, max(peaks.values(), default=0), None, "less than three weeks of data")
    slope = _median(sorted(_slopes(peaks, long_enough)))
    significant = _rises(peaks, long_enough)
    if not significant:
        slope = 0
    level = max(_expected(peaks, days, slope, today) for days in long_enough)
    why_not = "" if significant and slope > 0 else "no trend" if not significant or not slope else "it falls"
    if level > usable:
        return Trend(len(peaks), slope, level, today, "")
    if why_not:
        return Trend(len(peaks), slope, level, None, why_not)
    left = -(-(usable + 1 - level) * 1_000 * WEEK // slope)  # days, rounded up
    if left > FARTHEST:
        return Trend(len(peaks), slope, level, None, "not within five years")
    return Trend(len(peaks), slope, level, today + left, "")


def _slopes(peaks: Mapping[int, int], seasons: Sequence[Sequence[int]]) -> Iterator[int]:
    for days in seasons:
        for number, later in enumerate(days):
            for earlier in days[:number]:
                yield (peaks[later] - peaks[earlier]) * 1_000 * WEEK // (later - earlier)


def _rises(peaks: Mapping[int, int], seasons: Sequence[Sequence[int]]) -> bool:
    """Whether rises and falls between days of the same weekday differ by more than chance (either way)."""
    score = variance18 = 0
    for days in seasons:
        count = len(days)
        variance18 += count * (count - 1) * (2 * count + 5)
        for number, later in enumerate(days):
            score += sum(
                (peaks[later] > peaks[earlier]) - (peaks[later] < peaks[earlier]) for earlier in days[:number]
            )
    beyond = max(0, abs(score) - 1)
    return beyond * beyond * 18 * _Z2_DENOMINATOR > _Z2_NUMERATOR * variance18


def _expected(peaks: Mapping[int, int], days: Sequence[int], slope: int, today: int) -> int:
    """The peak to expect today if it were this weekday, rounded up."""
    moved = sorted(peaks[day] * 1_000 * WEEK + slope * (today - day) for day in days)
    return max(0, -(-_median(moved) // (1_000 * WEEK)))


def _median(values: Sequence[int]) -> int:
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) // 2
