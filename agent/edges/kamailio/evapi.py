"""A connection to the evapi module of a Kamailio: frames in and out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.endpoint import Address
from agent.service.driver import LinkLostError
from telephony.pbx.kamailio import FramesError, Netstrings, netstring

CONNECT_S = 10.0
CHUNK = 65_536
UNREAD_LIMIT = 4 * 1024 * 1024  # what may wait for a Kamailio that does not read


class Evapi:
    """One connection; `lost` counts the frames that Kamailio did not read in time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lost = 0
        self._reader = reader
        self._writer = writer
        self._frames = Netstrings()

    async def receive(self) -> list[bytes]:
        """The next frames; LinkLostError when the connection has ended, or no frames come by it."""
        try:
            data = await self._reader.read(CHUNK)
        except OSError as error:
            raise LinkLostError(f"evapi: {error}") from error
        if not data:
            raise LinkLostError("evapi: Kamailio ended the connection")
        try:
            return self._frames.receive(data)
        except FramesError as error:
            raise LinkLostError(f"evapi: {error}") from error

    def send(self, frame: bytes) -> None:
        """Send one frame, unless too much waits already."""
        if self._writer.transport.get_write_buffer_size() > UNREAD_LIMIT:
            self.lost += 1
        else:
            self._writer.write(netstring(frame))


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Evapi]:
    """A connection that is closed at the end; LinkLostError."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(address.host, address.port)
    except TimeoutError as error:
        raise LinkLostError(f"evapi: {address} does not answer within {CONNECT_S:.0f} s") from error
    except OSError as error:
        raise LinkLostError(f"evapi at {address}: {error}") from error
    try:
        yield Evapi(reader, writer)
    finally:
        writer.close()
