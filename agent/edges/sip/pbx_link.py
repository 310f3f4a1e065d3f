"""Our own connection to the PBX: made when something must go there, kept alive, made again when it breaks.

What is sent meanwhile waits, as long as somebody may still wait for its answer.
"""

import asyncio
import random
from collections import deque

from agent.config import Sip
from agent.edges.sip.connection import Connection
from agent.edges.sip.framing import Plain
from agent.edges.sip.secure import Contexts
from agent.edges.sip.sockets import outgoing
from agent.service.site import Site
from runtime.clock import Clock
from runtime.logs import logger
from telephony.address import Flow
from telephony.sip.stream import KEEP_ALIVE

CONNECT_S = 10.0
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 5.0  # phones wait for it: they give up after 32 s
STEADY_S = 10.0  # a connection that stood so long ended by a new cause
QUEUE_LIMIT = 10_000
QUEUE_BYTES = 8 * 1024 * 1024
WAIT_MS = 32_000  # a transaction ends then (RFC 3261 17.1, timers B and F)
KEEP_ALIVE_S = 30.0  # shorter than what firewalls and Kamailio (120 s) forget after


class PbxLink:
    """The connection that has number 0 at the listener towards the PBX."""

    def __init__(self, site: Site, sip: Sip, contexts: Contexts | None, clock: Clock, name: str) -> None:
        self.site = site
        self.clock = clock
        self.limits = sip.connections
        self.lost = 0
        self._sip = sip
        self._pbx = sip.pbx_flow
        self._secure = contexts.client if contexts and sip.pbx.transport == "tls" else None
        self._log = logger(pbx=name)
        self._connection: Connection | None = None
        self._trouble = ""
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()

    def answers_for(self, flow: Flow) -> bool:
        """Whether what cannot go by this connection of the PBX's may go by ours (RFC 3261 18.2.2)."""
        return (flow.listener, flow.host) == (self._pbx.listener, self._pbx.host)

    def send(self, data: bytes) -> None:
        """Send now, or let it wait for the connection."""
        if self._connection is not None and self._connection.stands:
            if not self._connection.send(data):
                self.lost += 1
        elif len(self._waiting) >= QUEUE_LIMIT or self._waiting_bytes + len(data) > QUEUE_BYTES:
            self.lost += 1
        else:
            self._waiting.append((self.clock.monotonic_ms() + WAIT_MS, data))
            self._waiting_bytes += len(data)
            self._wanted.set()

    async def run(self) -> None:
        """Connect when there is something to send, again and again, until cancelled."""
        delay_s = FIRST_DELAY_S
        while True:
            await self._wanted.wait()
            steady = await self._attempt(delay_s)
            delay_s = FIRST_DELAY_S if steady else min(2 * delay_s, LONGEST_DELAY_S)
            self._forget_old()

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()

    # Switchboard

    def admit(self, connection: Connection, peer: Flow) -> Flow | str:
        """It is the connection to the PBX."""
        self._connection = connection
        return self._pbx

    def opened(self, connection: Connection) -> None:
        """Everything that waits leaves by it."""
        self._changed.set()
        self._flush()

    def trouble(self, peer: Flow, why: str) -> None:
        """What the next line of the log says."""
        self._trouble = why

    def ended(self, connection: Connection) -> None:
        """The next message makes a new one."""
        if connection is self._connection:
            self._connection = None
            self._changed.set()

    async def _attempt(self, delay_s: float) -> bool:
        """One connection from its beginning to its end, and a pause; whether it stood for some time."""
        begun_ms = self.clock.monotonic_ms()
        self._trouble = ""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connect()
        except (OSError, TimeoutError) as error:
            if self._connection is not None:
                self._connection.cut(self._trouble)
            pause_s = delay_s * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
            problem = str(error) or f"no answer within {CONNECT_S:.0f} s"
            self._log.warning("pbx.connection_failed", error=problem, retry_s=round(pause_s, 1))
            await asyncio.sleep(pause_s)
            return False
        self._log.info("pbx.connected")
        await self._keep_alive()
        if self._trouble:
            self._log.warning("pbx.disconnected", why=self._trouble)
        else:
            self._log.info("pbx.disconnected", why="the PBX ended it")
        if self.clock.monotonic_ms() - begun_ms >= 1_000 * STEADY_S:
            return True
        await asyncio.sleep(delay_s)
        return False

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        sock = outgoing(self._sip.towards_pbx)
        try:
            await loop.sock_connect(sock, (self._pbx.host, self._pbx.port))
        except BaseException:
            sock.close()
            raise
        self._changed.clear()
        await loop.create_connection(
            lambda: Connection(self, self._pbx.listener, Plain(), self._secure), sock=sock
        )
        await self._changed.wait()
        if self._connection is None:
            raise ConnectionError(self._trouble or "the PBX ended the connection at once")

    def _flush(self) -> None:
        self._forget_old()
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        self._wanted.clear()
        for _, data in waiting:
            self.send(data)

    async def _keep_alive(self) -> None:
        """Until the connection ends, let nothing on the way forget it (RFC 5626 4.4.1)."""
        while self._connection is not None:
            self._changed.clear()
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    await self._changed.wait()
            except TimeoutError:
                self.send(KEEP_ALIVE)

    def _forget_old(self) -> None:
        """What nobody waits for any more is not sent; with nothing to send there is no need to connect."""
        now_ms = self.clock.monotonic_ms()
        while self._waiting and self._waiting[0][0] <= now_ms:
            _, data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self.lost += 1
        if not self._waiting:
            self._wanted.clear()
