"""The strict reading of a message: what is wrong with it, as values (RFC 3261 sections 7, 10, 20; RFC 4475).

`validate` is applied to REGISTER; for other requests `check_routing` looks only at what routing depends on.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from telephony.sip import grammar
from telephony.sip import message as sip
from telephony.sip.contact import STAR, Contact, read_expires
from telephony.sip.message import Message

_REQUEST_URI: Final = re.compile(grammar.SCHEME + rb":[^<>\" \t\r\n]++")
_NOT_IN_CALL_ID: Final = bytes(range(0x21)) + b"\x7f,;"
_MANDATORY: Final = frozenset((sip.VIA, sip.FROM, sip.TO, sip.CALL_ID, sip.CSEQ))
_ADDRESSES: Final = (sip.ROUTE, sip.PATH, sip.RECORD_ROUTE)
_SINGLE: Final = frozenset(
    (sip.FROM, sip.TO, sip.CALL_ID, sip.CSEQ, sip.MAX_FORWARDS, sip.EXPIRES, sip.CONTENT_LENGTH)
)
# Few values are ever seen here; the Request-URIs of calls pass through.
CACHE_LIMIT: Final = 1_024
_NUMBERS: Final = ((sip.MAX_FORWARDS, 256), (sip.EXPIRES, 2**32))


class Problem(NamedTuple):
    """One thing wrong with a message: the header or part, and what it is."""

    where: str
    what: str


def validate(request: Message) -> list[Problem]:
    """Everything wrong with a request, read strictly; an empty list when nothing is."""
    found = check_routing(request)
    if not request.sound or not request.clean:
        found.append(Problem("head", "a line that is no header"))
    if not request.names >= _MANDATORY:
        found += [Problem(name.decode(), "missing") for name in sorted(_MANDATORY) if name not in request]
    if request.address(sip.FROM) is None:
        found.append(Problem("from", "malformed"))
    if request.address(sip.TO) is None:
        found.append(Problem("to", "malformed"))
    vias = request.elements(sip.VIA)
    if len(vias) > 1 and not all(map(grammar.read_via, vias)):
        found.append(Problem("via", "malformed"))
    for name in _ADDRESSES:
        if name in request and not all(map(grammar.read_address, request.elements(name))):
            found.append(Problem(name.decode(), "malformed"))
    return found


def check_routing(request: Message) -> list[Problem]:
    """What is wrong with the parts that routing reads: request line, top Via, CSeq, Call-ID, numbers."""
    found: list[Problem] = []
    if not _is_request_line(request.method, request.uri):
        found.append(Problem("request line", "malformed"))
    if request.via is None:
        found.append(Problem("via", "malformed"))
    if request.cseq_number < 0 or request.cseq_method != request.method:
        found.append(Problem("cseq", "malformed, or of another method"))
    call_id = request.call_id
    if not call_id or len(call_id.translate(None, _NOT_IN_CALL_ID)) != len(call_id):
        found.append(Problem("call-id", "malformed"))
    for name, limit in _NUMBERS:
        if name in request and not _is_number(request.value(name), limit):
            found.append(Problem(name.decode(), "not a number in its range"))
    if request.repeated:
        found += [Problem(name.decode(), "repeated") for name in request.repeated if name in _SINGLE]
    return found


@lru_cache(CACHE_LIMIT)
def _is_request_line(method: bytes, uri: bytes) -> bool:
    return grammar.is_token(method) and _REQUEST_URI.fullmatch(uri) is not None


@lru_cache(CACHE_LIMIT)
def _is_number(value: bytes, limit: int) -> bool:
    return grammar.read_number(value, limit) is not None


def check_contacts(request: Message, contacts: tuple[Contact, ...] | None) -> list[Problem]:
    """What is wrong with the contacts of a REGISTER; `*` stands alone and only with Expires: 0 (10.2.2)."""
    if contacts is None:
        return [Problem("contact", "malformed")]
    for contact in contacts:
        if contact.uri == STAR and (
            len(contacts) > 1 or sip.EXPIRES not in request or read_expires(request) != 0
        ):
            return [Problem("contact", "* needs Expires: 0 and no other contact")]
    return []
