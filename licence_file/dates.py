"""Dates as people write them, instants as files keep them: UTC, a day from its first to its last moment."""

import datetime

from licensing.codes import Code, Refusal

DAY_MS = 86_400_000


def first_moment(date: str) -> int | Refusal:
    """The instant at which this day (`2027-01-31`, UTC) begins, in epoch milliseconds."""
    try:
        day = datetime.date.fromisoformat(date)
    except ValueError:
        return Refusal(Code.INVALID_REQUEST, f'"{date}" is no date; write it like 2027-01-31')
    noon = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
    return int(noon.timestamp()) * 1_000


def after_last_moment(date: str) -> int | Refusal:
    """The instant at which this day is over."""
    begin = first_moment(date)
    return begin if isinstance(begin, Refusal) else begin + DAY_MS


def written(instant_ms: int) -> str:
    """An instant for people: UTC, to the second."""
    try:
        moment = datetime.datetime.fromtimestamp(instant_ms / 1_000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{instant_ms} ms"
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
