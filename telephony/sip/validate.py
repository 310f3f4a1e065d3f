"""The strict reading of a message: what is wrong with it, as values (RFC 3261 sections 7, 10, 20; RFC 4475).

`validate` is applied to REGISTER; for other requests `check_routing` looks only at what routing depends on.
It is strict where two readers could understand a message differently, and lenient where the RFC says how to
read what is malformed (the `expires` of a contact) or where real phones err and nobody is misled (display
names of other characters than tokens have, but without separators).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from telephony.sip import grammar, syntax
from telephony.sip import message as sip
from telephony.sip.contact import STAR, Contact, read_contacts
from telephony.sip.message import Message

# Few Request-URIs and numbers are ever seen in REGISTERs; those of calls pass through.
CACHE_LIMIT: Final = 1_024
CACHED_LENGTH: Final = 200

_CR: Final = 0x0D
_NOT_IN_CALL_ID: Final = bytes(range(0x21)) + b"\x7f,;"
_FOLD: Final = re.compile(rb"\r\n(?=[ \t])")
_ODD: Final = re.compile(rb"[\r\n\v\f\0]")
_QUOTED: Final = re.compile(grammar.QUOTED)
_QUOTED_PAIR: Final = re.compile(rb"\\[^\r\n]")
_SINGLE: Final = frozenset(
    (sip.FROM, sip.TO, sip.CALL_ID, sip.CSEQ, sip.MAX_FORWARDS, sip.EXPIRES, sip.CONTENT_LENGTH)
)
# Headers that few messages have, and what one line of each must look like.
_FIELDS: Final[dict[bytes, Callable[[bytes], bool]]] = {
    sip.RECORD_ROUTE: syntax.are_addresses,
    sip.PATH: syntax.are_addresses,
    sip.PROXY_AUTHORIZATION: syntax.is_credentials,
    sip.DATE: syntax.is_date,
    sip.TIMESTAMP: syntax.is_timestamp,
    sip.WARNING: syntax.are_warnings,
    sip.RETRY_AFTER: syntax.is_retry_after,
    sip.MIN_EXPIRES: syntax.is_seconds,
}
_RARE: Final = frozenset(_FIELDS)
# An answer names this many problems, so that it stays shorter than the request.
NAMED_LIMIT: Final = 3


class Problem(NamedTuple):
    """One thing wrong with a message: the header or part, and what it is."""

    where: str
    what: str


def describe(problems: list[Problem]) -> str:
    """The first few of these for people."""
    return "; ".join(f"{problem.where}: {problem.what}" for problem in problems[:NAMED_LIMIT])


def validate(message: Message) -> list[Problem]:
    """Everything wrong with a request or response, read strictly; an empty list when nothing is."""
    return check_head(message) + check_contacts(message, read_contacts(message))


def check_head(message: Message) -> list[Problem]:
    """Everything wrong but the contacts: who wants to know those, too, reads them only once."""
    found = check_routing(message) if message.is_request else _check_common(message)
    if not message.sound or _CR in message.lines[0] or not (message.clean or _is_clean(message.lines)):
        found.append(Problem("head", "a line that is no header"))
    if message.address(sip.FROM) is None:
        found.append(Problem("from", "malformed" if sip.FROM in message else "missing"))
    if message.address(sip.TO) is None:
        found.append(Problem("to", "malformed" if sip.TO in message else "missing"))
    several = grammar.COMMA in message.value(sip.VIA) or sip.VIA in message.repeated
    if several and not all(map(grammar.read_via, message.elements(sip.VIA)[1:])):
        found.append(Problem("via", "malformed below the topmost"))
    if sip.AUTHORIZATION in message and not _each_line(message, sip.AUTHORIZATION, syntax.is_credentials):
        found.append(Problem("authorization", "malformed"))
    if not message.names.isdisjoint(_RARE):
        odd = [name for name in _FIELDS if name in message and not _each_line(message, name, _FIELDS[name])]
        found += [Problem(name.decode(), "malformed") for name in odd]
    return found


def check_routing(request: Message) -> list[Problem]:
    """What is wrong with the parts of a request that routing reads: request line, CSeq, top Via, Routes."""
    found = _check_common(request)
    if len(request.method) + len(request.uri) > CACHED_LENGTH or not _is_request_line(
        request.method, request.uri
    ):
        if not grammar.is_token(request.method):
            found.append(Problem("request line", "the method is no token"))
        if not syntax.is_request_uri(request.uri):
            found.append(Problem("request line", "a malformed Request-URI, or one with headers"))
    if request.cseq_method != request.method and request.cseq_number >= 0:
        found.append(Problem("cseq", "names another method"))
    if sip.ROUTE in request and not _each_line(request, sip.ROUTE, syntax.are_addresses):
        found.append(Problem("route", "malformed"))
    return found


def _check_common(message: Message) -> list[Problem]:
    """What is wrong with the parts that routing reads and that responses have, too."""
    found: list[Problem] = []
    names = message.names
    if message.via is None:
        found.append(Problem("via", "malformed" if sip.VIA in names else "missing"))
    if message.cseq_number < 0:
        found.append(Problem("cseq", "malformed or above its range" if sip.CSEQ in names else "missing"))
    call_id = message.call_id
    if not call_id or len(call_id.translate(None, _NOT_IN_CALL_ID)) != len(call_id):
        found.append(Problem("call-id", "malformed" if sip.CALL_ID in names else "missing"))
    if sip.MAX_FORWARDS in names and not _is_number(message.value(sip.MAX_FORWARDS), 2**8):
        found.append(Problem("max-forwards", "not a number from 0 to 255"))
    if sip.EXPIRES in names and not _is_number(message.value(sip.EXPIRES), 2**32):
        found.append(Problem("expires", "not a number of seconds below 2**32"))
    repeated = message.repeated
    if repeated:
        found += [Problem(name.decode(), "repeated") for name in sorted(_SINGLE.intersection(repeated))]
    return found


def _is_number(value: bytes, limit: int) -> bool:
    return len(value) <= CACHED_LENGTH and _is_short_number(value, limit)


@lru_cache(CACHE_LIMIT)
def _is_short_number(value: bytes, limit: int) -> bool:
    return grammar.read_number(value, limit) is not None


@lru_cache(CACHE_LIMIT)
def _is_request_line(method: bytes, uri: bytes) -> bool:
    return grammar.is_token(method) and syntax.is_request_uri(uri)


def _each_line(message: Message, name: bytes, fits: Callable[[bytes], bool]) -> bool:
    """Whether the value on each line of this header fits."""
    if name not in message.repeated:
        return fits(message.value(name))
    return all(fits(message.lines[number].partition(b":")[2]) for number in message.line_numbers(name))


def _is_clean(lines: list[bytes]) -> bool:
    """Whether CR and LF are only line ends and folds, and NUL is nowhere but in quoted pairs (25.1)."""
    unquoted = [_QUOTED.sub(_without_pairs, line) for line in lines]
    return _ODD.search(_FOLD.sub(b"", b"".join(unquoted))) is None


def _without_pairs(quoted: re.Match[bytes]) -> bytes:
    """A quoted string without its quoted pairs."""
    return _QUOTED_PAIR.sub(b"", quoted[0])


def check_contacts(message: Message, contacts: tuple[Contact, ...] | None) -> list[Problem]:
    """What is wrong with Contact; `*` stands alone, in a REGISTER, and only with Expires: 0 (10.2.2)."""
    if contacts is None:
        return [Problem("contact", "malformed")]
    for contact in contacts:
        if contact.uri == STAR:
            ended = grammar.read_number(message.value(sip.EXPIRES), 1) == 0
            if len(contacts) > 1 or not ended or message.method != b"REGISTER":
                return [Problem("contact", "* needs REGISTER, Expires: 0 and no other contact")]
    return []
