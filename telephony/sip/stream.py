"""Cuts a stream of bytes into SIP messages and keep-alives, in order (RFC 3261 18.3, RFC 5626 4.4.1).

On a stream only Content-Length says where a message ends: one that is missing, doubled or no number leaves
nothing that could be found again, and the connection must end.
"""

import re
from dataclasses import dataclass

from telephony.sip.message import SIZE_LIMIT

KEEP_ALIVE = b"\r\n\r\n"
HEAD_END = b"\r\n\r\n"

_LENGTH = re.compile(
    rb"\r\n(?:[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]|[Ll])[ \t]*:"
    rb"((?>(?:[^\r]++|\r(?!\n)|\r\n(?=[ \t]))*))"
)  # the whole value, folded or not, as `scan` reads it
_BEGINNING = re.compile(rb"[A-Za-z0-9\-.!%*_+`'~]")
_DIGITS = re.compile(rb"[ \t\r\n]*([0-9]{1,10})[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Broken:
    """The stream cannot be read on: why, and the head that said so (b"" when it had no end)."""

    why: str
    head: bytes = b""


class Framer:
    """Feed it what arrives, then `take` until None; it holds at most `limit` bytes of an unfinished message.

    The units do not depend on how the bytes were split. What follows `Broken` is dropped.
    """

    __slots__ = ("_buffer", "_limit", "_needed", "_searched", "broken", "mid_message")

    def __init__(self, limit: int = SIZE_LIMIT) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self._needed = 0
        self._searched = 0
        self.broken: Broken | None = None
        self.mid_message = False

    def feed(self, data: bytes) -> None:
        """Append what arrived."""
        if self.broken is None:
            self._buffer += data

    def take(self) -> bytes | None:
        """The next whole message, or KEEP_ALIVE; None when more must arrive or the stream is `broken`.

        A single CRLF between messages is skipped: it answers a keep-alive, or does no harm (RFC 3261 7.5).
        """
        buffer = self._buffer
        while not self._needed and buffer[:1] == b"\r":
            if buffer.startswith(KEEP_ALIVE):
                del buffer[:4]
                return KEEP_ALIVE
            if KEEP_ALIVE.startswith(buffer):
                return None  # perhaps the rest of a keep-alive comes
            if not buffer.startswith(b"\r\n"):
                self._break("what stands between messages is no empty line")
                return None
            del buffer[:2]
        if not self.mid_message and buffer and not _BEGINNING.match(buffer):
            self._break("what arrived is no SIP")
            return None
        if not self._needed and not self._find_end():
            self.mid_message = self.broken is None and bool(buffer)
            return None
        if len(buffer) < self._needed:
            self.mid_message = True
            return None
        unit = bytes(buffer[: self._needed])
        del buffer[: self._needed]
        self._needed = self._searched = 0
        self.mid_message = False
        return unit

    def _find_end(self) -> bool:
        """Whether the head is whole; then `_needed` is the size of the message."""
        buffer = self._buffer
        end = buffer.find(HEAD_END, self._searched)
        if end < 0:
            self._searched = max(0, len(buffer) - len(HEAD_END) + 1)
            if len(buffer) > self._limit:
                self._break(f"a header of more than {self._limit} bytes")
            return False
        head = bytes(buffer[: end + 2])
        length = _read_length(head, self._limit)
        if isinstance(length, str):
            self._break(length, head + b"\r\n")
            return False
        size = end + len(HEAD_END) + length
        if size > self._limit:
            self._break(f"a message of more than {self._limit} bytes", head + b"\r\n")
            return False
        self._needed = size
        return True

    def _break(self, why: str, head: bytes = b"") -> None:
        """There is nothing more to take."""
        self.broken = Broken(why, head)
        self.mid_message = False
        self._buffer.clear()


def _read_length(head: bytes, limit: int) -> int | str:
    """The Content-Length of a head that ends in CRLF, or what is wrong with it."""
    values = _LENGTH.findall(head)
    if not values:
        return "Content-Length is missing"
    if len(values) > 1:
        return "Content-Length stands there twice"
    match = _DIGITS.fullmatch(values[0])
    if match is None:
        return "Content-Length is not a number"
    return min(int(match[1]), limit + 1)
