"""Call records over TCP, either side connecting; nothing is acknowledged there.

A full spool leaves the bytes in the connection, whose other side then waits.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from agent.edges.cdr.guests import Guests
from agent.endpoint import Address
from agent.service.cdr.source import Source

CHUNK: Final = 65_536
CONNECT_S: Final = 10.0
MOST_CONNECTIONS: Final = 64

Pump = Callable[[Source, asyncio.StreamReader], Awaitable[None]]
"""Takes in what one connection brings, until it ends; OSError, StoreError."""


async def pump(source: Source, reader: asyncio.StreamReader) -> None:
    """The bytes of a connection, as they are."""
    parser = source.branch()
    while data := await reader.read(CHUNK):
        await source.take_when_room(parser, [data])
    await source.take_when_room(parser, [b""], end=True)


class StreamListener:
    """The PBX connects to us (innovaphone: TCP active)."""

    def __init__(self, source: Source, address: Address, guests: Guests, pump: Pump = pump) -> None:
        self._source = source
        self._address = address
        self._guests = guests
        self._pump = pump
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Listen until cancelled, or the store fails (StoreError); OSError when the address is taken."""
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(
            lambda reader, writer: self._connected(reader, writer, failed),
            self._address.host,
            self._address.port,
        )
        self._source.connected, self._source.trouble = True, ""
        try:
            await failed
        finally:
            server.close()
            for task in self._connections:
                task.cancel()

    def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, failed: "asyncio.Future[None]"
    ) -> None:
        peer = writer.get_extra_info("peername")
        full = len(self._connections) >= MOST_CONNECTIONS
        if full or peer is None or not self._guests.admit(peer[0]):
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="cdr connection")
        self._connections.add(task)
        task.add_done_callback(lambda done: self._over(done, failed))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._pump(self._source, reader)
        finally:
            writer.close()

    def _over(self, task: "asyncio.Task[None]", failed: "asyncio.Future[None]") -> None:
        """A connection that ends is none of ours; a store that fails ends them all."""
        self._connections.discard(task)
        if task.cancelled() or failed.done():
            return
        error = task.exception()
        if error is not None and not isinstance(error, OSError):
            failed.set_exception(error)


class StreamDialler:
    """We connect to the PBX (innovaphone: TCP passive); whoever calls `run` calls again after its end."""

    def __init__(self, source: Source, address: Address) -> None:
        self._source = source
        self._address = address

    async def run(self) -> None:
        """One connection, until the PBX ends it; OSError when there is none. StoreError."""
        address = self._address
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(address.host, address.port)
        except TimeoutError as error:
            raise OSError(f"{address} does not answer within {CONNECT_S:.0f} s") from error
        self._source.connected, self._source.trouble = True, ""
        try:
            await pump(self._source, reader)
        finally:
            writer.close()
