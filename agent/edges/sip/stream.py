"""The stream edge: TCP listeners, the connections that came by them, and their limits.

A connection has a number that none had before, not even before a restart: what was meant for one that is
gone reaches nobody else (RFC 5626 5.3.1).
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from agent.config import Sip
from agent.edges.sip.connection import Connection
from agent.edges.sip.framing import Framing, Plain
from agent.edges.sip.secure import Contexts
from agent.edges.sip.sockets import listening
from agent.endpoint import Endpoint
from agent.service.site import Site
from runtime.clock import Clock
from telephony.address import Flow, source_of
from telephony.meter import Meter
from telephony.output import Reason, Rejected

BACKLOG = 1_024
SWEEP_S = 1.0
FIRST_NUMBER_BITS = 48


class StreamEdge:
    """The stream listeners of one site, by their number in the configuration."""

    def __init__(
        self, site: Site, sip: Sip, listen: Mapping[int, Endpoint], contexts: Contexts | None, clock: Clock
    ) -> None:
        self.site = site
        self.clock = clock
        self.limits = sip.connections
        self.lost = 0
        self._sip = sip
        self._contexts = contexts
        self._listen = listen
        self._framings = {index: _framing(endpoint, sip.origins) for index, endpoint in listen.items()}
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, Connection] = {}
        trusted = sip.limits.trusted
        self._meter = Meter(self.limits.new_per_s, self.limits.per_source, (sip.pbx.address.host,), trusted)
        self._sources: Counter[str] = Counter()
        self._number = 1 + secrets.randbits(FIRST_NUMBER_BITS)

    async def open(self) -> list[str]:
        """Listen from now on; the bound addresses. OSError when one is taken."""
        loop = asyncio.get_running_loop()
        bound: list[str] = []
        for index, endpoint in self._listen.items():
            sock = listening(endpoint)
            factory = partial(self._connection, index)
            self._servers.append(await loop.create_server(factory, sock=sock, backlog=BACKLOG))
            bound.append(str(endpoint))
        return bound

    async def run(self) -> None:
        """Look after silent connections until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_ms = self.clock.monotonic_ms()
            for connection in [each for each in self._connections.values() if each.due_ms <= now_ms]:
                connection.look(now_ms)

    def pause(self) -> None:
        """Accept and read no more: what waits in a listening socket is for whoever holds it next."""
        for server in self._servers:
            server.close()
        for connection in self._connections.values():
            connection.pause()

    def close(self) -> None:
        """Listen no more, and end every connection."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()

    def send(self, flow: Flow, data: bytes) -> bool:
        """Send by the connection of this flow; False when it is gone."""
        connection = self._connections.get(flow.connection)
        if connection is None or connection.flow != flow:
            return False
        if not connection.send(data):
            self.lost += 1
        return True

    # Switchboard

    def admit(self, connection: Connection, peer: Flow) -> Flow | str:
        """Give a new connection its number, where there is room for one more."""
        source = source_of(peer.host)
        flow = peer._replace(connection=self._number)
        pbx = self.site.guard.is_pbx(flow)  # without its connections nobody would be called
        if len(self._connections) >= self.limits.total and not pbx:
            return f"there are {self.limits.total} connections already"
        if self._sources[source] >= self.limits.per_source and not pbx:
            return f"there are {self._sources[source]} connections from {source} already"
        if not self._meter.admit(peer.host, self.clock.monotonic_ms()):
            return f"more than {self.limits.new_per_s} new connections a second from {source}"
        self._number += 1
        self._sources[source] += 1
        self._connections[flow.connection] = connection
        return flow

    def opened(self, connection: Connection) -> None:
        """What is meant for it finds it from now on."""
        assert connection.flow is not None, "it was admitted"
        self.site.opened(connection.flow)

    def trouble(self, peer: Flow, why: str) -> None:
        """Count it, and say why."""
        self.site.tell(Rejected(Reason.CONNECTION, why, peer))

    def ended(self, connection: Connection) -> None:
        """Its place is free again."""
        assert connection.flow is not None, "it was admitted"
        self.site.closed(connection.flow)
        del self._connections[connection.flow.connection]
        source = source_of(connection.flow.host)
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]

    def _connection(self, listener: int) -> Connection:
        endpoint, secure = self._listen[listener], None
        if endpoint.transport in ("tls", "wss"):
            assert self._contexts is not None, "the configuration was checked"
            towards_pbx = endpoint == self._sip.towards_pbx
            secure = partial(self._contexts.server, towards_pbx=towards_pbx)
        return Connection(self, listener, self._framings[listener](), secure)


def _framing(endpoint: Endpoint, origins: Sequence[str]) -> Callable[[], Framing]:
    """What makes the framing of a connection that comes by this listener."""
    if endpoint.transport not in ("ws", "wss"):
        return Plain
    from agent.edges.sip.websocket import WebSocket  # a library of its own, only where it is spoken

    return partial(WebSocket, origins)
