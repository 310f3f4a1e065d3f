"""Agents that only ask: signed syncs over TLS, the same bytes again until they are answered.

Each keeps what an agent keeps (seq, nonce, share) and holds the master to every answer: signature, seq, and
that no share falls below what was wanted.
"""

import asyncio
import base64
import socket
import time
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from licensing import wire
from runtime.signing import SigningKey, answer_type, request_type, verify
from runtime.tls import pinned_context
from tests.acceptance.house import AGENTS, INSTALLATION, House
from tests.chaos.linear import Operation

CLASS = "seat"
ENROL, HELLO, SYNC = "/v1/agent/enrol", "/v1/agent/hello", "/v1/agent/sync"
RELEASE = wire.Software(release=13)
PATIENCE_S = 30.0

T = TypeVar("T")


class AnswerError(AssertionError):
    """The master said what it must not say."""


class Line:
    """The way to a master that comes and goes: nobody tries while it is not `up`."""

    def __init__(self, house: House, pin: str) -> None:
        self.up = asyncio.Event()
        self.up.set()
        self.answered = asyncio.Event()
        self._network, self._master = house.network, (house.host, AGENTS)
        self._context = pinned_context([pin])

    async def connect(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from this address, or OSError."""
        await self.up.wait()
        sock = self._network.open_socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.bind((source, 0))
        try:
            await asyncio.get_running_loop().sock_connect(sock, self._master)
            return await asyncio.open_connection(sock=sock, ssl=self._context, server_hostname="")
        except OSError:
            sock.close()
            raise


@dataclass(eq=False)
class Asker:
    """One agent."""

    name: str
    source: str
    line: Line
    granted: int = 0
    wanted: int | None = None  # of the request that is under way
    acknowledged: int = 0
    repeated: int = 0
    grants: list[int] = field(default_factory=list)  # each change of the share, as it was answered

    def __post_init__(self) -> None:
        """Make a key."""
        self._key = SigningKey.generate()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._seq = 0

    async def enrol(self, token: str) -> None:
        """Join by an invitation."""
        public_key = base64.b64encode(self._key.public).decode()
        request = wire.Enrol(v=wire.VERSION, token=token, public_key=public_key, software=RELEASE)
        self._master_key = b""
        body = await self._answered(ENROL, msgspec.json.encode(request))
        self._enrolled = msgspec.json.decode(body, type=wire.Enrolled)
        self._master_key = base64.b64decode(self._enrolled.master_key)
        self._prev, self._term, self._epoch = self._enrolled.nonce, self._enrolled.term, self._enrolled.epoch

    async def ask(self, want: int) -> Operation:
        """Want so many units, all of them needed; what was granted, and between which moments.

        The hint is the number of the change among this agent's, from 1 on, or 0.
        """
        self._seq += 1
        body = msgspec.json.encode(self._message(want))
        held, self.wanted = self.granted, want
        began = time.monotonic_ns()
        answer = msgspec.json.decode(await self._answered(SYNC, body), type=wire.Answer)
        ended = time.monotonic_ns()
        if answer.ack_seq != self._seq or answer.term < self._term:
            raise AnswerError(f"{self.name}: seq {self._seq}, term {self._term}: {answer}")
        self._prev, self._term = answer.nonce, answer.term
        self.granted = answer.shares[CLASS].granted if CLASS in answer.shares else 0
        self.wanted = None
        self.acknowledged += 1
        if self.granted != held:
            self.grants.append(self.granted)
        change = len(self.grants) if self.granted != held else 0
        return Operation(self.name, want, self.granted, began, ended, hint=change)

    def _message(self, want: int) -> wire.Sync:
        return wire.Sync(
            v=wire.VERSION,
            agent=self.name,
            installation=INSTALLATION,
            epoch=self._epoch,
            instance=self._enrolled.instance,
            term=self._term,
            seq=self._seq,
            prev=self._prev,
            boot="chaos",
            sent_at_ms=0,
            software=RELEASE,
            classes={CLASS: wire.ClassDemand(used=min(self.granted, want), want=want)},
            policy_etag=self._enrolled.policy.etag,
        )

    async def _answered(self, path: str, body: bytes) -> bytes:
        """Send until there is an answer; the body of a 200 that the master signed for this request."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self._post(path, body)
                except (OSError, asyncio.IncompleteReadError):
                    self.close()
                    self.repeated += 1
                    await asyncio.sleep(0)

    async def _post(self, path: str, body: bytes) -> bytes:
        self._streams = self._streams or await self.line.connect(self.source)
        reader, writer = self._streams
        signature = self._key.sign(request_type("POST", path), body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: master\r\nContent-Type: application/json\r\n"
            f"X-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
        answer = await reader.readexactly(int(fields["content-length"]))
        status = int(first.split()[1])
        key = self._master_key or base64.b64decode(msgspec.json.decode(answer).get("master_key", ""))
        if status != 200 or not verify(key, answer_type(status, signature), answer, fields["x-signature"]):
            raise AnswerError(f"{self.name}: {status} {answer.decode()}")
        self.line.answered.set()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
