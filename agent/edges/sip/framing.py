"""How messages lie in the bytes of a connection: one after the other, or each in a frame of its own."""

from typing import Protocol

from telephony.sip.stream import Broken, Framer


class Framing(Protocol):
    """What a connection needs to know of it; `Plain` and `WebSocket` have it."""

    @property
    def opened(self) -> bool:
        """Whether messages may be sent."""

    @property
    def ended(self) -> bool:
        """Whether the peer has said goodbye."""

    @property
    def broken(self) -> Broken | None:
        """Why nothing more can be read."""

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and is not whole."""

    def feed(self, data: bytes) -> None:
        """Append what arrived."""

    def take(self) -> bytes | None:
        """The next message or keep-alive; b"" to be asked again, None when more must arrive."""

    def wrap(self, message: bytes) -> bytes:
        """The bytes of a message that is to be sent."""

    def pending(self) -> bytes:
        """What the framing itself has to send now."""

    def finish(self) -> bytes:
        """What it has to send before the end."""


class Plain:
    """Messages one after the other, as over TCP and TLS."""

    opened = True
    ended = False

    def __init__(self) -> None:
        self._framer = Framer()
        self.feed = self._framer.feed
        self.take = self._framer.take

    @property
    def broken(self) -> Broken | None:
        """Why nothing more can be read."""
        return self._framer.broken

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and is not whole."""
        return self._framer.mid_message

    def wrap(self, message: bytes) -> bytes:
        """The message as it is."""
        return message

    def pending(self) -> bytes:
        """Nothing."""
        return b""

    def finish(self) -> bytes:
        """Nothing."""
        return b""
