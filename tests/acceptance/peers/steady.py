"""Phones that register and refresh all the time at a steady rate, and never repeat a request.

Each REGISTER carries its number in its branch, so that the unanswered ones are known one by one: what a real
phone would have to send again. All phones share one socket, as behind a NAT. They have met the PBX's
challenge once, so each REGISTER has its credentials and one final answer.
"""

import contextlib
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Self

from demo.sip import Message, digest_fields, digest_response
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until

BRANCH = b"z9hG4bKsteady"
DIGITS = 8
EXPIRES_S = 600
TURN_S = 0.002
NEW_EVERY = 4  # each fourth REGISTER is the first one of its phone
LATE_S = 2.0
AT_ONCE = 50
GIVE_UP_S = 32.0  # 64 x T1, Timer F of RFC 3261


class Steady:
    """The phones; they send while the block is open, and then wait for what may still be answered.

    `known` refresh in turn, `newcomers` register one after the other in between, and refresh from then on.
    """

    def __init__(
        self,
        network: Network,
        guard: tuple[str, int],
        domain: str,
        *,
        known: Sequence[str],
        newcomers: Sequence[str],
        per_s: int,
    ) -> None:
        """Open the socket and let every known phone register once."""
        self.statuses: dict[int, int] = {}
        self._guard, self._domain, self._per_s = guard, domain, per_s
        self._known, self._newcomers = deque(known), list(reversed(newcomers))
        self._socket = network.udp(network.address())
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._number = 0
        self._sent_s: dict[int, float] = {}
        self._last: dict[str, int] = {}
        self._answered: set[int] = set()
        self._took_s: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steady phones")
        self._nonce, self._realm = "", domain
        self._challenge()
        self._first = 0
        for start in range(0, len(known), AT_ONCE):
            for user in known[start : start + AT_ONCE]:
                self._send(user)
            until(self._all_answered, what="the known phones register")
        assert set(self.statuses.values()) == {200}
        self.statuses.clear()
        self._took_s.clear()
        self._first = self._number

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send nothing more; wait for late answers."""
        self._stop.set()
        self._thread.join()

    @property
    def sent(self) -> int:
        """How many REGISTERs were sent since the block began."""
        return self._number - self._first

    @property
    def lost(self) -> list[int]:
        """The numbers that were never answered, counted from 0."""
        numbers = range(self._first + 1, self._number + 1)
        return [number - self._first - 1 for number in numbers if number not in self.statuses]

    @property
    def slow_s(self) -> float:
        """How long 99 of 100 answers took at most: after 0.5 s a real phone would have asked again."""
        return sorted(self._took_s)[len(self._took_s) * 99 // 100]

    def wait_answered(self, count: int, within_s: float = 10.0) -> None:
        """Wait until so many more were answered."""
        target = len(self.statuses) + count
        until(lambda: len(self.statuses) >= target, within_s, f"{count} more answers")

    def ask_again(self) -> None:
        """Whoever waits in vain for its last answer asks once more, and gets one."""
        for user in [user for user, last in self._last.items() if last not in self._answered]:
            self._send(user)

        def all_have_theirs() -> bool:
            self._hear(TURN_S)
            return all(last in self._answered for last in self._last.values())

        until(all_have_theirs, what="an answer for who asked again")

    def told(self) -> str:
        """What happened, for people."""
        counts = Counter(self.statuses.values())
        slow = f"99 % within {1_000 * self.slow_s:.0f} ms"
        return f"{self.sent} REGISTERs, {len(self.lost)} unanswered, answered {dict(counts)}, {slow}"

    def _challenge(self) -> None:
        """Learn a nonce; the registrar accepts it from everyone for a while."""
        self._socket.sendto(self._register(self._known[0], ""), self._guard)
        assert select.select([self._socket], [], [], GIVE_UP_S)[0], "no challenge"
        answer = Message.parse(self._socket.recv(65_536))
        assert answer is not None
        asked = digest_fields(answer.get("WWW-Authenticate"))
        self._nonce, self._realm = asked["nonce"], asked["realm"]

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.is_set():
            due = int((time.monotonic() - began) * self._per_s)
            while self.sent < due:
                self._send(self._next())
            self._hear(TURN_S)
        deadline = time.monotonic() + LATE_S
        while self.lost and time.monotonic() < deadline:
            self._hear(TURN_S)

    def _next(self) -> str:
        """Who has not sent for longest; first of those that have their answer, or gave up waiting for it.

        Nobody may have two requests under way (RFC 3261 10.2): a PBX that sees the later one first says 400.
        """
        if self._number % NEW_EVERY == 0 and self._newcomers:
            user = self._newcomers.pop()
        else:
            user = next((each for each in self._known if not self._waits(each)), self._known[0])
            self._known.remove(user)
        self._known.append(user)
        return user

    def _waits(self, user: str) -> bool:
        last = self._last.get(user)
        return (
            last is not None
            and last not in self._answered
            and time.monotonic() < self._sent_s[last] + GIVE_UP_S
        )

    def _send(self, user: str) -> None:
        self._number += 1
        self._sent_s[self._number] = time.monotonic()
        self._last[user] = self._number
        fields = {"username": user, "realm": self._realm, "nonce": self._nonce, "uri": f"sip:{self._domain}"}
        fields["response"] = digest_response(fields, "REGISTER", f"pw{user}")
        credentials = "Digest " + ", ".join(f'{name}="{text}"' for name, text in fields.items())
        self._socket.sendto(self._register(user, f"Authorization: {credentials}\r\n"), self._guard)

    def _register(self, user: str, authorization: str) -> bytes:
        host, port = self._socket.getsockname()
        aor = f"sip:{user}@{self._domain}"
        return (
            f"REGISTER sip:{self._domain} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch={BRANCH.decode()}{self._number:0{DIGITS}}\r\n"
            f"Max-Forwards: 70\r\nFrom: <{aor}>;tag={user}\r\nTo: <{aor}>\r\n"
            f"Call-ID: steady-{user}@{host}\r\nCSeq: {self._number + 1} REGISTER\r\n"
            f"Contact: <sip:{user}@{host}:{port}>\r\nExpires: {EXPIRES_S}\r\n"
            f"{authorization}User-Agent: steady\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def _all_answered(self) -> bool:
        self._hear(TURN_S)
        return not self.lost

    def _hear(self, within_s: float) -> None:
        if not select.select([self._socket], [], [], within_s)[0]:
            return
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self._socket.recv(65_536, socket.MSG_DONTWAIT)
                at = data.index(BRANCH) + len(BRANCH)
                status = int(data.split(b" ", 2)[1])
                if status >= 200:
                    number = int(data[at : at + DIGITS])
                    self.statuses[number] = status
                    self._answered.add(number)
                    self._took_s.append(time.monotonic() - self._sent_s[number])
