"""The UDP edge: each readable socket is drained in turns, with one look at the clock a turn.

This is the hot path: per datagram one receive, one call into the site, and the sends that come of it. No
log line, no task and no lock. Batched system calls (recvmmsg, sendmmsg) would replace `_drain` and `send`.
"""

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Sequence

from agent.endpoint import Endpoint
from agent.service.site import Site
from runtime.clock import Clock
from telephony.address import Flow

TURN = 64  # datagrams of one socket before the others get their turn
MAX_DATAGRAM = 65_535
RECEIVE_BUFFER = 4 * 1024 * 1024  # what the kernel may grant of it holds a burst during an fsync
QUEUE_LIMIT = 1_000  # datagrams that wait for a full socket; beyond it they are lost, as UDP may
FLOW_LIMIT = 20_000


class UdpEdge:
    """The sockets of one site; the listener number of a flow is the index of its socket."""

    def __init__(self, site: Site, listen: Sequence[Endpoint], clock: Clock) -> None:
        self._site = site
        self._listen = listen
        self._clock = clock
        self._sockets: list[socket.socket] = []
        self._flows: dict[tuple[int, tuple[object, ...]], Flow] = {}
        self._waiting: list[deque[tuple[bytes, tuple[str, int]]]] = []
        self.lost = 0

    def open(self) -> list[str]:
        """Bind every listener and read from now on; the bound addresses. OSError when one is taken."""
        try:
            for endpoint in self._listen:
                self._sockets.append(_bound(endpoint))
                self._waiting.append(deque())
        except OSError:
            self.close()
            raise
        loop = asyncio.get_running_loop()
        for index, sock in enumerate(self._sockets):
            loop.add_reader(sock.fileno(), self._drain, index)
        return [f"udp:{_written(sock.getsockname())}" for sock in self._sockets]

    def close(self) -> None:
        """Read and send no more."""
        for sock in self._sockets:
            if sock.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(sock.fileno())
                asyncio.get_running_loop().remove_writer(sock.fileno())
                sock.close()

    def send(self, flow: Flow, data: bytes) -> None:
        """Send now, or queue while the socket is full; an unreachable peer loses it, as UDP does."""
        index = flow.listener
        if self._waiting[index]:
            self._queue(index, data, (flow.host, flow.port))
            return
        try:
            self._sockets[index].sendto(data, (flow.host, flow.port))
        except BlockingIOError:
            self._queue(index, data, (flow.host, flow.port))
        except OSError:
            self.lost += 1

    def _drain(self, index: int) -> None:
        """Receive until the socket is empty or the turn is over, then let the site settle."""
        receive = self._sockets[index].recvfrom
        take, flows = self._site.receive, self._flows
        now_ms = self._clock.monotonic_ms()
        try:
            for _ in range(TURN):
                data, address = receive(MAX_DATAGRAM)
                flow = flows.get((index, address)) or self._flow(index, address)
                take(data, flow, now_ms)
        except BlockingIOError:
            pass
        except OSError as error:  # an ICMP answer to something sent earlier
            if error.errno not in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
                raise
        finally:
            self._site.settle(now_ms)

    def _flow(self, index: int, address: tuple[str, int]) -> Flow:
        if len(self._flows) >= FLOW_LIMIT:
            self._flows.clear()
        flow = self._flows[index, address] = Flow(index, address[0], address[1])
        return flow

    def _queue(self, index: int, data: bytes, address: tuple[str, int]) -> None:
        waiting = self._waiting[index]
        if len(waiting) >= QUEUE_LIMIT:
            self.lost += 1
            return
        if not waiting:
            asyncio.get_running_loop().add_writer(self._sockets[index].fileno(), self._flush, index)
        waiting.append((data, address))

    def _flush(self, index: int) -> None:
        waiting, sock = self._waiting[index], self._sockets[index]
        while waiting:
            try:
                sock.sendto(*waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self.lost += 1
            waiting.popleft()
        asyncio.get_running_loop().remove_writer(sock.fileno())


def _bound(endpoint: Endpoint) -> socket.socket:
    host, port = endpoint.address.host, endpoint.address.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{endpoint}: {error.strerror}") from error
    return sock


def _written(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
