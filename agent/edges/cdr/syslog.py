"""Call records by syslog, UDP and TCP. Nothing is acknowledged: what comes while nobody listens is lost."""

import asyncio
import socket
from contextlib import closing
from ipaddress import ip_address
from typing import Final

from agent.edges.cdr.guests import Guests
from agent.edges.cdr.stream import CHUNK, StreamListener
from agent.endpoint import Endpoint
from agent.service.cdr.source import Source
from telephony.cdr.reading import Contained, Piece, put_aside
from telephony.cdr.syslog import Octets, message_of

RECEIVE_BUFFER: Final = 4 * 1_048_576
DATAGRAMS_AT_ONCE: Final = 256
_MOST: Final = 65_535


async def pump(source: Source, reader: asyncio.StreamReader) -> None:
    """The messages of a connection, each a whole."""
    parser, octets = source.branch(), Contained(Octets)

    async def take(pieces: list[Piece]) -> None:
        messages = [message_of(piece.raw) for piece in pieces if not piece.fault]
        await source.take_when_room(parser, messages, end=True)
        await source.keep([put_aside(piece) for piece in pieces if piece.fault])

    while data := await reader.read(CHUNK):
        await take(octets.feed(data))
    await take(octets.end())


class SyslogDatagrams:
    """A UDP socket, read as fast as records get to the disk; the kernel keeps a burst meanwhile."""

    def __init__(self, source: Source, endpoint: Endpoint, guests: Guests) -> None:
        self._source = source
        self._endpoint = endpoint
        self._guests = guests

    async def run(self) -> None:
        """Listen until cancelled; OSError when the address is taken, StoreError."""
        with closing(self._socket()) as sock:
            self._source.connected, self._source.trouble = True, ""
            parser = self._source.branch()
            while True:
                await _readable(sock)
                await self._source.take_when_room(parser, self._received(sock), end=True)

    def _socket(self) -> socket.socket:
        address = self._endpoint.address
        family = socket.AF_INET6 if ip_address(address.host).version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            sock.bind((address.host, address.port))
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"{self._endpoint}: {error.strerror}") from error
        return sock

    def _received(self, sock: socket.socket) -> list[bytes]:
        messages: list[bytes] = []
        while len(messages) < DATAGRAMS_AT_ONCE:
            try:
                datagram, peer = sock.recvfrom(_MOST)
            except BlockingIOError:
                break
            if self._guests.admit(peer[0]):
                messages.append(message_of(datagram))
        return messages


def door(source: Source, endpoint: Endpoint, guests: Guests) -> StreamListener | SyslogDatagrams:
    """The listener of an endpoint."""
    if endpoint.transport == "tcp":
        return StreamListener(source, endpoint.address, guests, pump)
    return SyslogDatagrams(source, endpoint, guests)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    come: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, lambda: None if come.done() else come.set_result(None))
    try:
        await come
    finally:
        loop.remove_reader(sock)
