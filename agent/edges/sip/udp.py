"""The UDP edge: a turn takes what one socket has in one system call, decides, and sends in another.

This is the hot path: per datagram one look-up of its flow and one call into the site; one look at the clock a
turn. No log line, no task and no lock.
"""

import asyncio
import errno
import socket
from collections.abc import Mapping, Sequence

from agent.edges.sip import sieve
from agent.edges.sip.datagrams import Datagrams, address_of
from agent.endpoint import Endpoint
from agent.service.site import Site
from runtime.activation import inherited
from runtime.clock import Clock
from telephony.address import Flow
from telephony.emergency import emergency_openings

RECEIVE_BUFFER = 4 * 1024 * 1024  # what the kernel may grant of it holds a burst during an fsync
SEND_BUFFER = 4 * 1024 * 1024  # a datagram to a neighbour that is off stays in it for 3 s
QUEUE_LIMIT = 10_000  # datagrams that wait for a full socket; beyond it they are lost, as UDP may
FLOW_LIMIT = 20_000
ICMP_ANSWERS = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)


class UdpEdge:
    """The UDP sockets of one site, by the number of their listener in the configuration."""

    def __init__(self, site: Site, listen: Mapping[int, Endpoint], clock: Clock) -> None:
        self._site = site
        self._listen = listen
        self._clock = clock
        self._sockets: dict[int, _Socket] = {}
        self._in_turn = False

    @property
    def lost(self) -> int:
        """Datagrams that could not be sent."""
        return sum(sock.lost for sock in self._sockets.values())

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped: who was shut out, and what came while a buffer was full."""
        return sum(sieve.dropped(sock.socket) for sock in self._sockets.values())

    def open(self) -> list[str]:
        """Bind every listener and read from now on; the bound addresses. OSError when one is taken."""
        try:
            for index, endpoint in self._listen.items():
                self._sockets[index] = _Socket(index, _bound(endpoint))
            self.shut_out(())  # an inherited socket may still have the filter of whoever had it before
        except OSError:
            self.close()
            raise
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.add_reader(sock.number, self._turn, sock)
        return [f"udp:{_written(sock.socket.getsockname())}" for sock in self._sockets.values()]

    def pause(self) -> None:
        """Read no more, so that what arrives from now on is left for whoever holds the sockets next."""
        for sock in self._sockets.values():
            asyncio.get_running_loop().remove_reader(sock.number)

    def close(self) -> None:
        """Read and send no more."""
        for sock in self._sockets.values():
            sock.close()

    def shut_out(self, sources: Sequence[str]) -> None:
        """Let the kernel drop what these sources send, but for emergency calls, and nobody else's."""
        urgent = emergency_openings(self._site.guard.emergency)
        for sock in self._sockets.values():
            sieve.attach(sock.socket, sources, urgent)

    def send(self, flow: Flow, data: bytes) -> None:
        """Send at the end of this turn; an unreachable peer loses it, as UDP does."""
        sock = self._sockets[flow.listener]
        if not sock.waiting and not self._in_turn:
            asyncio.get_running_loop().call_soon(sock.flush)
        sock.put(flow, data)

    def _turn(self, sock: "_Socket") -> None:
        """Take what has arrived, let the site settle, and send what came of it."""
        now_ms = self._clock.monotonic_ms()
        flows = sock.flows
        try:
            arrived = sock.datagrams.receive()
        except OSError as error:
            if error.errno in ICMP_ANSWERS:
                return
            raise
        self._in_turn = True
        try:
            self._site.intake.turn(
                [(data, flows.get(peer) or sock.flow(peer)) for data, peer in arrived], now_ms
            )
        finally:
            self._in_turn = False
        for each in self._sockets.values():
            each.flush()


class _Socket:
    """One bound socket with what waits to leave by it."""

    def __init__(self, listener: int, sock: socket.socket) -> None:
        self.socket = sock
        self.number = sock.fileno()
        self.datagrams = Datagrams(sock)
        self.flows: dict[bytes, Flow] = {}
        self.waiting: list[tuple[bytes, bytes]] = []
        self.lost = 0
        self._peers: dict[Flow, bytes] = {}
        self._listener = listener
        self._blocked = False

    def flow(self, peer: bytes) -> Flow:
        """The flow of a peer seen for the first time in a while."""
        if len(self.flows) >= FLOW_LIMIT:
            self.flows.clear()
        host, port = address_of(peer)
        flow = self.flows[peer] = Flow(self._listener, host, port)
        return flow

    def put(self, flow: Flow, data: bytes) -> None:
        """Let a datagram wait for the next flush."""
        if len(self.waiting) >= QUEUE_LIMIT:
            self.lost += 1
            return
        peer = self._peers.get(flow)
        if peer is None:
            if len(self._peers) >= FLOW_LIMIT:
                self._peers.clear()
            try:
                peer = self._peers[flow] = self.datagrams.peer(flow.host, flow.port)
            except OSError:  # of another family, or of an interface that is gone: the way is an old one
                self.lost += 1
                return
        self.waiting.append((data, peer))

    def flush(self) -> None:
        """Send what waits; what a full socket does not take waits until it is writable."""
        waiting = self.waiting
        while waiting and not self._blocked:
            try:
                sent = self.datagrams.send(waiting)
            except OSError:
                self.lost += 1
                sent = 1
            if not sent:
                self._blocked = True
                asyncio.get_running_loop().add_writer(self.number, self._writable)
            del waiting[:sent]

    def _writable(self) -> None:
        asyncio.get_running_loop().remove_writer(self.number)
        self._blocked = False
        self.flush()

    def close(self) -> None:
        """Read and send no more."""
        if self.socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.number)
            asyncio.get_running_loop().remove_writer(self.number)
            self.socket.close()
        self.waiting.clear()


def _bound(endpoint: Endpoint) -> socket.socket:
    host, port = endpoint.address.host, endpoint.address.port
    given = inherited(*endpoint.bound)
    if given is not None:
        given.setblocking(False)
        return given
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{endpoint}: {error.strerror}") from error
    return sock


def _written(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
