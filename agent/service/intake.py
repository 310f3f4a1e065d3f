"""Which messages are read and when: each source within its limit, and who sent much at once after the others.

A burst of one source waits here and not in the socket's buffer, which all phones share: what others send
overtakes it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from runtime.clock import Clock
from telephony.address import Flow
from telephony.guard import Guard
from telephony.meter import Meter

Arrived = tuple[bytes, Flow]
TakeIn = Callable[[Sequence[Arrived], int], None]

URGENT_PER_S, URGENT_BURST = 10, 20  # emergency calls of one source that is over its limit
CATCH_UP = 16  # waiting messages that are served between two looks at the sockets
BACKLOG_BYTES = 8 * 1024 * 1024
BACKLOG_MESSAGES = 10_000


class Intake:
    """The messages of one PBX on their way to `take_in`, which gets them in the order of their arrival."""

    def __init__(self, meter: Meter, guard: Guard, take_in: TakeIn, clock: Clock) -> None:
        self.meter = meter
        self.lost = 0
        self._urgent = Meter(URGENT_PER_S, URGENT_BURST)
        self._guard = guard
        self._take_in = take_in
        self._clock = clock
        self._backlog: deque[Arrived] = deque()
        self._bytes = 0

    @property
    def behind(self) -> bool:
        """Whether messages wait."""
        return bool(self._backlog)

    @property
    def refused(self) -> int:
        """Messages that were not read: their source was over its limit, or the backlog was full."""
        return self.meter.refused + self.lost

    def turn(self, arrived: Sequence[Arrived], now_ms: int) -> None:
        """The datagrams of one turn; the meter is asked about each before it is read."""
        admitted, later, refused = self.meter.sort(arrived, now_ms)
        if later:
            self._put_off(later, admitted)
        if refused:
            admitted += [message for message in refused if self.urgent(*message, now_ms)]
        self._take_in(admitted, now_ms)

    def urgent(self, data: bytes, flow: Flow, now_ms: int) -> bool:
        """Whether a message that the meter refused is read all the same: an emergency call, within bounds."""
        return self._guard.is_urgent(data) and self._urgent.admit(flow.host, now_ms) > 0

    def close(self) -> None:
        """Serve nothing more."""
        self._backlog.clear()

    def _put_off(self, later: Sequence[Arrived], admitted: list[Arrived]) -> None:
        """Let these wait until the sockets have been looked at again; emergency calls do not wait."""
        if not self._backlog:
            asyncio.get_running_loop().call_soon(self._catch_up)
        for message in later:
            size = len(message[0])
            if self._guard.is_urgent(message[0]):
                admitted.append(message)
            elif len(self._backlog) < BACKLOG_MESSAGES and self._bytes + size <= BACKLOG_BYTES:
                self._backlog.append(message)
                self._bytes += size
            else:
                self.lost += 1  # as UDP may

    def _catch_up(self) -> None:
        """Serve a few of those that wait; what arrives meanwhile has its turn in between."""
        served = [self._backlog.popleft() for _ in range(min(CATCH_UP, len(self._backlog)))]
        if not served:
            return
        self._bytes -= sum(len(data) for data, _ in served)
        self._take_in(served, self._clock.monotonic_ms())
        if self._backlog:
            asyncio.get_running_loop().call_soon(self._catch_up)
