"""HTTP connections that cannot be had for nothing: few of one source, a request head small and in time.

uvicorn on httptools bounds none of these; a body is the application's to bound.
"""

import asyncio
from collections import Counter

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from runtime.sources import source_of

HEAD_BYTES = 65_536
HEAD_S = 10.0
UNREAD_S = 2.0  # for the rest of a request that is answered already: who sends it may read the answer first
REST_BYTES = 16 * 1_048_576  # of a request behind its head, read or not


class Crowd:
    """The connections of one listener by their source: an IPv4 address or an IPv6 /64."""

    def __init__(self, per_source: int) -> None:
        self._per_source = per_source
        self._sources: Counter[str] = Counter()

    def enter(self, source: str) -> bool:
        """One more; False when that is one too many."""
        self._sources[source] += 1
        return self._sources[source] <= self._per_source

    def leave(self, source: str) -> None:
        """One less."""
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]


class Connection(HttpToolsProtocol):
    """One connection of a crowd."""

    def __init__(
        self, config: Config, state: ServerState, loop: asyncio.AbstractEventLoop, crowd: Crowd
    ) -> None:
        super().__init__(config, state, {}, loop)
        self._crowd = crowd
        self._source = ""
        self._in_head = True  # waiting for a request, or for the rest of its head
        self._begun = False  # the first byte of a head has come, the last has not
        self._head_bytes = self._rest_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._source = source_of(self.client[0]) if self.client else ""
        if self._crowd.enter(self._source):
            self._expect_head()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self._source)
        self._drop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._rest_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if (self._begun and self._head_bytes > HEAD_BYTES) or self._rest_bytes > REST_BYTES:
            self.transport.abort()
        elif self._in_head and (self._begun or not self._answering):
            self._expect_head()

    def on_message_begin(self) -> None:
        self._in_head = self._begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes after a body is a trailer: nobody reads it
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = self._begun = False
        self._head_bytes = self._rest_bytes = 0
        self._drop_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head:  # it was answered before it had ended: the rest must come soon
            self._expect_head(UNREAD_S)

    def _expect_head(self, within_s: float = HEAD_S) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(within_s, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.abort()

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def _answering(self) -> bool:
        """Whether a request has come that is not answered yet."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete
