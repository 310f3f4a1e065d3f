"""A phone and a PBX over TCP (or TLS), in this process: whole messages in, whole messages out."""

import asyncio
import contextlib
import socket
import ssl
import struct
from itertools import count
from typing import Self

from telephony.guard import PONG
from telephony.sip.stream import KEEP_ALIVE, Framer
from tests.agent.scripted_pbx import Address, ScriptedPbx, status_of


class StreamPhone:
    """One connection to the agent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.framer = Framer()
        self.address: Address = writer.get_extra_info("sockname")[:2]
        self._reader = reader
        self._numbers = count(1)

    @classmethod
    async def open(
        cls, guard: Address, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> Self:
        """Connect from this address of loopback."""
        name = guard[0] if tls else None
        local = (host, port)
        return cls(*await asyncio.open_connection(*guard, local_addr=local, ssl=tls, server_hostname=name))

    def send(self, data: bytes) -> None:
        """Put these bytes on their way."""
        self.writer.write(data)

    def wish(self, user: str, expires: int = 600) -> bytes:
        """A REGISTER."""
        host, port = self.address
        number = next(self._numbers)
        lines = [
            "REGISTER sip:pbx.test SIP/2.0",
            f"Via: SIP/2.0/TCP {host}:{port};rport;branch=z9hG4bK{user}{number}p{port}",
            "Max-Forwards: 70",
            f"From: <sip:{user}@pbx.test>;tag=1",
            f"To: <sip:{user}@pbx.test>",
            f"Call-ID: {user}-{port}@phone",
            f"CSeq: {number} REGISTER",
            f"Contact: <sip:{user}@{host}:{port};transport=tcp>",
            'Authorization: Digest username="x", response="y"',
            f"Expires: {expires}",
            "Content-Length: 0",
            "",
            "",
        ]
        return "\r\n".join(lines).encode()

    async def message(self, within_s: float = 5) -> bytes:
        """The next message or keep-alive; EOFError when the connection ends before."""
        async with asyncio.timeout(within_s):
            while (unit := self.framer.take()) is None:
                data = await self._reader.read(65_536)
                if not data:
                    raise EOFError
                self.framer.feed(data)
            return unit

    async def registered(self, user: str, expires: int = 600) -> int:
        """Register and return the status of the answer."""
        self.send(self.wish(user, expires))
        return status_of(await self.message())

    async def ended(self, within_s: float = 5) -> bytes:
        """What came before the agent ended the connection; TimeoutError when it does not."""
        heard = b""
        async with asyncio.timeout(within_s):
            try:
                while data := await self._reader.read(65_536):
                    heard += data
            except ConnectionError:
                pass
        return heard

    async def reset(self) -> None:
        """End the connection at once; its port is free again."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


class StreamPbx:
    """A ScriptedPbx that is spoken to over TCP, by `connections`; it answers keep-alives (RFC 5626)."""

    def __init__(self, script: ScriptedPbx) -> None:
        self.script = script
        self.connections: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self.heard: list[bytes] = []
        self.address: Address
        self._server: asyncio.Server | None = None

    async def open(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.address = self._server.sockets[0].getsockname()[:2]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.put_nowait(writer)
        framer = Framer()
        try:
            while data := await reader.read(65_536):
                framer.feed(data)
                self.heard.append(data)
                while (unit := framer.take()) is not None:
                    self._take(unit, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _take(self, unit: bytes, writer: asyncio.StreamWriter) -> None:
        self.script.received.put_nowait((unit, ("", 0)))
        if unit == KEEP_ALIVE:
            writer.write(PONG)
        if unit.startswith((b"SIP/2.0", b"\r\n")):
            return
        self.script.requests.append(unit)
        if not self.script.silent:
            writer.write(self.script.answer(unit))

    async def close(self) -> None:
        """Listen no more; connections stay."""
        if self._server is not None:
            self._server.close()
