"""Keep-alives from here: a CRLF now and then to each phone behind a NAT, so that calls still find its way in.

A NAT forgets a way that nobody uses (Linux: 30 s after one exchange), and many phones say nothing between two
REGISTERs. Each flow has its own moment in the interval, found from its address: they never go all at once.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from zlib import crc32

from telephony.address import Flow, read_aor
from telephony.binding import Bindings, Registration
from telephony.settings import Settings

BEAT_MS: Final = 200


class KeepAlives:
    """The UDP flows of `bindings` that are behind a NAT, each due once in `settings.nat_keep_alive_s`."""

    def __init__(self, settings: Settings, bindings: Bindings) -> None:
        self._bindings = bindings
        self._datagrams = [not listener.reliable for listener in settings.listeners]
        # Of each beat of the interval: the flows that are due at it, with the AORs bound through them.
        self._beats: list[dict[Flow, set[str]]] = [
            {} for _ in range(1_000 * settings.nat_keep_alive_s // BEAT_MS)
        ]
        self._flows = 0
        self._done = 0  # the last beat that is over

    def note(self, registration: Registration, now_ms: int) -> None:
        """These bindings are new; what has gone is found out when it is due."""
        if not self._beats:
            return
        if not self._flows:
            self._done = now_ms // BEAT_MS
        for binding in registration.bindings:
            flow = binding.flow
            if self._is_udp(flow) and is_behind_nat(binding.contact, flow):
                beat = self._beats[_moment(flow) % len(self._beats)]
                self._flows += flow not in beat
                beat.setdefault(flow, set()).add(registration.aor)

    def due(self, now_ms: int) -> list[Flow]:
        """The flows whose moment has come since the last call, each once."""
        now = now_ms // BEAT_MS
        first = max(self._done + 1, now - len(self._beats) + 1)
        self._done = now
        return [flow for beat in range(first, now + 1) for flow in self._live(beat)] if self._flows else []

    def next_timer(self) -> int | None:
        """When the next flow is due, in monotonic ms."""
        if not self._flows:
            return None
        count = len(self._beats)
        beats = range(self._done + 1, self._done + 1 + count)
        return BEAT_MS * next(beat for beat in beats if self._beats[beat % count])

    def _live(self, number: int) -> Iterator[Flow]:
        """The flows of this beat that still carry a binding; the others are forgotten."""
        beat = self._beats[number % len(self._beats)]
        for flow, aors in list(beat.items()):
            aors = {aor for aor in aors if self._is_bound(aor, flow)}
            if aors:
                beat[flow] = aors
                yield flow
            else:
                del beat[flow]
                self._flows -= 1

    def _is_udp(self, flow: Flow) -> bool:
        """Whether only traffic keeps this way open; its listener may be gone since it was stored."""
        return flow.listener < len(self._datagrams) and self._datagrams[flow.listener]

    def _is_bound(self, aor: str, flow: Flow) -> bool:
        registration = self._bindings.get(aor)
        return registration is not None and any(binding.flow == flow for binding in registration.bindings)


def is_behind_nat(contact: str, flow: Flow) -> bool:
    """Whether a phone calls itself by another host than the one its messages come from."""
    named = read_aor(contact.encode())
    if named is None:
        return True
    return named.host != flow.host and _address(named.host) != _address(flow.host)


def _address(host: str) -> IPv4Address | IPv6Address | str:
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host


def _moment(flow: Flow) -> int:
    return crc32(f"{flow.listener} {flow.host} {flow.port}".encode())
