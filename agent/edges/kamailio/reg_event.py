"""The reg event package of a Kamailio by UDP: a socket and a timer for `telephony.pbx.subscription`."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, cast

from agent.config import PbxEntry
from agent.endpoint import Address
from agent.service.driver import LinkLostError
from runtime.clock import Clock
from telephony.address import Flow
from telephony.directory import PASS
from telephony.pbx.kamailio import Held
from telephony.pbx.subscription import Subscriptions

GRAIN_MS = 20  # a look no sooner after the last one


@dataclass(frozen=True, slots=True)
class Watched:
    """Where SUBSCRIBE goes to, the domain of its AORs, and those AORs that are always asked for."""

    pbx: Address
    domain: str
    aors: tuple[str, ...] = ()

    @classmethod
    def of(cls, entry: PbxEntry) -> Self:
        """What agent.yaml says of it: AORs of its objects that are no patterns."""
        patterns = (aor for row in entry.objects if row.kind != PASS for aor in row.aor)
        exact = tuple(aor for aor in patterns if not set(aor) & set("*?"))
        return cls(entry.sip.pbx.address, entry.sip.domain or entry.sip.pbx.address.host, exact)


class RegEvent(asyncio.DatagramProtocol):
    """Subscriptions over one socket; `held` is told each document."""

    def __init__(self, here: Address, watched: Watched, held: Callable[[Held], None], clock: Clock) -> None:
        self._watched = watched
        self._held = held
        self._clock = clock
        self._subscriptions = Subscriptions((here.host, here.port), watched.domain, secrets.token_hex(16))
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def want(self, aors: Collection[str]) -> str:
        """Subscribe to these AORs too; what the administrator should know of it, or ""."""
        wanted = dict.fromkeys([*self._watched.aors, *aors])
        left = self._subscriptions.want(wanted, self._clock.monotonic_ms())
        self._look()
        told = f"reg event: {left} AORs are seen by the list alone" if left else ""
        return self.trouble or told

    @property
    def trouble(self) -> str:
        """What went wrong and the administrator should know, or ""."""
        return self._subscriptions.trouble

    def stands(self, aor: str) -> bool:
        """Whether Kamailio has granted a subscription to this AOR."""
        return self._subscriptions.stands(aor)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is bound."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is one by its methods only

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Whatever does not come from Kamailio's host is nothing."""
        if addr[0] != self._watched.pbx.host:
            return
        received = self._subscriptions.receive(data, Flow(0, addr[0], addr[1]), self._clock.monotonic_ms())
        if received.answer is not None and self._transport is not None:
            self._transport.sendto(received.answer, addr)
        if received.held is not None:
            self._held(received.held)
        self._look_at_the_timer()

    def error_received(self, exc: Exception) -> None:
        """Nobody is there: it is asked again."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed: time ends."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._transport is None:
            return
        to = (self._watched.pbx.host, self._watched.pbx.port)
        for request in self._subscriptions.due(self._clock.monotonic_ms()):
            self._transport.sendto(request, to)
        self._look_at_the_timer()

    def _look_at_the_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        next_ms = self._subscriptions.next_timer()
        if next_ms is not None and self._transport is not None:
            in_ms = max(next_ms - self._clock.monotonic_ms(), GRAIN_MS)
            self._timer = asyncio.get_running_loop().call_later(in_ms / 1_000, self._look)


@asynccontextmanager
async def subscribed(
    here: Address, watched: Watched, held: Callable[[Held], None], clock: Clock
) -> AsyncIterator[RegEvent]:
    """A socket bound to `here`; LinkLostError. Kamailio ends what is left of it by itself: 481, or time."""
    loop = asyncio.get_running_loop()
    reg_event = RegEvent(here, watched, held, clock)
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: reg_event, local_addr=(here.host, here.port)
        )
    except OSError as error:
        raise LinkLostError(f"reg_event: {here}: {error.strerror or error}") from error
    try:
        yield reg_event
    finally:
        transport.close()
