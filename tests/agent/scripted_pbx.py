"""A tiny PBX and phones over real UDP on loopback: enough SIP to register, challenge and refuse."""

import asyncio
import contextlib
import os
import random
import re
import socket
from collections.abc import Callable
from itertools import count, cycle, islice
from typing import Self

Address = tuple[str, int]

WORKERS = 8
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = range(20_000 + WORKER % WORKERS, 32_000, WORKERS)
DEALT = cycle(random.sample(PORTS, len(PORTS)))


class Peer(asyncio.DatagramProtocol):
    """A UDP socket whose datagrams queue up."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport
        self.address: Address

    @classmethod
    async def open(cls, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Bind to a free port."""
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_datagram_endpoint(cls, local_addr=(host, port))
        peer.transport = transport
        peer.address = transport.get_extra_info("sockname")[:2]
        return peer

    def datagram_received(self, data: bytes, address: Address) -> None:
        self.received.put_nowait((data, address))

    def close(self) -> None:
        """Unbind."""
        self.transport.close()


class ScriptedPbx(Peer):
    """Answers REGISTER: 401 without credentials, else `status` with the contacts and expiry it decides."""

    def __init__(self) -> None:
        super().__init__()
        self.challenge = False
        self.status = "200 OK"
        self.granted_s: int | None = None
        self.silent = False
        self.requests: list[bytes] = []
        self.on_request: Callable[[bytes], None] | None = None

    def datagram_received(self, data: bytes, address: Address) -> None:
        super().datagram_received(data, address)
        if data.startswith(b"SIP/2.0"):
            return
        self.requests.append(data)
        if self.on_request is not None:
            self.on_request(data)
        if not self.silent:
            self.transport.sendto(self.answer(data), address)

    def answer(self, request: bytes) -> bytes:
        """The answer to one request."""
        if self.challenge and b"\r\nAuthorization:" not in request:
            extra = [b'WWW-Authenticate: Digest realm="test", nonce="1"']
            return response(request, "401 Unauthorized", extra)
        if not self.status.startswith("2"):
            return response(request, self.status)
        return response(request, self.status, self._contacts(request))

    def _contacts(self, request: bytes) -> list[bytes]:
        contact = header(request, b"Contact")
        asked = re.search(rb"\r\nExpires: *(\d+)", request)
        seconds = int(asked[1]) if asked else 3_600
        if contact == b"*" or seconds == 0:
            return []
        granted = seconds if self.granted_s is None else self.granted_s
        return [b"Contact: " + contact + b";expires=%d" % granted]


class Phone(Peer):
    """One phone: registers and waits for the final answer, repeating nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)

    def register(
        self, guard: Address, user: str, expires: int = 600, contact: str = "", auth: bool = True
    ) -> bytes:
        """Send a REGISTER; the bytes that were sent."""
        host, port = self.address
        number = next(self._numbers)
        lines = [
            "REGISTER sip:pbx.test SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{user}{number}p{port}",
            "Max-Forwards: 70",
            f"From: <sip:{user}@pbx.test>;tag=1",
            f"To: <sip:{user}@pbx.test>",
            f"Call-ID: {user}-{port}@phone",
            f"CSeq: {number} REGISTER",
            f"Contact: {contact or f'<sip:{user}@{host}:{port}>'}",
            *(['Authorization: Digest username="x", response="y"'] if auth else []),
            f"Expires: {expires}",
            "Content-Length: 0",
            "",
            "",
        ]
        data = "\r\n".join(lines).encode()
        self.transport.sendto(data, guard)
        return data

    async def answer(self) -> bytes:
        """The next answer that is not provisional; TimeoutError after 5 s."""
        async with asyncio.timeout(5):
            while True:
                data, _ = await self.received.get()
                if not data.startswith(b"SIP/2.0 1"):
                    return data

    async def registered(self, guard: Address, user: str, expires: int = 600, contact: str = "") -> int:
        """Register and return the status of the answer."""
        self.register(guard, user, expires, contact)
        return status_of(await self.answer())


def status_of(answer: bytes) -> int:
    """The status code of a response."""
    return int(answer.split(b" ", 2)[1])


def header(message: bytes, name: bytes) -> bytes:
    """The value of the first header of this name."""
    found = re.search(rb"\r\n" + name + rb": *([^\r]*)", message)
    return found[1] if found else b""


def response(request: bytes, status: str, extra: list[bytes] | None = None) -> bytes:
    """A response with the Vias of its request, as a PBX sends it."""
    vias = re.findall(rb"\r\n(Via: [^\r]*)", request)
    lines = [b"SIP/2.0 " + status.encode(), *vias]
    lines += [name + b": " + header(request, name) for name in (b"From", b"Call-ID", b"CSeq")]
    lines += [b"To: " + header(request, b"To") + b";tag=pbx", *(extra or []), b"Content-Length: 0", b"", b""]
    return b"\r\n".join(lines)


def free_port() -> int:
    """A port of loopback that nobody has now, by UDP or TCP, below those that the kernel deals out itself.

    None is dealt twice before all were, and eight workers of a run have ports of their own: what one will
    bind later, no other takes meanwhile.
    """
    for port in islice(DEALT, 100):
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                probes.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
