"""Many phones that come at once, as after a power cut: each registers with digest from its own socket.

A phone repeats what stays unanswered (RFC 3261, 17.1.2: after 0.5 s, 1 s, 2 s, 4 s, …), answers one
challenge, and is done with its 200. Any other final answer, a refusal too, fails the run.
"""

import hashlib
import heapq
import re
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from tests.acceptance.peers.network import Ground

T1_S, T2_S = 0.5, 4.0
GIVE_UP_S = 32.0
EXPIRES_S = 3_600
BURST = 64  # datagrams sent before answers are read again: no phone waits for the others to have sent
_ASKED = re.compile(rb'realm="([^"]*)"'), re.compile(rb'nonce="([^"]*)"')


class StormFailedError(Exception):
    """A phone was refused or never answered: the run measures nothing."""


@dataclass(frozen=True, slots=True)
class Storm:
    """From the first REGISTER to the last 200, when half of the phones were done, and what was sent twice."""

    phones: int
    seconds: float
    p50_s: float
    repeated: int


class Phone:
    """One user at one edge: its socket and the request it waits with.

    All that is known before the clock starts is rendered before: real phones are as many computers.
    """

    def __init__(self, user: int, host: str, edge: tuple[str, int], domain: str, ground: Ground) -> None:
        self.user = user
        self.socket = ground.udp(host)
        self.socket.setblocking(False)
        self.socket.connect(edge)
        port = self.socket.getsockname()[1]
        aor = f"sip:{user}@{domain}"
        self._head = (
            f"REGISTER sip:{domain} SIP/2.0\r\n"
            f"Max-Forwards: 70\r\nFrom: <{aor}>;tag={user}\r\nTo: <{aor}>\r\n"
            f"Call-ID: storm-{user}@{host}\r\nContact: <sip:{user}@{host}:{port}>\r\n"
            f"Expires: {EXPIRES_S}\r\nUser-Agent: storm\r\nContent-Length: 0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKst{user}x"
        ).encode()
        self._uri = f"sip:{domain}"
        self._secret = _md5(f"{user}:{domain}:pw{user}"), _md5(f"REGISTER:{self._uri}")
        self._domain = domain
        self._cseq = 0
        self.data = b""
        self.register(b"")

    def register(self, authorization: bytes) -> None:
        """Make the next request."""
        self._cseq += 1
        self._mark = b"\r\nCSeq: %d REGISTER\r\n" % self._cseq
        self.data = b"%s%d%s%s\r\n" % (self._head, self._cseq, self._mark, authorization)

    def heard(self, data: bytes) -> bool | None:
        """Is this the 200 (True), a challenge, for which the next request is ready (False), or neither?"""
        if not data.startswith(b"SIP/2.0 ") or data.startswith(b"SIP/2.0 1") or self._mark not in data:
            return None
        if data.startswith(b"SIP/2.0 200"):
            return True
        if not data.startswith(b"SIP/2.0 401") or self._cseq > 1:
            head = data.partition(b"\r\n\r\n")[0].decode(errors="replace")
            raise StormFailedError(f"{self.user}: {head}")
        self.register(self._authorization(data))
        return False

    def _authorization(self, challenge: bytes) -> bytes:
        """The answer to a digest challenge without qop (RFC 2617, 3.2.2.1)."""
        realm, nonce = (pattern.findall(challenge)[0].decode() for pattern in _ASKED)
        assert realm == self._domain, "the registrar's realm is its domain"
        response = _md5(f"{self._secret[0]}:{nonce}:{self._secret[1]}")
        return (
            f'Authorization: Digest username="{self.user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{self._uri}", response="{response}"\r\n'
        ).encode()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class _Run:
    """One storm while it blows."""

    def __init__(self, phones: Sequence[Phone]) -> None:
        self.answered_s: list[float] = []
        self.sent = 0
        self.waiting = {phone.socket.fileno(): phone for phone in phones}
        self._order = count()
        self._began = time.monotonic()
        self._repeats = [(self._began, next(self._order), T1_S, phone, phone.data) for phone in phones]
        self._poll = select.epoll()
        for number in self.waiting:
            self._poll.register(number, select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()

    def turn(self) -> None:
        """Send what is due, wait for answers, take them."""
        now = time.monotonic()
        if now - self._began > GIVE_UP_S:
            raise StormFailedError(f"{len(self.waiting)} phones were not answered in {GIVE_UP_S} s")
        for _ in range(BURST):
            if not self._repeats or self._repeats[0][0] > now:
                break
            _, _, pause_s, phone, data = heapq.heappop(self._repeats)
            if phone.data is data:  # else it was answered
                self._send(phone, pause_s, now)
        pause_s = self._repeats[0][0] - now if self._repeats else GIVE_UP_S
        for number, _ in self._poll.poll(max(0.0, pause_s)):
            self._hear(number)

    def _send(self, phone: Phone, pause_s: float, now: float) -> None:
        phone.socket.send(phone.data)
        self.sent += 1
        entry = (now + pause_s, next(self._order), min(2 * pause_s, T2_S), phone, phone.data)
        heapq.heappush(self._repeats, entry)

    def _hear(self, number: int) -> None:
        phone, now = self.waiting[number], time.monotonic()
        match phone.heard(phone.socket.recv(65_536)):
            case True:
                self.answered_s.append(now - self._began)
                phone.data = b""
                self._poll.unregister(number)
                del self.waiting[number]
            case False:
                self._send(phone, T1_S, now)
            case None:
                pass


def storm(phones: Sequence[Phone]) -> Storm:
    """Let all of them register at once; returns after the last 200. Closes their sockets."""
    run = _Run(phones)
    try:
        while run.waiting:
            run.turn()
    finally:
        run.close()
        for phone in phones:
            phone.socket.close()
    times, needed = run.answered_s, 2 * len(phones)  # one for the challenge, one with credentials
    return Storm(len(times), round(times[-1], 3), round(times[len(times) // 2], 3), run.sent - needed)
