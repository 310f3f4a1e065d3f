"""Many phones that come at once, as after a power cut: each registers with digest from its own socket.

A phone repeats what stays unanswered (RFC 3261, 17.1.2: after 0.5 s, 1 s, 2 s, 4 s, …), answers one
challenge, and is done with its 200. Any other final answer, a refusal too, fails the run.
"""

import heapq
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from demo.sip import Message, digest_fields, digest_response
from tests.acceptance.peers.network import Ground

T1_S, T2_S = 0.5, 4.0
GIVE_UP_S = 32.0
EXPIRES_S = 3_600


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
    """One user at one edge: its socket and the request it waits with."""

    def __init__(self, user: int, host: str, edge: tuple[str, int], domain: str, ground: Ground) -> None:
        self.user = user
        self.data = b""
        self.socket = ground.udp(host)
        self.socket.setblocking(False)
        self.socket.connect(edge)
        self._domain = domain
        self._cseq = 0
        self.register("")

    def register(self, authorization: str) -> None:
        """Make the next request."""
        self._cseq += 1
        host, port = self.socket.getsockname()
        aor = f"sip:{self.user}@{self._domain}"
        self.data = (
            f"REGISTER sip:{self._domain} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKst{self.user}x{self._cseq}\r\n"
            f"Max-Forwards: 70\r\nFrom: <{aor}>;tag={self.user}\r\nTo: <{aor}>\r\n"
            f"Call-ID: storm-{self.user}@{host}\r\nCSeq: {self._cseq} REGISTER\r\n"
            f"Contact: <sip:{self.user}@{host}:{port}>\r\nExpires: {EXPIRES_S}\r\n"
            f"{authorization}User-Agent: storm\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def heard(self, data: bytes) -> bool | None:
        """Is this the 200 (True), a challenge, for which the next request is ready (False), or neither?"""
        answer = Message.parse(data)
        if answer is None or answer.get("CSeq") != f"{self._cseq} REGISTER" or answer.status < 200:
            return None
        if answer.status == 200:
            return True
        if answer.status != 401 or self._cseq > 1:
            raise StormFailedError(f"{self.user}: {answer.first} {answer.get('Warning')}")
        self.register(self._authorization(answer.get("WWW-Authenticate")))
        return False

    def _authorization(self, challenge: str) -> str:
        asked = digest_fields(challenge)
        fields = {"username": str(self.user), "realm": asked["realm"], "nonce": asked["nonce"]}
        fields["uri"] = f"sip:{self._domain}"
        fields["response"] = digest_response(fields, "REGISTER", f"pw{self.user}")
        return (
            "Authorization: Digest " + ", ".join(f'{key}="{text}"' for key, text in fields.items()) + "\r\n"
        )


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
        while self._repeats and self._repeats[0][0] <= now:
            _, _, pause_s, phone, data = heapq.heappop(self._repeats)
            if phone.data is data:  # else it was answered
                self._send(phone, pause_s, now)
        pause_s = self._repeats[0][0] - now if self._repeats else GIVE_UP_S
        for number, _ in self._poll.poll(pause_s):
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
