"""A lazy scanner over the bytes of one SIP message, with an edit list.

`scan` cuts the head into header lines and indexes those the guard looks at; values are read on demand. What
is not edited is forwarded byte for byte: header order, spelling, compact forms, folds and unknown headers.
"""

import re
from collections.abc import KeysView
from typing import Final

from telephony.sip import grammar
from telephony.sip.grammar import Address, Via

SIZE_LIMIT: Final = 65_535
LINE_LIMIT: Final = 1_000

VIA: Final = b"via"
MAX_FORWARDS: Final = b"max-forwards"
FROM: Final = b"from"
TO: Final = b"to"
CALL_ID: Final = b"call-id"
CSEQ: Final = b"cseq"
CONTACT: Final = b"contact"
EXPIRES: Final = b"expires"
AUTHORIZATION: Final = b"authorization"
PROXY_AUTHORIZATION: Final = b"proxy-authorization"
CONTENT_LENGTH: Final = b"content-length"
ROUTE: Final = b"route"
RECORD_ROUTE: Final = b"record-route"
PATH: Final = b"path"
DATE: Final = b"date"
TIMESTAMP: Final = b"timestamp"
WARNING: Final = b"warning"
RETRY_AFTER: Final = b"retry-after"
MIN_EXPIRES: Final = b"min-expires"
SESSION_EXPIRES: Final = b"session-expires"
REPLACES: Final = b"replaces"
REFER_TO: Final = b"refer-to"

# Method, Request-URI and 0 of a request; two empty strings and the status of a response.
StartLine = tuple[bytes, bytes, int]

_UNFOLDED_END: Final = re.compile(rb"\r\n(?![ \t])")
_COMPACT: Final = {
    VIA: b"v", FROM: b"f", TO: b"t", CALL_ID: b"i", CONTACT: b"m", CONTENT_LENGTH: b"l",
    SESSION_EXPIRES: b"x", REFER_TO: b"r",
}  # fmt: skip
_INDEXED: Final = (
    VIA, MAX_FORWARDS, FROM, TO, CALL_ID, CSEQ, CONTACT, EXPIRES, AUTHORIZATION, PROXY_AUTHORIZATION,
    CONTENT_LENGTH, ROUTE, RECORD_ROUTE, PATH, DATE, TIMESTAMP, WARNING, RETRY_AFTER, MIN_EXPIRES,
    SESSION_EXPIRES, REPLACES, REFER_TO,
)  # fmt: skip
# Spellings seen most, so that most lines need one look-up; b"" marks a header that is not indexed.
_SPELLINGS: Final[dict[bytes, bytes]] = {
    **{name: name for name in _INDEXED},
    **{compact: name for name, compact in _COMPACT.items()},
    **{name.title(): name for name in _INDEXED},
    b"Call-ID": CALL_ID,
    b"CSeq": CSEQ,
    **dict.fromkeys(
        (b"User-Agent", b"Allow", b"Supported", b"Server", b"Content-Type", b"Require", b"Event"),
        b"",
    ),
}
_BLANKS: Final = b" \t\r\n"


class Message:
    """One request (`method`, `uri`) or response (`status`); `cseq_number` is -1 when CSeq is malformed.

    Values are named by the lower-case long header name. Edits are a mapping from line number to new text
    (b"" takes the line out; several lines are joined by CRLF); they leave the message itself as it was.
    """

    __slots__ = (
        "_ends", "_head", "_numbers", "_repeats", "_values", "body", "cseq_method",
        "cseq_number", "lines", "method", "sound", "status", "uri", "via",
    )  # fmt: skip

    def __init__(self, start: StartLine, head: bytes, ends: int, lines: list[bytes], body: bytes) -> None:
        self.method, self.uri, self.status = start
        self._head, self._ends = head, ends
        self.lines = lines
        self.body = body
        self._numbers: dict[bytes, int] = {}
        self._values: list[bytes] = []
        self._repeats: list[tuple[bytes, int]] = []
        self.sound = True
        self._index_headers()
        self.via: Via | None = self._read_top_via()
        self.cseq_number, self.cseq_method = grammar.read_cseq(self.value(CSEQ))

    def _index_headers(self) -> None:
        numbers, values, spellings = self._numbers, self._values, _SPELLINGS
        for line in self.lines:
            spelled, colon, value = line.partition(b":")
            name = spellings.get(spelled)
            if name is None and values:  # the first line is no header
                name = self._read_name(spelled, colon)
            if name and numbers.setdefault(name, len(values)) != len(values):
                self._repeats.append((name, len(values)))
            values.append(value)

    def _read_name(self, spelled: bytes, colon: bytes) -> bytes:
        """A header name in an unusual spelling; what is no header name makes the message unsound."""
        spelled = spelled.rstrip(b" \t")
        if not colon or not grammar.is_token(spelled):
            self.sound = False
        return _SPELLINGS.get(spelled.lower(), b"")

    def _read_top_via(self) -> Via | None:
        value = self.value(VIA)
        if grammar.COMMA in value:
            value = grammar.split_elements(value, 1)[0]
        return grammar.read_via(value)

    @property
    def clean(self) -> bool:
        """Whether CR and LF are only line ends and folds, and nothing else is where others may split."""
        return len(self._head) - len(self._head.translate(None, b"\r\n\v\f\0")) == 2 * self._ends

    @property
    def is_request(self) -> bool:
        """Whether this is a request."""
        return not self.status

    def __contains__(self, name: bytes) -> bool:
        return name in self._numbers

    @property
    def repeated(self) -> list[bytes]:
        """The indexed headers that stand on more than one line, once for each further line."""
        return [name for name, _ in self._repeats] if self._repeats else []

    @property
    def names(self) -> KeysView[bytes]:
        """The indexed headers it has."""
        return self._numbers.keys()

    def line(self, name: bytes) -> int | None:
        """The number of the first line of a header."""
        return self._numbers.get(name)

    def line_numbers(self, name: bytes) -> list[int]:
        """The numbers of all lines of a header, in order."""
        first = self._numbers.get(name)
        if first is None:
            return []
        return [first] + [number for other, number in self._repeats if other == name]

    def value(self, name: bytes) -> bytes:
        """The raw value of the first line of a header; b"" when there is none."""
        number = self._numbers.get(name)
        return b"" if number is None else self._values[number]

    def elements(self, name: bytes) -> list[bytes]:
        """The raw elements of a comma-separated header over all its lines."""
        found: list[bytes] = []
        for number in self.line_numbers(name):
            found += grammar.split_elements(self._values[number])
        return found

    def address(self, name: bytes) -> Address | None:
        """The single address of From or To; its tag may be missing in the parameters."""
        return grammar.read_tagged(self.value(name))[0]

    def tag(self, name: bytes) -> bytes:
        """The tag of From or To; b"" when there is none."""
        return grammar.read_tagged(self.value(name))[1]

    @property
    def call_id(self) -> bytes:
        """The Call-ID without blanks around it."""
        return self.value(CALL_ID).strip(_BLANKS)

    @property
    def authorized(self) -> bool:
        """Whether the request carries credentials."""
        return AUTHORIZATION in self._numbers or PROXY_AUTHORIZATION in self._numbers

    def cut_body(self) -> bool:
        """Cut the body to Content-Length; False when there is less (RFC 3261 18.3)."""
        if CONTENT_LENGTH not in self._numbers:
            return True
        length = grammar.read_number(self.value(CONTENT_LENGTH), SIZE_LIMIT)
        if length is None:
            return False
        if length != len(self.body):
            self.body = self.body[:length]
        return length == len(self.body)

    def build(self, edits: dict[int, bytes]) -> bytes:
        """The bytes of the message with these lines changed and all others as they came."""
        lines = self.lines.copy()
        for number, text in edits.items():
            lines[number] = text
        if b"" in edits.values():
            for number in sorted(edits, reverse=True):
                if not edits[number]:
                    del lines[number]
        lines.append(b"")
        lines.append(self.body)
        return b"\r\n".join(lines)

    def without_top(self, name: bytes, count: int = 1) -> dict[int, bytes]:
        """The edits that take the first `count` elements out of a comma-separated header."""
        first = self._numbers.get(name)
        if count == 1 and first is not None and grammar.COMMA not in self._values[first]:
            return {first: b""}
        edits: dict[int, bytes] = {}
        for number in self.line_numbers(name):
            if not count:
                break
            spelled, _, value = self.lines[number].partition(b":")
            elements = grammar.split_elements(value, count)
            kept = b"".join(elements[count:])
            edits[number] = spelled + b":" + kept if kept else b""
            count -= min(count, len(elements))
        return edits


def scan(data: bytes) -> Message | None:
    """Read one datagram or framed message; None when it is no SIP message or shorter than it says.

    What follows a body of Content-Length bytes is cut off (RFC 3261 18.3): it must not pass as a message.
    """
    message = scan_head(data)
    return message if message is not None and message.cut_body() else None


def scan_head(data: bytes) -> Message | None:
    """Read a message whatever its Content-Length says, for an answer to a broken one."""
    if data[:1] == b"\r":
        data = data.lstrip(b"\r\n")
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or len(data) > SIZE_LIMIT:
        return None
    lines = head.split(b"\r\n")
    start = _read_start_line(lines[0])
    if start is None or len(lines) > LINE_LIMIT:
        return None
    ends = len(lines) - 1
    message = Message(start, head, ends, lines, body)
    if not message.sound:  # perhaps it is only folded
        message = Message(start, head, ends, _UNFOLDED_END.split(head), body)
    return message


def _read_start_line(line: bytes) -> StartLine | None:
    words = line.split(b" ", 2)
    if len(words) != 3:
        return None
    first, second, third = words
    if third == b"SIP/2.0":
        return (first, second, 0) if first and second else None
    if first == b"SIP/2.0" and len(second) == 3 and second.isdigit() and b"100" <= second < b"700":
        return b"", b"", int(second)
    return None
