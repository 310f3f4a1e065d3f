"""The watch over sources that send more than they may: who it is, said aloud; the worst are shut out.

A source over its limit is refused message by message, which costs the agent little but not nothing. Beyond
that the edge asks the kernel to drop it for a while; then it is looked at again, with its burst spent.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from agent.service.alarms import Alarms
from licensing.codes import Code
from runtime.clock import Clock
from runtime.logs import logger
from telephony.meter import Meter

LOOK_MS = 1_000
SHUT_OUT_AT = 5_000  # refused messages of one look; 2 us each
SHUT_OUT_MS = 10_000
SHUT_OUT_LIMIT = 16  # sources
FADES_MS = 10_000
NAMED = 3


class Edge(Protocol):
    """What the watch needs of the sockets of one PBX."""

    @property
    def dropped(self) -> int:
        """Messages that the kernel dropped since the start."""
        ...

    def shut_out(self, sources: Sequence[str]) -> None:
        """Let the kernel drop what these sources send, and nobody else's."""
        ...


class Floods:
    """The sources of one PBX that are over their limit; `dropped` counts what never arrived here."""

    def __init__(self, meter: Meter, limit_per_s: int, alarms: Alarms, clock: Clock, pbx: str) -> None:
        self._meter = meter
        self._limit_per_s = limit_per_s
        self._alarms = alarms
        self._clock = clock
        self._log = logger(pbx=pbx)
        self._seen_ms: dict[str, int] = {}
        self._until_ms: dict[str, int] = {}
        self.dropped = 0

    async def run(self, edge: Edge) -> None:
        """Look each second, for ever."""
        while True:
            await asyncio.sleep(LOOK_MS / 1_000)
            self.look(edge, self._clock.monotonic_ms())

    def look(self, edge: Edge, now_ms: int) -> None:
        """Shut out who floods, look again at who was, and raise or clear the alarm."""
        self.dropped = edge.dropped
        over = self._meter.over()
        if not over and not self._seen_ms:
            return
        before = set(self._until_ms)
        self._end(now_ms)
        self._begin(over, now_ms)
        if set(self._until_ms) != before:
            self._shut_out(edge)
        self._tell(now_ms)

    def _shut_out(self, edge: Edge) -> None:
        try:
            edge.shut_out(tuple(self._until_ms))
        except OSError as error:  # they are still refused here, one by one
            self._log.warning("flood.not_shut_out", error=str(error))

    def _end(self, now_ms: int) -> None:
        """Who has been shut out for its time may send again, without a burst."""
        for source in [source for source, until_ms in self._until_ms.items() if until_ms <= now_ms]:
            del self._until_ms[source]
            self._meter.exhaust(source, now_ms)
            self._seen_ms[source] = now_ms

    def _begin(self, over: Sequence[tuple[str, int]], now_ms: int) -> None:
        threshold = max(SHUT_OUT_AT, 4 * self._limit_per_s * LOOK_MS // 1_000)
        for source, refused in over[:SHUT_OUT_LIMIT]:
            self._seen_ms[source] = now_ms
            if refused >= threshold and len(self._until_ms) < SHUT_OUT_LIMIT:
                self._until_ms[source] = now_ms + SHUT_OUT_MS
                self._log.warning("flood.shut_out", source=source, refused=refused, for_ms=SHUT_OUT_MS)

    def _tell(self, now_ms: int) -> None:
        self._seen_ms = {
            source: seen_ms
            for source, seen_ms in self._seen_ms.items()
            if source in self._until_ms or now_ms - seen_ms < FADES_MS
        }
        if not self._seen_ms:
            self._alarms.clear(Code.FLOOD)
            return
        names = [*self._until_ms, *(source for source in self._seen_ms if source not in self._until_ms)]
        shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        self._alarms.raise_(
            Code.FLOOD,
            self._clock.wall_ms(),
            f"More than {self._limit_per_s} messages a second from {shown}: block it at the firewall, "
            f"or raise sip.limits if these are your phones.",
        )
