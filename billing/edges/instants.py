"""Instants at the border: ISO 8601 texts to UTC milliseconds, and those to a customer's local days."""

import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing.core.intake import LocalDay

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MS: Final = datetime.timedelta(milliseconds=1)


def read(text: str) -> int | None:
    """UTC epoch ms of `2026-10-21T10:00:00Z`; None where it is no instant, or says no offset."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else (found - _EPOCH) // _MS


def zone(name: str) -> ZoneInfo | None:
    """A zone such as Europe/Paris; None when the system has none of this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local_days(where: ZoneInfo) -> LocalDay:
    """The calendar day of an instant on the clocks there."""

    def day(instant_ms: int) -> datetime.date:
        return (_EPOCH + datetime.timedelta(milliseconds=instant_ms)).astimezone(where).date()

    return day


def shown(instant_ms: int, where: datetime.tzinfo) -> str:
    """Local time with its offset: `2026-10-25T02:59:30+02:00`."""
    local = (_EPOCH + datetime.timedelta(milliseconds=instant_ms)).astimezone(where)
    return local.isoformat(timespec="seconds")


def utc(instant_ms: int) -> str:
    """`2026-10-25T00:59:30Z`; a part of a second is left out."""
    return shown(instant_ms, datetime.UTC).replace("+00:00", "Z")
