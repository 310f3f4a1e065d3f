"""Days as whole numbers, against the calendar of the standard library."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.terms import day

EPOCH = datetime.date(1970, 1, 1).toordinal()
DATES = st.dates()
LEAP_DAYS = st.integers(1, 2_424).map(lambda n: 4 * n).filter(lambda y: y % 100 != 0 or y % 400 == 0)


def number(of: datetime.date) -> int:
    return of.toordinal() - EPOCH


def anniversary(of: datetime.date, years: int) -> datetime.date:
    try:
        return of.replace(year=of.year + years)
    except ValueError:  # 29 February
        return of.replace(year=of.year + years, day=28)


@given(DATES)
def test_a_date_is_a_day_and_a_day_is_that_date(of: datetime.date) -> None:
    found = day.of_date(of.year, of.month, of.day)
    assert found == number(of)
    assert day.date(found) == (of.year, of.month, of.day)
    assert day.shown(found) == of.isoformat()
    assert day.parse(of.isoformat()) == found


@given(st.one_of(DATES, LEAP_DAYS.map(lambda year: datetime.date(year, 2, 29))), st.integers(0, 120))
def test_an_anniversary_is_the_same_date_or_the_last_of_february(of: datetime.date, years: int) -> None:
    if of.year + years > 9_999:
        return
    later = anniversary(of, years)
    assert day.years_after(number(of), years) == number(later)
    assert day.last_of_years(number(of), years) == number(later) - 1


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_an_instant_lies_in_its_day_of_utc(at: datetime.datetime) -> None:
    since = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert day.of_ms(since // datetime.timedelta(milliseconds=1)) == number(at.date())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-3-10",
        "2026-02-29",
        "2026-13-01",
        "2026-00-10",
        "2026-01-00",
        "0000-01-01",
        "2026-01-01 ",
        "२०२६-01-01",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert day.parse(text) is None


def test_the_last_day_that_can_be_written() -> None:
    assert day.shown(day.LAST) == "9999-12-31"


def test_days_among_facts_are_shown_as_dates() -> None:
    facts = {"until_day": 0, "days": 30, "day": 1, "lots": [{"since_day": 59, "count": 2}], "ends_day": None}
    assert day.dated("", facts) == {
        "until_day": "1970-01-01",
        "days": 30,
        "day": "1970-01-02",
        "lots": [{"since_day": "1970-03-01", "count": 2}],
        "ends_day": None,
    }
