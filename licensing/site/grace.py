"""How long the master has been away, counted so that no clock can make it look shorter.

Monotonic time counts while the agent runs; the highest wall time ever seen adds what passed while it did
not. Wall time may only shorten the grace period (protocol "When the master is away"; reliability section 2).
"""

import msgspec


class Grace(msgspec.Struct, frozen=True):
    """When the master last answered (wall ms), the latest wall time seen since, and the time counted away.

    `mark_ms` is the monotonic time up to which `away_ms` counts; it means nothing in another process.
    """

    heard_at_ms: int
    latest_at_ms: int
    away_ms: int = 0
    mark_ms: int = 0


def heard(now_ms: int, at_ms: int) -> Grace:
    """The master has answered now: monotonic and wall ms."""
    return Grace(heard_at_ms=at_ms, latest_at_ms=at_ms, mark_ms=now_ms)


def resumed(grace: Grace, now_ms: int) -> Grace:
    """The same count in a new process, whose monotonic clock stands at `now_ms`."""
    return msgspec.structs.replace(grace, mark_ms=now_ms)


def counted(grace: Grace, now_ms: int, at_ms: int) -> Grace:
    """The count brought up to now; store it from time to time, or a restart forgets what it counted."""
    return Grace(
        heard_at_ms=grace.heard_at_ms,
        latest_at_ms=max(grace.latest_at_ms, at_ms),
        away_ms=grace.away_ms + max(0, now_ms - grace.mark_ms),
        mark_ms=now_ms,
    )


def away_ms(grace: Grace, now_ms: int, at_ms: int) -> int:
    """Milliseconds since the last answer: what either clock says, whichever is more."""
    current = counted(grace, now_ms, at_ms)
    return max(current.away_ms, current.latest_at_ms - current.heard_at_ms)
