"""REGISTER load for a proxy: refreshes of many phones from one socket, with a window of unanswered requests.

Every byte that does not change is rendered before the clock starts. A request is recognised in its answer
by its branch, so each of them has its own latency. There is no retransmission: on loopback nothing is lost
unless something is wrong, and then the run fails.
"""

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.acceptance.peers.network import Ground, Loopback

BRANCH = b"z9hG4bKld"
DIGITS = 10
LOST_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: answered REGISTERs, its length, and the latency of the median and of the slowest 1 %."""

    registers: int
    seconds: float
    p50_us: float
    p99_us: float

    @property
    def per_second(self) -> float:
        """Return answered REGISTERs per second."""
        return self.registers / self.seconds


class LoadFailedError(Exception):
    """An answer was missing or not a 200: the run measures nothing."""


class Registers:
    """The REGISTERs of `phones` phones at `host` (IP, port), users from `first` on, in turn and for ever."""

    def __init__(
        self, host: tuple[str, int], registrar: tuple[str, int], *, phones: int, first: int = 1000
    ) -> None:
        """Render all that does not change."""
        self.number = 0
        name, port = host[0].encode(), host[1]
        self._via = b"Via: SIP/2.0/UDP %s:%d;rport;branch=" % (name, port) + BRANCH
        place = b"%s:%d" % (registrar[0].encode(), registrar[1])
        self._first_line = b"REGISTER sip:%s SIP/2.0\r\n" % place
        self._phones = [
            b"\r\nMax-Forwards: 70\r\nFrom: <sip:%d@%s>;tag=%d\r\nTo: <sip:%d@%s>\r\n"
            b"Call-ID: load-%d@%s\r\nContact: <sip:%d@%s:%d>\r\nExpires: 3600\r\n"
            b"User-Agent: load\r\nContent-Length: 0\r\nCSeq: "
            % (user, place, user, user, place, user, name, user, name, port)
            for user in range(first, first + phones)
        ]

    def next(self) -> tuple[int, bytes]:
        """The number of the next REGISTER, which stands in its branch, and its bytes; CSeq rises."""
        number, phones = self.number, self._phones
        self.number += 1
        head = self._first_line + self._via + b"%0*d" % (DIGITS, number)
        return number, head + phones[number % len(phones)] + b"%d REGISTER\r\n\r\n" % (number + 1)


class Load:
    """`phones` phones of the users from `first` on, which register at `registrar` through `target`."""

    def __init__(
        self,
        target: tuple[str, int],
        registrar: tuple[str, int],
        *,
        phones: int = 1000,
        first: int = 1000,
        window: int = 64,
        ground: Ground | None = None,
    ) -> None:
        """Open the socket, beside the target on its ground (else loopback)."""
        assert window <= phones, "one request per phone at a time: the registrar wants rising CSeq"
        self._window = window
        self._socket = (ground or Loopback()).udp(target[0])
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.setblocking(False)
        self._socket.connect(target)
        self._registers = Registers(self._socket.getsockname()[:2], registrar, phones=phones, first=first)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def answers(self) -> bool:
        """Send one REGISTER and return whether a 200 comes back soon: is the way ready?"""
        try:
            self._socket.send(self._registers.next()[1])
            return any(answer.startswith(b"SIP/2.0 200") for answer in self._answers(0.1))
        except ConnectionRefusedError:
            return False

    def run(self, count: int, rate: int | None = None) -> Measured:
        """Send `count` REGISTERs, never more than the window unanswered, and return what was measured.

        Without `rate` they follow each other as fast as answers come; with it, `rate` begin each second.
        """
        first = self._registers.number
        sent_ns: list[int] = []
        latency_ns: list[int] = []
        began = heard = time.perf_counter_ns()
        while len(latency_ns) < count:
            allowed = min(count, len(latency_ns) + self._window)
            if rate is not None:
                allowed = min(allowed, 1 + (time.perf_counter_ns() - began) * rate // 1_000_000_000)
            while len(sent_ns) < allowed:
                sent_ns.append(time.perf_counter_ns())
                self._socket.send(self._registers.next()[1])
            for answer in self._answers(0.001 if rate else LOST_AFTER_S):
                number = self._number_of(answer) - first
                heard = time.perf_counter_ns()
                if number >= 0:  # else a late answer to `answers`
                    latency_ns.append(heard - sent_ns[number])
            if time.perf_counter_ns() - heard > LOST_AFTER_S * 1e9:
                raise LoadFailedError(f"no answer for {LOST_AFTER_S} s")
        seconds = (time.perf_counter_ns() - began) / 1e9
        latency_ns.sort()
        p50, p99 = latency_ns[count // 2], latency_ns[count * 99 // 100]
        return Measured(count, seconds, p50 / 1000, p99 / 1000)

    def _answers(self, within_s: float) -> Iterator[bytes]:
        """Yield the answers that are there, waiting for the first of them."""
        if select.select([self._socket], [], [], within_s)[0]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    yield self._socket.recv(65536)

    def _number_of(self, answer: bytes) -> int:
        """Return the number of the request that this 200 answers."""
        if not answer.startswith(b"SIP/2.0 200"):
            raise LoadFailedError(answer.split(b"\r\n", 1)[0].decode(errors="replace"))
        at = answer.index(BRANCH) + len(BRANCH)
        return int(answer[at : at + DIGITS])
