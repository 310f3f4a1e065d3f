"""What time it is at the master: the Date of its HTTP answers (RFC 9110, 6.6.1), by the pinned connection."""

import http.client
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from agent.edges.doctor.finding import Finding, State

TOLERATED_S = 60
SERIOUS_S = 86_400


def ahead_s(secured: ssl.SSLSocket, host: str) -> int | None:
    """By how much our clock is ahead of the master's; None when it tells no time."""
    try:
        secured.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        response = http.client.HTTPResponse(secured)
        response.begin()
        return int(time.time() - parsedate_to_datetime(response.headers.get("Date", "")).timestamp())
    except (OSError, http.client.HTTPException, ValueError):
        return None


def checks(name: str, ahead: int | None) -> Iterator[Finding]:
    """Does our clock agree with the master's? Nothing is said where nobody could compare."""
    if ahead is None:
        return
    off = abs(ahead)
    if off <= TOLERATED_S:
        yield Finding(name, "clock", "ok", f"agrees with the master's within {TOLERATED_S} s")
        return
    state: State = "failed" if off > SERIOUS_S else "warning"
    days, hours, minutes = off // 86_400, off // 3_600 % 24, off // 60 % 60
    text = f"{days} d {hours} h {minutes} min {'ahead of' if ahead > 0 else 'behind'} the master's"
    yield Finding(name, "clock", state, text, "Set the wrong one of the two (chrony, systemd-timesyncd).")
