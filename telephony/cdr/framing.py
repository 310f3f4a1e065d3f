"""Cuts a stream of bytes into records: lines, blocks of lines, XML elements, JSON objects, in bounded memory.

What a framer gives follows from the bytes alone, however they were split. A record that does not end is cut
off where the next one may begin, and the stream goes on from there; no byte but white space is lost.
"""

import re
from enum import Enum, auto
from typing import Final

from telephony.cdr.reading import MAX_RECORD, Piece, Reason


def _too_long(raw: bytes | bytearray) -> Piece:
    return Piece(bytes(raw), Reason.TOO_LONG, "longer or deeper than a record may be, or without its end")


def _malformed(raw: bytes | bytearray, detail: str) -> list[Piece]:
    return [Piece(bytes(raw).strip(), Reason.MALFORMED, detail)] if raw.strip() else []


class Lines:
    """A record is a line, ended by LF or CRLF; empty lines are none.

    A line of more than `limit` bytes comes in pieces of that size, each `too_long`.
    """

    begins: Final = re.compile(rb"\n")

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._overlong = False

    @property
    def unfinished(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Piece]:
        self._buffer += data
        pieces: list[Piece] = []
        if b"\n" in data:
            *lines, self._buffer = self._buffer.split(b"\n")
            for line in lines:
                pieces += self._line(line)
        return pieces + self._overrun(self._buffer)

    def end(self) -> list[Piece]:
        line, self._buffer = self._buffer, bytearray()
        return self._line(line)

    def _line(self, line: bytearray) -> list[Piece]:
        pieces = self._overrun(line)
        if self._overlong:
            self._overlong = False
            return [*pieces, _too_long(line)]
        whole = bytes(line).removesuffix(b"\r")
        return [Piece(whole)] if whole.strip() else []

    def _overrun(self, line: bytearray) -> list[Piece]:
        """What is too much of this line, cut off."""
        pieces = []
        while len(line) > self._limit:
            self._overlong = True
            pieces.append(_too_long(line[: self._limit]))
            del line[: self._limit]
        return pieces


class Blocks:
    """A record is some lines up to an empty one, as in AMI; what is too long comes as for `Lines`."""

    _END: Final = re.compile(rb"\r?\n\r?\n")
    _END_SIZE: Final = 4

    begins: Final = _END

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._overlong = False

    @property
    def unfinished(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Piece]:
        self._buffer += data
        buffer, pieces = self._buffer, []
        while True:
            end = self._END.search(buffer, self._searched, self._limit + self._END_SIZE)
            if end is not None:
                pieces += self._block(buffer[: end.start()])
                del buffer[: end.end()]
            elif len(buffer) >= self._limit + self._END_SIZE:
                self._overlong = True
                pieces.append(_too_long(buffer[: self._limit]))
                del buffer[: self._limit]
            else:
                self._searched = max(0, len(buffer) - self._END_SIZE + 1)
                return pieces
            self._searched = 0

    def end(self) -> list[Piece]:
        block, self._buffer, self._searched = self._buffer, bytearray(), 0
        return self._block(block)

    def _block(self, block: bytearray) -> list[Piece]:
        if self._overlong:
            self._overlong = False
            return [_too_long(block)] if block else []
        whole = bytes(block).strip(b"\r\n")
        return [Piece(whole)] if whole.strip() else []


class Elements:
    """A record is an XML element `<name …>…</name>`; one document may follow the other.

    Before it may stand a syslog header and an XML declaration. What else stands there, and an element that
    begins again before it has ended, is `malformed`.
    """

    # A syslog header, which has a priority or begins with a date; an XML declaration.
    _PROLOGUE: Final = re.compile(
        rb"(?:(?:<[0-9]{1,3}>|[A-Z][a-z]{2} [ 0-9][0-9] |[0-9]{4}-)[^<>]{0,256})?"
        rb"(?:<\?xml [^<>]{0,100}\?>)?\s{0,16}"
    )
    _END_SIZE: Final = 32

    def __init__(self, name: bytes, limit: int = MAX_RECORD) -> None:
        self._limit = limit
        self.begins: Final = re.compile(rb"(?=<%b[\s/>])" % name)
        self._begin = re.compile(rb"<%b(?=[\s/>])" % name)
        self._end = re.compile(rb"</%b\s{0,8}>" % name)
        self._buffer = bytearray()
        self._searched = 0

    @property
    def unfinished(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Piece]:
        self._buffer += data
        buffer, pieces = self._buffer, list[Piece]()
        while True:
            if buffer[:1].isspace():
                buffer[:] = buffer.lstrip()
                self._searched = 0
            end = self._end.search(buffer, self._searched, self._limit)
            if end is not None:
                pieces += self._split(bytes(buffer[: end.end()]))
                del buffer[: end.end()]
                self._searched = 0
            elif len(buffer) >= self._limit:
                again = self._begin.search(buffer, 1, self._limit)
                size = self._limit if again is None else again.start()
                pieces.append(_too_long(buffer[:size]))
                del buffer[:size]
                self._searched = max(0, self._limit - size - self._END_SIZE)
            else:
                self._searched = max(0, len(buffer) - self._END_SIZE)
                return pieces

    def end(self) -> list[Piece]:
        rest, self._buffer, self._searched = self._buffer, bytearray(), 0
        return _malformed(rest, "the element does not end")

    def _split(self, raw: bytes) -> list[Piece]:
        """One record, after what stands before it and does not belong there."""
        begins = [match.start() for match in self._begin.finditer(raw)]
        if not begins:
            return _malformed(raw, "the element ends and did not begin")
        at = begins[-1]
        if len(begins) == 1 and self._PROLOGUE.fullmatch(raw, 0, at):
            return [Piece(raw)]
        return [*_malformed(raw[:at], "what stands before the element is no record"), Piece(raw[at:])]


class _Found(Enum):
    """What a look at a stream of objects found."""

    NOTHING = auto()
    BEGINNING = auto()
    END = auto()
    TOO_MUCH = auto()


_DEPTH: Final = {b"{": 1, b"}": -1}


class Objects:
    """A record is a JSON object; between them may stand white space, commas and the brackets of a list.

    Where a line begins with `{` or `[{` a record begins, even if the one before it has not ended, which is
    `malformed`.
    """

    # What says nothing and whole texts; then a text without its end (JSON has no line ends in it), the
    # beginning of a line, or a brace. It is matched where the last one ended: a search would take the square.
    _TEXT: Final = rb"\"(?>(?:[^\"\\\n]|\\.)*)"
    _TOKEN: Final = re.compile(rb"(?>(?:[^\"{}\n]|" + _TEXT + rb"\")*)(" + _TEXT + rb"|\n\[?\{?|[{}])")
    _BEGINNING: Final = re.compile(rb"\n\[?\{")

    begins: Final = re.compile(rb"\n(?=\[?\{)")

    _BETWEEN: Final = b" \t\r\n,[]"
    _MAX_DEPTH: Final = 64

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._depth = 0
        self._skipping = False  # within what was too long or too deep, until a record begins on a new line

    @property
    def unfinished(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Piece]:
        self._buffer += data
        pieces: list[Piece] = []
        while (found := self._skipped() if self._skipping else self._next()) is not None:
            pieces += found
        return pieces

    def end(self) -> list[Piece]:
        return self._before(len(self._buffer), "the object does not end")

    def _next(self) -> list[Piece] | None:
        """What comes next, perhaps nothing worth a piece; None when more must arrive first."""
        what, at = self._scan()
        match what:
            case _Found.END:
                return [Piece(bytes(self._drop(at)))]
            case _Found.BEGINNING:
                return self._before(at, "what stands here is no record, or a record that does not end")
            case _Found.TOO_MUCH:
                self._skipping, self._searched = True, 0
                return []
            case _Found.NOTHING:
                return None

    def _scan(self) -> tuple["_Found", int]:
        """Look on from where the last look ended: what is found, and how many bytes are before or in it."""
        while match := self._TOKEN.match(self._buffer, self._searched):
            at, token = match.start(1), match[1]
            if at >= self._limit:
                break
            if self._is_open(token, match.end()):
                self._searched = at
                return (_Found.TOO_MUCH if len(self._buffer) > self._limit else _Found.NOTHING), 0
            self._searched = match.end()
            if self._BEGINNING.fullmatch(token) or (token == b"{" and at and not self._depth):
                return _Found.BEGINNING, match.end() - 1
            self._depth += _DEPTH.get(bytes(token[:1]), 0) if self._depth or token == b"{" else 0
            if token == b"}" and not self._depth:
                return _Found.END, match.end()
            if self._depth > self._MAX_DEPTH:
                return _Found.TOO_MUCH, 0
        else:
            self._searched = len(self._buffer)
        return (_Found.TOO_MUCH if len(self._buffer) > self._limit else _Found.NOTHING), 0

    def _is_open(self, token: bytes, end: int) -> bool:
        """Whether what follows may change what this token is."""
        rest = bytes(self._buffer[end : end + 2])
        if token[:1] == b'"':
            return rest in (b"", b"\\")
        return not rest and token[:1] == b"\n" and token[-1:] != b"{"

    def _skipped(self) -> list[Piece] | None:
        """More of what is given up, as `_next`."""
        begin = self._BEGINNING.search(self._buffer, self._searched)
        if begin is not None and begin.end() - 1 <= self._limit:
            return [_too_long(self._drop(begin.end() - 1))]
        if len(self._buffer) > self._limit:
            piece = _too_long(self._drop(self._limit))
            self._skipping = True
            return [piece]
        self._searched = max(0, len(self._buffer) - 2)
        return None

    def _before(self, size: int, detail: str) -> list[Piece]:
        """The first bytes, which are no record; none if they say nothing."""
        raw = self._drop(size).strip(b" \t\r\n")
        return [Piece(bytes(raw), Reason.MALFORMED, detail)] if raw.strip(self._BETWEEN) else []

    def _drop(self, size: int) -> bytearray:
        """Cut off the first bytes; what follows begins anew."""
        raw = self._buffer[:size]
        del self._buffer[:size]
        self._searched = self._depth = 0
        self._skipping = False
        return raw
