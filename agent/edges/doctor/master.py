"""The licence master: has this PBX joined, and does its master show the pinned key?"""

import socket
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from agent.edges.doctor.finding import Finding
from agent.store import enrolment
from runtime.tls import pinned_context

TIMEOUT_S = 5.0


def checks(directory: Path, name: str) -> Iterator[Finding]:
    """The enrolment in the directory of this PBX, then each of its master's addresses."""
    try:
        enrolled = enrolment.load(directory)
    except enrolment.NotEnrolledError as error:
        yield Finding(name, "enrolment", "failed", str(error))
        return
    place = f"{enrolled.enrolled.installation}, epoch {enrolled.enrolled.epoch}"
    yield Finding(name, "enrolment", "ok", f"joined to {place}")
    for url in enrolled.urls:
        yield _pinned(name, url, enrolled.pins)


def _pinned(name: str, url: str, pins: Iterable[str]) -> Finding:
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 443)
    try:
        with (
            socket.create_connection(address, TIMEOUT_S) as plain,
            pinned_context(tuple(pins)).wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return Finding(name, "master", "ok", f"{url} shows the pinned key")
    except ssl.SSLError as error:
        hint = "If the key changed on purpose, join again with the new pin."
        return Finding(name, "master", "failed", f"{url}: {error}", hint)
    except OSError as error:
        return Finding(name, "master", "failed", f"{url}: {error}", "Check the link, name and port.")
