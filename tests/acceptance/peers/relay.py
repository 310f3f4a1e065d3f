"""A TCP port of the machine's loopback that leads into a network: for clients of the test process.

Bytes pass as they are, so TLS is between the two ends.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.acceptance.peers.network import Network


@asynccontextmanager
async def relay(network: Network, host: str, port: int) -> AsyncIterator[int]:
    """Lead connections to the yielded port of 127.0.0.1 on to `host:port` inside, until the block ends."""
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(sock=network.connect(host, port))
        for task in (pass_on(reader, inner_writer), pass_on(inner_reader, writer)):
            running.add(asyncio.create_task(task))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends."""
    with suppress(ConnectionError):
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
