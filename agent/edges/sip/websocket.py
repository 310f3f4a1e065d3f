"""SIP in a WebSocket (RFC 7118): one message in each WebSocket message, subprotocol `sip`.

The protocol itself is the `websockets` library's, without its I/O. A browser says by Origin which page it
runs for; other programs need not.
"""

from collections import deque
from collections.abc import Sequence

from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.protocol import Event, State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from telephony.sip.message import SIZE_LIMIT
from telephony.sip.stream import Broken

SLICE = 512  # bytes read at once: a flood of tiny frames must not take a whole turn
GOING_AWAY = 1001


class WebSocket:
    """The server's side of one connection, as framing of a `Connection`."""

    def __init__(self, origins: Sequence[str] = ()) -> None:
        """Without `origins` every page may connect; else only those, and what is no browser."""
        allowed = [*map(Origin, origins), None] if origins else None
        self._protocol = ServerProtocol(
            origins=allowed, subprotocols=[Subprotocol("sip")], max_size=SIZE_LIMIT
        )
        self._arrived = bytearray()
        self._messages: deque[bytes] = deque()
        self._parts = bytearray()
        self._in_parts = False
        self.opened = False
        self.ended = False
        self.broken: Broken | None = None

    @property
    def mid_message(self) -> bool:
        """Whether a handshake, frame or message has begun and is not whole."""
        return self._in_parts or bool(self._protocol.reader.buffer)

    def feed(self, data: bytes) -> None:
        """Append what arrived."""
        self._arrived += data

    def take(self) -> bytes | None:
        """The next message; b"" when there is none yet and more to read, None when more must arrive."""
        if not self._messages and self._arrived and self.broken is None and not self.ended:
            piece = bytes(self._arrived[:SLICE])
            del self._arrived[:SLICE]
            self._protocol.receive_data(piece)
            for event in self._protocol.events_received():
                self._heard(event)
            trouble = self._protocol.handshake_exc or self._protocol.parser_exc
            if trouble is not None:
                self.broken = Broken(f"WebSocket: {trouble}")
        if self._messages:
            return self._messages.popleft()
        return b"" if self._arrived and self.broken is None and not self.ended else None

    def wrap(self, message: bytes) -> bytes:
        """The frame of a message: text, as browsers like it, where it is text."""
        try:
            message.decode()
        except UnicodeDecodeError:
            self._protocol.send_binary(message)
        else:
            self._protocol.send_text(message)
        return self.pending()

    def pending(self) -> bytes:
        """What the protocol itself has to send: its answer to the handshake, pongs, a goodbye."""
        return b"".join(self._protocol.data_to_send())

    def finish(self) -> bytes:
        """The goodbye."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(GOING_AWAY)
        return self.pending()

    def _heard(self, event: Event) -> None:
        if isinstance(event, Request):
            response = self._protocol.accept(event)
            self._protocol.send_response(response)
            self.opened = response.status_code == 101
            return
        assert not hasattr(event, "status_code"), "a server gets no responses"
        if event.opcode is Opcode.CLOSE:
            self.ended = True
        elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._parts += event.data
            self._in_parts = not event.fin
            if event.fin:
                self._messages.append(bytes(self._parts))
                self._parts.clear()
