"""The licence master: has this PBX joined, can it use its key, and does its master show the pinned key?"""

import socket
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from agent.edges import belongings
from agent.edges.doctor import hour
from agent.edges.doctor.finding import Finding
from agent.store.enrolment import NotEnrolledError
from runtime.tls import pinned_context

TIMEOUT_S = 5.0


def checks(directory: Path, name: str) -> Iterator[Finding]:
    """The enrolment in the directory of this PBX, each of its master's addresses, and the master's clock."""
    try:
        enrolled = belongings.enrolled(directory)
    except belongings.OutOfReachError as error:
        yield Finding(name, "enrolment", "unknown", str(error))
        return
    except NotEnrolledError as error:
        yield Finding(name, "enrolment", "failed", str(error))
        return
    yield _enrolment(directory, name, f"{enrolled.enrolled.installation}, epoch {enrolled.enrolled.epoch}")
    ahead: int | None = None
    for url in enrolled.urls:  # paths to one master
        finding, told = _pinned(name, url, enrolled.pins)
        ahead = told if ahead is None else ahead
        yield finding
    yield from hour.checks(name, ahead)


def _enrolment(directory: Path, name: str, place: str) -> Finding:
    """An agent that runs has read its key long ago; the next start needs it again."""
    try:
        belongings.examine(directory)
    except belongings.OutOfReachError as error:
        return Finding(name, "enrolment", "unknown", str(error))
    except belongings.UnusableError as error:
        return Finding(name, "enrolment", "failed", str(error), "The agent cannot start again before that.")
    return Finding(name, "enrolment", "ok", f"joined to {place}")


def _pinned(name: str, url: str, pins: Iterable[str]) -> tuple[Finding, int | None]:
    """With it, by how many seconds our clock is ahead of the master's."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 443)
    try:
        with (
            socket.create_connection(address, TIMEOUT_S) as plain,
            pinned_context(tuple(pins)).wrap_socket(plain, server_hostname=parts.hostname) as secured,
        ):
            ahead = hour.ahead_s(secured, parts.netloc)
            return Finding(name, "master", "ok", f"{url} shows the pinned key"), ahead
    except ssl.SSLError as error:
        hint = "If the key changed on purpose, join again with the new pin."
        return Finding(name, "master", "failed", f"{url}: {error}", hint), None
    except OSError as error:
        return Finding(name, "master", "failed", f"{url}: {error}", "Check the link, name and port."), None
