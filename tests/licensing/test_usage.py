"""Peaks, trend and prices, each beside a slow and obvious second way."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from licensing.usage.peaks import ALL, HOUR_MS, Fold, Peak, Standing, Told, corrected
from licensing.usage.sizing import cheapest, right_size
from licensing.usage.trend import trend

POOLS = {"seat": ("port",), "virtual_seat": ("port", "ipva")}
EVENTS = ["held", "held", "released", "lingering", "surplus", "refused", "reported"]
AGENTS = ["hq", "lyon"]


def pools_of(_agent: str, class_: str) -> tuple[str, ...]:
    return POOLS[class_]


told = st.builds(
    Told,
    at_ms=st.integers(0, 5 * HOUR_MS),
    agent=st.sampled_from(AGENTS),
    object=st.sampled_from(["201", "202", "203"]),
    class_=st.sampled_from(list(POOLS)),
    event=st.sampled_from(EVENTS),
)


def brute_force(rows: Sequence[Told], first: int, end: int) -> list[Peak]:
    """Who holds what is written down after every row, and looked at for every hour."""
    rows = sorted(rows, key=lambda row: row.at_ms)
    moments: list[tuple[int, set[tuple[str, str, str]]]] = [(-1, set())]
    for row in rows:
        held, who = set(moments[-1][1]), (row.agent, row.class_, row.object)
        if row.event == "held":
            held.add(who)
        elif row.event in ("released", "lingering", "surplus"):
            held.discard(who)
        moments.append((row.at_ms, held))
    found = []
    for hour in range(first, end):
        begin = [held for at, held in moments if at < hour * HOUR_MS][-1]
        seen = [begin, *(held for at, held in moments if at // HOUR_MS == hour and at >= 0)]
        within = [
            row for row in rows if row.at_ms // HOUR_MS == hour and row.event in ("refused", "reported")
        ]
        for site in (ALL, *AGENTS):
            for pool in ("ipva", "port"):
                peak = max(sum(site in (ALL, a) and pool in POOLS[c] for a, c, _ in held) for held in seen)
                refused = sum(site in (ALL, row.agent) and pool in POOLS[row.class_] for row in within)
                found += [Peak(hour, site, pool, peak, refused)] if peak or refused else []
    return found


@given(st.lists(told, max_size=40), st.integers(0, 5))
def test_peaks_are_those_of_brute_force_also_from_a_standing_on(rows: list[Told], cut: int) -> None:
    rows.sort(key=lambda row: row.at_ms)
    expected = brute_force(rows, 0, 6)
    first = Fold(Standing(0), pools_of)
    peaks = list(first.add(row for row in rows if row.at_ms < cut * HOUR_MS))
    peaks += first.close_until(cut)
    rest = Fold(first.standing(), pools_of)
    peaks += rest.add(row for row in rows if row.at_ms >= cut * HOUR_MS)
    peaks += rest.close_until(5)
    peaks += rest.open_hour()
    assert sorted(peaks) == sorted(expected)


@given(st.lists(told, max_size=30), st.sets(st.integers(0, 29), max_size=3))
def test_lost_events_are_set_right_by_what_is_held_now(rows: list[Told], lost: set[int]) -> None:
    """Of objects that told nothing since, at once; of the others by their own next word."""
    rows.sort(key=lambda row: row.at_ms)
    now = Fold(Standing(0), pools_of)
    list(now.add(rows))
    thought = Fold(Standing(0), pools_of)
    list(thought.add(row for number, row in enumerate(rows) if number not in lost))
    repaired = corrected(thought.standing(), [], now.held)
    assert repaired.held == {key: names for key, names in now.held.items() if names}
    kept = Standing(0, {("hq", "seat"): frozenset({"201", "202"})})
    since = [Told(0, "hq", "201", "seat", "released")]
    assert corrected(kept, since, {}).held == {("hq", "seat"): frozenset({"201"})}


def days(values: Sequence[int], first: int = 20_000) -> dict[int, int]:
    return dict(enumerate(values, start=first))


def test_a_steady_rise_fills_the_pool_on_the_right_day() -> None:
    rising = days([100 + day for day in range(56)])
    found = trend(rising, 200, 20_056)
    assert (found.per_week, found.level, found.why_not) == (7_000, 156, "")
    assert found.full_day == 20_056 + 45, "101 on, 201 is more than there is"


def test_the_week_and_single_days_do_not_bend_the_line() -> None:
    week = [100, 100, 100, 100, 100, 20, 20]
    rising = days([week[day % 7] + day for day in range(70)])
    rising[20_030] = 900
    rising[20_031] = 0
    found = trend(rising, 300, 20_070)
    assert found.per_week == 7_000
    assert found.level == 170, "the busiest weekday, today"


def test_noise_is_no_trend() -> None:
    noise = days([100 + day * 7_919 % 11 for day in range(60)])
    found = trend(noise, 200, 20_060)
    assert (found.full_day, found.why_not, found.per_week) == (None, "no trend", 0)
    assert trend(days([5] * 14), 200, 20_014).why_not == "less than three weeks of data"
    assert trend(days([300 - day for day in range(60)]), 400, 20_060).why_not == "it falls"
    assert (
        trend(days([100 + day // 7 for day in range(60)]), 10**6, 20_060).why_not == "not within five years"
    )
    assert trend(days([100] * 60), 99, 20_060).full_day == 20_060, "it is full already"
    assert trend({}, 5, 0).full_day is None


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 40))
def test_the_cheapest_purchase_is_that_of_trying_all(base: int, cheap: int, cheaper: int, there: int) -> None:
    prices = {0: ("base", base), 10: ("ten", cheap), 25: ("more", cheaper)}

    @cache
    def least(missing: int, a: int, b: int, c: int) -> int:
        if not missing:
            return 0
        ways = [base + least(missing - 1, a + 1, b, c)]
        if a >= 10:
            ways.append(cheap + least(missing - 1, a, b + 1, c))
        if a + b >= 25:
            ways.append(cheaper + least(missing - 1, a, b, c + 1))
        return min(ways)

    bought = cheapest(30, {0: there}, prices)
    assert bought is not None
    assert sum(each.count for each in bought) == 30
    cost = sum(each.count * each.price for each in bought)
    if base >= cheap >= cheaper:  # else units of a tier would be bought to open the next: nobody's price list
        assert cost == least(30, there, 0, 0)
    assert allowed(bought, {0: there})


def allowed(bought: Sequence[object], installed: Mapping[int, int]) -> bool:
    """L.r19 after every single unit."""
    tiers, have = {"base": 0, "ten": 10, "more": 25}, Counter(installed)
    for each in bought:
        tier = tiers[each.type]  # type: ignore[attr-defined]
        for _ in range(each.count):  # type: ignore[attr-defined]
            if sum(count for lower, count in have.items() if lower < tier) < tier:
                return False
            have[tier] += 1
    return True


def test_sizes() -> None:
    assert cheapest(5, {}, {500: ("PBX-Port13%500", 1)}) is None, "nothing to stand on"
    assert (right_size(91, 100, 10).missing, right_size(91, 100, 10).needed) == (1, 101)
    assert right_size(10, 100, 10).over == 89
    assert all(a.needed <= b.needed for a, b in pairwise(right_size(n, 0, 10) for n in range(30)))
