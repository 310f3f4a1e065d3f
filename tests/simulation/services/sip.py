"""Phones and a small PBX as scripts: REGISTER in bytes, answers in bytes, and what the PBX really holds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from tests.simulation.services.loop import SeededLoop

T1_S = 0.5
T2_S = 4.0
TIMER_F_S = 32.0
DOMAIN = "pbx.test"


class Final(NamedTuple):
    """The answer to a REGISTER; `by_pbx` says who gave it, `code` why the agent refused."""

    status: int
    by_pbx: bool
    code: str = ""
    expires_s: int = 0
    retry_after_s: int = 0


SILENCE = Final(0, by_pbx=False)


def headers_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Every header line as (name in lower case, line)."""
    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return [(line.partition(b":")[0].strip().lower(), line) for line in lines]


def user_of(data: bytes) -> str:
    """Who a message is about."""
    return data.partition(b"\r\nTo: ")[2].partition(b"sip:")[2].partition(b"@")[0].decode()


def value_of(line: bytes) -> bytes:
    """What stands after the colon."""
    return line.partition(b":")[2].strip()


@dataclass
class Pbx:
    """Answers REGISTER: 401, 200, sometimes 403 or nothing; a binding is forgotten when it expires."""

    loop: SeededLoop
    dice: Random
    granted_s: int
    send: Callable[[bytes], None]
    bindings: dict[str, dict[bytes, int]] = field(default_factory=dict)  # AOR's user to contact to end, us
    answers: dict[bytes, bytes] = field(default_factory=dict)  # to repeats: the same again
    silent: bool = False
    moody: float = 0.0  # how often it says nothing, or no
    trusting: bool = False  # challenges nobody

    def holds(self, user: str) -> bool:
        """Whether this user is registered now."""
        return bool(self.live(user))

    def live(self, user: str) -> dict[bytes, int]:
        """The contacts of this user that have not ended."""
        now = self.loop.now_us
        return {contact: end for contact, end in self.bindings.get(user, {}).items() if end > now}

    def receive(self, data: bytes) -> None:
        """One datagram of the agent."""
        if not data.startswith(b"REGISTER ") or self.silent:
            return
        if self.moody and self.dice.random() < self.moody:
            return
        branch = data.partition(b"branch=")[2].partition(b"\r\n")[0]
        if branch not in self.answers:
            self.answers[branch] = self._answer(data)
        self.send(self.answers[branch])

    def _answer(self, data: bytes) -> bytes:
        headers = headers_of(data)
        found = dict(reversed(headers))
        user = value_of(found[b"to"]).partition(b"sip:")[2].partition(b"@")[0].decode()
        if b"authorization" not in found and not self.trusting:
            return _response(headers, "401 Unauthorized", b'WWW-Authenticate: Digest realm="t", nonce="1"')
        if self.moody and self.dice.random() < self.moody:
            return _response(headers, "403 Forbidden")
        contact = value_of(found[b"contact"])
        asked_s = int(value_of(found[b"expires"]))
        live = self.live(user)
        live.pop(contact, None)
        if asked_s:
            live[contact] = self.loop.now_us + self.granted_s * 1_000_000
        self.bindings[user] = live
        left = [
            b"Contact: %b;expires=%d" % (name, -(-(end - self.loop.now_us) // 1_000_000))
            for name, end in live.items()
        ]
        return _response(headers, "200 OK", *left)


def _response(headers: list[tuple[bytes, bytes]], status: str, *extra: bytes) -> bytes:
    copied = [line for name, line in headers if name in (b"via", b"from", b"call-id", b"cseq")]
    to = next(line for name, line in headers if name == b"to")
    lines = [b"SIP/2.0 " + status.encode(), *copied, to + b";tag=pbx", *extra, b"Content-Length: 0", b"", b""]
    return b"\r\n".join(lines)


def read_final(data: bytes, contact: bytes) -> tuple[int, Final] | None:
    """CSeq and answer for the phone with this contact; None for a provisional one."""
    status = int(data.split(b" ", 2)[1])
    if status < 200:
        return None
    cseq, by_pbx, code, expires_s, after_s = 0, False, "", 0, 0
    for name, line in headers_of(data):
        if name == b"cseq":
            cseq = int(value_of(line).split()[0])
        elif name == b"to":
            by_pbx = line.endswith(b";tag=pbx")
        elif name == b"warning":
            code = value_of(line).partition(b'"')[2].partition(b":")[0].decode()
        elif name == b"contact" and contact in line:
            expires_s = int(line.rpartition(b"expires=")[2])
        elif name == b"retry-after":
            after_s = int(value_of(line))
    return cseq, Final(status, by_pbx, code, expires_s, after_s)


class Phone:
    """One device of one user; `send` takes its datagrams to the agent."""

    def __init__(
        self, loop: SeededLoop, user: str, host: str, send: Callable[["Phone", bytes], None]
    ) -> None:
        self.loop = loop
        self.user = user
        self.host = host
        self.contact = f"<sip:{user}@{host}:5060>".encode()
        self.cseq = 0
        self._send = send
        self._answer: asyncio.Future[Final] | None = None

    def receive(self, data: bytes) -> None:
        """One datagram of the agent."""
        if not data.startswith(b"SIP/2.0"):
            return
        found = read_final(data, self.contact)
        if found is not None and found[0] == self.cseq and self._answer and not self._answer.done():
            self._answer.set_result(found[1])

    async def register(self, expires_s: int, *, credentials: bool = True) -> Final:
        """One transaction as RFC 3261 17.1.2 has it; SILENCE after Timer F."""
        self.cseq += 1
        data = self._request(expires_s, credentials)
        self._answer = asyncio.get_running_loop().create_future()
        pause_s, until = T1_S, self.loop.time() + TIMER_F_S
        while True:
            self._send(self, data)
            done, _ = await asyncio.wait([self._answer], timeout=min(pause_s, until - self.loop.time()))
            if done:
                return self._answer.result()
            if self.loop.time() >= until:
                return SILENCE
            pause_s = min(2 * pause_s, T2_S)

    def _request(self, expires_s: int, credentials: bool) -> bytes:
        user, host = self.user, self.host
        secret = 'Authorization: Digest username="x", response="y"\r\n' if credentials else ""
        return (
            f"REGISTER sip:{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:5060;rport;branch=z9hG4bK{user}{self.cseq}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{user}@{DOMAIN}>;tag=1\r\nTo: <sip:{user}@{DOMAIN}>\r\n"
            f"Call-ID: {user}-{host}\r\nCSeq: {self.cseq} REGISTER\r\nContact: {self.contact.decode()}\r\n"
            f"{secret}Expires: {expires_s}\r\nContent-Length: 0\r\n\r\n"
        ).encode()
