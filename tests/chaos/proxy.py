"""A UDP and TCP proxy that loses, doubles, delays, reorders, cuts and goes silent, as it is told meanwhile.

A process of its own: `python -m tests.chaos.proxy CONTROL SEED`. CONTROL is a Unix socket that takes one
order a line as JSON (`Order`) and answers each with a line of counters (`Report`). It needs no netem.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from tests.chaos.weather import CALM, Fate, Weather

PIECE = 65_536
NO_LINGER = struct.pack("ii", 1, 0)  # a close is a reset
MOST_CLIENTS = 10_000
LINE = 65_536

Address = tuple[str, int]
Send = Callable[[bytes, Address], None]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Open a door (with `kind`, `listen`, `to`), change its weather, or reset its connections.

    `source` is the address the proxy speaks from to the other side, `drop` resets every connection.
    """

    door: str
    kind: Literal["udp", "tcp"] | None = None
    listen: Address | None = None
    to: Address | None = None
    source: str | None = None
    there: Weather | None = None
    back: Weather | None = None
    drop: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a door has done: pieces that came in and pieces that went on, both directions, and connections."""

    came: int
    passed: int
    connections: int


class Door:
    """One listening address and where it leads; subclasses carry datagrams or streams."""

    def __init__(self, order: Order, fate: Fate) -> None:
        assert order.listen is not None
        assert order.to is not None
        self.listen, self.to, self.source = order.listen, order.to, order.source
        self.there, self.back = CALM, CALM
        self.fate = fate
        self.came = self.passed = self.connections = 0
        self.changed = asyncio.Event()

    async def open(self) -> None:
        """Listen."""
        raise NotImplementedError

    def drop(self) -> None:
        """End every connection."""

    def change(self, order: Order) -> None:
        """The weather changes, for connections that are there too."""
        self.there, self.back = order.there or self.there, order.back or self.back
        self.changed.set()
        self.changed = asyncio.Event()

    def report(self) -> Report:
        """The counters now."""
        return Report(came=self.came, passed=self.passed, connections=self.connections)


class Datagrams(Door, asyncio.DatagramProtocol):
    """UDP: each client has a socket of its own towards the other side."""

    def __init__(self, order: Order, fate: Fate) -> None:
        super().__init__(order, fate)
        self._upstreams: dict[Address, socket.socket] = {}

    async def open(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self.listen)

    def datagram_received(self, data: bytes, source: Address) -> None:
        """A datagram of a client."""
        if source in self._upstreams or len(self._upstreams) < MOST_CLIENTS:
            self._carry(self.there, self._forward, data, source)

    def _carry(self, weather: Weather, send: Send, data: bytes, client: Address) -> None:
        """Let it arrive as the weather has it."""
        self.came += 1
        for wait_ms in self.fate.datagram(weather):
            if wait_ms:
                asyncio.get_running_loop().call_later(wait_ms / 1_000, send, data, client)
            else:
                send(data, client)

    def _answer(self, data: bytes, client: Address) -> None:
        self.passed += 1
        self._transport.sendto(data, client)

    def _forward(self, data: bytes, client: Address) -> None:
        upstream = self._upstreams.get(client) or self._connect(client)
        with suppress(BlockingIOError, ConnectionRefusedError):  # lost, as on any network
            upstream.send(data)
            self.passed += 1

    def _connect(self, client: Address) -> socket.socket:
        made = self._upstreams[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.connections += 1
        made.setblocking(False)
        if self.source:
            made.bind((self.source, 0))
        made.connect(self.to)
        asyncio.get_running_loop().add_reader(made, self._hear, made, client)
        return made

    def _hear(self, upstream: socket.socket, client: Address) -> None:
        with suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                self._carry(self.back, self._answer, upstream.recv(PIECE), client)


class Streams(Door):
    """TCP: bytes keep their order; loss is a wait, a cut is a longer one."""

    def __init__(self, order: Order, fate: Fate) -> None:
        super().__init__(order, fate)
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, *self.listen, limit=PIECE)

    def drop(self) -> None:
        """Reset every connection."""
        for writer in tuple(self._open):
            if not writer.is_closing():  # else its socket may be gone already
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            if self.there.silent or self.back.silent:
                await reader.read(-1)  # accepted, and that was all
            else:
                await self._join(reader, writer)
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        local = (self.source, 0) if self.source else None
        far_reader, far_writer = await asyncio.open_connection(*self.to, local_addr=local, limit=PIECE)
        self._open.add(far_writer)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer, there=True))
                both.create_task(self._pump(far_reader, writer, there=False))
        except* OSError:
            pass
        finally:
            self._open.discard(far_writer)
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, there: bool) -> None:
        while True:
            await self._until(there, "deaf")
            data = await reader.read(PIECE)
            weather = self.there if there else self.back
            wait_ms = self.fate.segment(weather, len(data))
            if wait_ms:
                await asyncio.sleep(wait_ms / 1_000)
            await self._until(there, "cut")
            if not data:
                with suppress(OSError):
                    writer.write_eof() if writer.can_write_eof() else writer.close()
                return
            self.came += 1
            writer.write(data)
            await writer.drain()
            self.passed += 1

    async def _until(self, there: bool, what: str) -> None:
        """Wait while this direction is deaf, or cut."""
        while getattr(self.there if there else self.back, what):
            await self.changed.wait()


class Proxy:
    """All doors of one process."""

    def __init__(self, seed: int) -> None:
        self._fate = Fate(seed)
        self._doors: dict[str, Door] = {}

    async def obey(self, order: Order) -> Report:
        """Do what is ordered."""
        if order.kind is not None:
            made = (Datagrams if order.kind == "udp" else Streams)(order, self._fate)
            await made.open()
            self._doors[order.door] = made
        door = self._doors[order.door]
        door.change(order)
        if order.drop:
            door.drop()
        return door.report()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation on the control socket."""
        while line := await reader.readline():
            report = await self.obey(msgspec.json.decode(line, type=Order))
            writer.write(msgspec.json.encode(report) + b"\n")
            await writer.drain()
        writer.close()


async def main(control: str, seed: int) -> None:
    """Take orders until killed."""
    proxy = Proxy(seed)
    server = await asyncio.start_unix_server(proxy.converse, control, limit=LINE)
    print("proxy.ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    Path(sys.argv[1]).unlink(missing_ok=True)
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
