"""Thousands of phones at many addresses that register with digest, then refresh at a steady pace.

A phone repeats what stays unanswered (RFC 3261 17.1.2: after 0.5 s, 1 s, 2 s, then each 4 s) for 32 s, and
answers a challenge once; the nonce serves its refreshes too. Each answer is timed from the first sending.
"""

import heapq
import re
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from demo.sip import digest_fields, digest_response
from tests.acceptance.peers.network import Network

T1_S, T2_S, GIVE_UP_S = 0.5, 4.0, 32.0
EXPIRES_S = 3_600

_NUMBERS = re.compile(rb"\r\nCall-ID: crowd-(\d+)@.*?\r\nCSeq: (\d+) REGISTER\r\n", re.DOTALL)
_CHALLENGE = re.compile(rb"\r\nWWW-Authenticate: ([^\r]*)\r\n")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one REGISTER of each phone: how many got their 200, and how."""

    phones: int
    answered: int
    repeated: int  # had to send again, or were never answered
    p50_ms: float
    p99_ms: float
    per_s: float

    @property
    def loss(self) -> float:
        """The part that got no 200 in spite of repeating."""
        return 1 - self.answered / self.phones

    def __str__(self) -> str:
        return (
            f"{self.phones} REGISTERs at {self.per_s:.0f}/s: lost {100 * self.loss:.2f} %, without repeating "
            f"{100 * self.repeated / self.phones:.2f} %; p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"
        )


@dataclass(slots=True)
class Phone:
    """One phone: the request it waits with, since when, and whether it was sent twice."""

    user: int
    socket: socket.socket
    authorization: str = ""
    cseq: int = 0
    data: bytes = b""
    since: float = 0.0
    repeats: int = 0
    challenged: bool = False


class Crowd:
    """Phones of the users from `first` on, spread over these addresses of a network."""

    def __init__(
        self,
        network: Network,
        addresses: Sequence[str],
        first: int,
        count: int,
        domain: str,
        guard: tuple[str, int],
    ) -> None:
        """Open one socket for each address."""
        self._domain = domain
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for address in addresses:
            sock = network.udp(address)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            sock.setblocking(False)
            sock.connect(guard)
            self._sockets[sock.fileno()] = sock
            self._poll.register(sock.fileno(), select.EPOLLIN)
        sockets = list(self._sockets.values())
        self._phones = [Phone(first + n, sockets[n % len(sockets)]) for n in range(count)]
        self._first = first
        self._repeats: list[tuple[float, int, int, float]] = []  # when, phone, its CSeq, the pause after it
        self._latencies: list[float] = []
        self._waiting = 0
        self._unlucky = 0

    def close(self) -> None:
        """End; the sockets are the network's."""
        self._poll.close()

    def register(self, per_s: int, at_once: int) -> Outcome:
        """Every phone sends one REGISTER, so many a second, at most so many unanswered."""
        self._latencies.clear()
        self._unlucky = 0
        began = time.monotonic()
        for begun, phone in enumerate(self._phones):
            while self._waiting >= at_once or begun > (time.monotonic() - began) * per_s:
                self._turn()
            self._begin(phone)
        sent_s = time.monotonic() - began
        while self._waiting:
            self._turn()
        times = sorted(self._latencies) or [0.0]
        p50, p99 = (1_000 * times[len(times) * part // 100] for part in (50, 99))
        count = len(self._phones)
        return Outcome(count, len(self._latencies), self._unlucky, p50, p99, count / sent_s)

    def _begin(self, phone: Phone) -> None:
        phone.since, phone.challenged, phone.repeats = time.monotonic(), False, 0
        self._waiting += 1
        self._ask(phone)

    def _ask(self, phone: Phone) -> None:
        """Send the next request of a phone."""
        phone.cseq += 1
        host, port = phone.socket.getsockname()
        user, aor = phone.user, f"sip:{phone.user}@{self._domain}"
        phone.data = (
            f"REGISTER sip:{self._domain} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKcr{user}x{phone.cseq}\r\n"
            f"Max-Forwards: 70\r\nFrom: <{aor}>;tag={user}\r\nTo: <{aor}>\r\n"
            f"Call-ID: crowd-{user}@{host}\r\nCSeq: {phone.cseq} REGISTER\r\n"
            f"Contact: <sip:{user}@{host}:{port}>\r\nExpires: {EXPIRES_S}\r\n"
            f"{phone.authorization}User-Agent: crowd\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        self._send(phone, T1_S)

    def _send(self, phone: Phone, pause_s: float) -> None:
        phone.socket.send(phone.data)
        entry = (time.monotonic() + pause_s, phone.user, phone.cseq, min(2 * pause_s, T2_S))
        heapq.heappush(self._repeats, entry)

    def _turn(self) -> None:
        """Take the answers that are there, then repeat what is due."""
        for number, _ in self._poll.poll(0.001):
            for answer in self._answers(self._sockets[number]):
                self._hear(answer)
        now = time.monotonic()
        while self._repeats and self._repeats[0][0] <= now:
            _, user, cseq, pause_s = heapq.heappop(self._repeats)
            phone = self._phones[user - self._first]
            if phone.data and phone.cseq == cseq:
                self._repeat(phone, pause_s, now)

    def _repeat(self, phone: Phone, pause_s: float, now: float) -> None:
        self._unlucky += not phone.repeats
        phone.repeats += 1
        if now - phone.since > GIVE_UP_S:
            self._end(phone)
        else:
            self._send(phone, pause_s)

    @staticmethod
    def _answers(sock: socket.socket) -> Iterator[bytes]:
        try:
            while True:
                yield sock.recv(65_536)
        except (BlockingIOError, ConnectionRefusedError):
            return

    def _hear(self, answer: bytes) -> None:
        found = _NUMBERS.search(answer)
        if found is None:
            return
        phone = self._phones[int(found[1]) - self._first]
        if int(found[2]) != phone.cseq or not phone.data:
            return
        if answer.startswith(b"SIP/2.0 200 "):
            self._latencies.append(time.monotonic() - phone.since)
            self._end(phone)
        elif answer.startswith(b"SIP/2.0 401 ") and not phone.challenged:
            phone.challenged = True
            phone.authorization = self._credentials(phone.user, answer)
            self._ask(phone)
        elif not answer.startswith(b"SIP/2.0 1"):
            self._end(phone)  # refused: lost

    def _end(self, phone: Phone) -> None:
        phone.data = b""
        self._waiting -= 1

    def _credentials(self, user: int, answer: bytes) -> str:
        challenge = _CHALLENGE.search(answer)
        assert challenge is not None, answer
        asked = digest_fields(challenge[1].decode())
        fields = {"username": str(user), "realm": asked["realm"], "nonce": asked["nonce"]}
        fields["uri"] = f"sip:{self._domain}"
        fields["response"] = digest_response(fields, "REGISTER", f"pw{user}")
        words = ", ".join(f'{key}="{text}"' for key, text in fields.items())
        return f"Authorization: Digest {words}\r\n"
