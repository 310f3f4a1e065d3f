"""Why `scan` refuses a message, and as much of a request as an answer needs (RFC 3261 18.3, 21.5.6)."""

import re
from typing import Final, NamedTuple

from telephony.sip.message import LINE_LIMIT, SIZE_LIMIT, Message

_UNFOLDED_END: Final = re.compile(rb"\r\n(?![ \t])")
_START: Final = re.compile(rb"[^ ]++ [^ ]++ SIP/2\.0|SIP/2\.0 [1-6][0-9][0-9] .*+", re.DOTALL)
_OTHER_VERSION: Final = re.compile(rb"[^ ]++ [^ ]++ SIP/(?!2\.0)[0-9]{1,9}\.[0-9]{1,9}")


class Refused(NamedTuple):
    """What is wrong, the status that says so, and the request to answer; None when it cannot be answered."""

    what: str
    status: int
    request: Message | None


def read_refused(data: bytes, method: bytes) -> Refused:
    """Read what `scan` refused; only a request of this method is taken apart."""
    head, end, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if len(data) > SIZE_LIMIT:
        return Refused(f"larger than {SIZE_LIMIT} bytes", 400, None)
    if not end:
        return Refused("no empty line after the headers", 400, None)
    lines = _UNFOLDED_END.split(head)
    if len(lines) > LINE_LIMIT:
        return Refused(f"more than {LINE_LIMIT} lines of headers", 400, None)
    what, status = _read_defect(lines[0])
    if not lines[0].startswith(method + b" "):
        return Refused(what, status, None)
    return Refused(what, status, Message((method, b"", 0), head, len(lines) - 1, lines, body))


def _read_defect(first: bytes) -> tuple[str, int]:
    if _OTHER_VERSION.fullmatch(first):
        return "request line: another version than SIP/2.0", 505
    if not _START.fullmatch(first):
        return "request line: not METHOD URI SIP/2.0", 400
    return "content-length: no number, or more than there is", 400
