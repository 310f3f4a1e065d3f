"""What becomes of a record that arrives: kept once, counted as known already, or put aside for a person.

Source: B.r30.
"""

from enum import StrEnum
from typing import Final

TOO_OLD_DAYS: Final = 365
FUTURE_HOURS: Final = 24
_HOUR_MS: Final = 3_600_000


class Verdict(StrEnum):
    """The first two are as it should be; the others go into quarantine."""

    KEPT = "kept"
    DUPLICATE = "duplicate"
    """Same key, same content: counted, nothing stored."""
    CONFLICT = "conflict"
    """Same key, other content: the first stays."""
    TOO_OLD = "too_old"
    """It ended more than 365 days ago."""
    FUTURE = "future"
    """It ends more than 24 hours from now."""
    UNREADABLE = "unreadable"
    """Bytes that no parser could read."""


def judge(content_hash: bytes, end_ms: int, kept_hash: bytes | None, now_ms: int) -> Verdict:
    """The verdict on a record; `kept_hash` is that of the record kept under its key, None: there is none."""
    if kept_hash is not None:
        return Verdict.DUPLICATE if kept_hash == content_hash else Verdict.CONFLICT
    if end_ms < now_ms - TOO_OLD_DAYS * 24 * _HOUR_MS:
        return Verdict.TOO_OLD
    if end_ms > now_ms + FUTURE_HOURS * _HOUR_MS:
        return Verdict.FUTURE
    return Verdict.KEPT
