"""Times as PBXs and administrators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import zones
from telephony.cdr import time_format
from telephony.cdr.times import (
    UTC,
    laid_out,
    read_clock_ms,
    read_date_time,
    read_seconds_ms,
    read_whole_seconds,
)

AT_MS = 1_795_456_442_000  # 2026-11-23 17:54:02 UTC


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-23 17:54:02", 0),
        ("2026-11-23T17:54:02Z", 0),
        ("2026/11/23 17:54:02.5", 500),
        ("2026-11-23 17:54:02.123999", 123),
        ("2026-11-23T18:54:02+01:00", 0),
        ("2026-11-23T12:54:02-0500", 0),
        ("2026-11-23 17:53:61", None),
        ("2026-11-31 17:54:02", None),
        ("1969-12-31 23:59:59", None),
        ("0000-00-00 00:00:00", None),
        ("2026-11-23", None),
        ("٢٠٢٦-11-23 17:54:02", None),
        ("", None),
    ],
)
def test_date_and_time(text: str, ms: int | None) -> None:
    assert read_date_time(text, UTC) == (None if ms is None else (AT_MS + ms,))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3),
        ("3.", 3),
        ("3.0", 3),
        ("3.000000", 3),
        ("3.0000001", 4),
        ("0.504543", 1),
        ("-1", None),
        ("1e3", None),
        ("", None),
        ("3,5", None),
        ("9" * 16, None),
    ],
)
def test_seconds_round_up(text: str, seconds: int | None) -> None:
    """B.r6."""
    assert read_whole_seconds(text) == seconds


@given(st.integers(0, 10**12), st.integers(0, 10**9 - 1))
def test_seconds_round_up_always(whole: int, nanos: int) -> None:
    text = f"{whole}.{nanos:09}"
    assert read_whole_seconds(text) == -(-(whole * 10**9 + nanos) // 10**9)
    assert read_seconds_ms(text) == (whole * 10**9 + nanos) // 10**6


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("00:01:22", 82_000),
        ("1.02:03:04", 93_784_000),
        ("00:00:00.5", 500),
        ("00:60:00", None),
        ("1:22", None),
    ],
)
def test_a_clock_as_duration(text: str, ms: int | None) -> None:
    assert read_clock_ms(text) == ms


def test_a_zone_by_name() -> None:
    paris = zones.named("Europe/Paris")
    assert paris is not None
    day_s, hour_s = 1_792_886_400, 3_600  # 2026-10-25 00:00 UTC, the day on which 03:00 becomes 02:00
    assert paris.instants(day_s + hour_s) == (day_s - hour_s,)
    assert paris.instants(day_s + 2 * hour_s) == (day_s, day_s + hour_s)
    assert paris.instants(day_s + 3 * hour_s) == (day_s + 2 * hour_s,)
    spring_s = 1_774_742_400  # 2026-03-29 00:00 UTC: 02:00 becomes 03:00
    assert paris.instants(spring_s + 2 * hour_s + 1_800) == (spring_s + hour_s + 1_800,)


@pytest.mark.parametrize("name", ["", "Europe/Lyon", "../../etc/passwd", "Europe", "\0"])
def test_a_zone_that_is_none(name: str) -> None:
    assert zones.named(name) is None


def test_laid_out() -> None:
    hour = 3_600_000
    assert laid_out((0, hour), (), (hour + 60_000,), 60_000) == (hour, None, hour + 60_000)
    assert laid_out((0, hour), (), (hour + 60_000,), None) == (hour, None, hour + 60_000)
    assert laid_out((hour,), (0, hour), (60_000, hour + 60_000), None) == (hour, hour, hour + 60_000)
    assert laid_out((0, hour), (), (hour + 60_000,), hour + 60_000) == (0, None, hour + 60_000)
    assert laid_out((10,), (5,), (20,), None) == (10, 5, 20), "a fault is left for whoever checks"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d/%m/%Y %H:%M:%S", "23/11/2026 17:54:02"),
        ("%d.%m.%y %H:%M:%S", "23.11.26 17:54:02"),
        ("%m/%d/%Y %I:%M:%S %p", "11/23/2026 5:54:02 PM"),
        ("%Y%m%d-%H%M%S", "20261123-175402"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2026-11-23T18:54:02.000+01:00"),
        ("100%% %Y-%m-%d %H:%M:%S", "100% 2026-11-23 17:54:02"),
        ("iso", "2026-11-23T17:54:02Z"),
        ("epoch_s", "1795456442"),
        ("epoch_ms", "1795456442000"),
    ],
)
def test_a_format(form: str, text: str) -> None:
    read = time_format.parse(form)
    assert isinstance(read, time_format.TimeFormat)
    assert read.read(text, UTC) == (AT_MS,)
    for broken in (text[:-1] + "x", "", text + "0" * 20):
        assert read.read(broken, UTC) is None


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%d/%m/%Y", "expected year, month, day, hour and minute"),
        ("%d/%m/%Y %I:%M", "expected %H, or %I with %p"),
        ("%Y-%Y-%m-%d %H:%M", "%Y stands there twice"),
        ("%Q", "%Q is not known; use %Y %y %m"),
        ("yesterday", "expected year"),
        ("100%", "% is not known"),
    ],
)
def test_a_format_that_is_none(form: str, said: str) -> None:
    read = time_format.parse(form)
    assert isinstance(read, str)
    assert read.startswith(said)
    assert "%" in read


def test_noon_and_midnight() -> None:
    read = time_format.parse("%Y-%m-%d %I:%M %p")
    assert isinstance(read, time_format.TimeFormat)
    hours = [
        read.read(f"1970-01-01 {text}", UTC)
        for text in ("12:00 AM", "1:00 am", "12:00 PM", "11:00 pm", "13:00 PM")
    ]
    assert hours == [(0,), (3_600_000,), (43_200_000,), (82_800_000,), None]
