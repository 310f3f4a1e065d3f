"""Syslog around a call record: the message of RFC 3164 and RFC 5424, and messages cut out of TCP (RFC 6587).

The header is not the PBX's word on a call: a record begins behind it.
"""

import re
from typing import Final

from telephony.cdr.reading import MAX_RECORD, Piece

_RFC3164: Final = re.compile(
    rb"(?:<[0-9]{1,3}>)?[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} "
    rb"(?:[^\s:\[{<=,\"]{1,255} )?"  # host
    rb"(?:[^\s:\[{<=,\"]{1,64}(?:\[[0-9]{1,10}\])?: ?)?"  # tag and process
)
_RFC5424: Final = re.compile(
    rb"<[0-9]{1,3}>1 (?:\S{1,255} ){5}"
    rb"(?:-|(?:\[(?:[^\]\"\\]|\\.|\"(?:[^\"\\]|\\.)*\")*\])+)"  # structured data
    rb"(?: (?:\xef\xbb\xbf)?|$)",
    re.DOTALL,
)
_BARE: Final = re.compile(rb"<[0-9]{1,3}>")
_COUNT: Final = re.compile(rb"([1-9][0-9]{0,6}) ")


def message_of(datagram: bytes) -> bytes:
    """What was said: without priority, time, host and tag, as far as they are there."""
    for header in (_RFC5424, _RFC3164, _BARE):
        match = header.match(datagram)
        if match is not None:
            return datagram[match.end() :]
    return datagram


class Octets:
    """Cuts a stream into messages: `LENGTH SPACE message` by the count, or lines, as the other side begins.

    A message of more than MAX_RECORD bytes comes in pieces of that size.
    """

    begins: Final = re.compile(rb"\n|(?=[1-9][0-9]{0,6} <[0-9]{1,3}>)")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._due = 0
        """Bytes of a counted message, longer than a record may be, that must still come."""

    @property
    def unfinished(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Piece]:
        """Take what arrived; the messages that are whole now."""
        self._buffer += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return [Piece(message) for message in messages if message.strip()]

    def end(self) -> list[Piece]:
        """Nothing more comes: what is left is a message too, whatever its count says."""
        match = None if self._due else _COUNT.match(self._buffer)
        rest, self._buffer, self._due = bytes(self._buffer[match.end() if match else 0 :]), bytearray(), 0
        return [Piece(rest)] if rest.strip() else []

    def _next(self) -> bytes | None:
        match = None if self._due else _COUNT.match(self._buffer)
        if match is None and not self._due:
            perhaps_a_count = self._buffer[:8].isdigit() and len(self._buffer) < 8
            return None if perhaps_a_count else self._line()
        head, due = (match.end(), int(match[1])) if match else (0, self._due)
        size = min(due, MAX_RECORD)
        if len(self._buffer) < head + size:
            return None
        del self._buffer[:head]
        self._due = due - size
        return self._cut(size)

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", 0, MAX_RECORD)
        if end >= 0:
            return self._cut(end + 1)
        return self._cut(MAX_RECORD) if len(self._buffer) >= MAX_RECORD else None

    def _cut(self, size: int) -> bytes:
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece
