"""What single header fields and URIs must look like in the strict reading (RFC 3261 sections 20 and 25).

Each reader says whether one raw value fits; a value may hold folds. Repetitions are possessive.
"""

import re
from typing import Final

from telephony.sip import grammar
from telephony.sip.grammar import BLANK, HOST, LWS, QUOTED, SCHEME, TOKEN

_USER: Final = rb"(?>(?:[^@<>\" \t\r\n]++@)?)"
_PORT: Final = rb"(?>(?::[0-9]{1,5})?)"
# A sip or sips URI ends before any header: those belong into contacts, never into a Request-URI (19.1.1).
_REQUEST_URI: Final = re.compile(
    rb"[Ss][Ii][Pp][Ss]?:" + _USER + HOST + _PORT + rb"(?>(?:;[^@?<>\" \t\r\n]++)?)"
    + rb"|(?![Ss][Ii][Pp][Ss]?:)" + SCHEME + rb":[^<>\" \t\r\n]++"
)  # fmt: skip

_SECONDS: Final = rb"[0-9]{1,10}"
_COMMENT: Final = rb"(?>(?:" + LWS + rb"\([^\r\n]*\))?)"
_PARAM: Final = TOKEN + LWS + rb"=" + LWS + rb"(?:" + QUOTED + rb'|[^ \t\r\n",]++)'
_CREDENTIALS: Final = re.compile(
    LWS + TOKEN + BLANK + rb"(?:" + _PARAM + rb"(?>(?:" + LWS + rb"," + LWS + _PARAM + rb")*)"
    + rb"|[A-Za-z0-9\-._~+/]++=*+)" + LWS
)  # fmt: skip
# What nearly all credentials look like, if they hold no backslash; everything else is read by _CREDENTIALS.
_PLAIN_PARAM: Final = rb'[A-Za-z0-9_\-]++=(?:"[^"]*+"|[^", \t\r\n]++)'
_PLAIN_CREDENTIALS: Final = re.compile(
    rb" [A-Za-z]++ " + _PLAIN_PARAM + rb"(?>(?:, ?+" + _PLAIN_PARAM + rb")*)"
)
_BACKSLASH: Final = ord("\\")
_DATE: Final = re.compile(
    LWS + rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] "
    + rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    + rb"[0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT" + LWS
)  # fmt: skip
_RETRY_AFTER: Final = re.compile(
    LWS + rb"(" + _SECONDS + rb")" + _COMMENT + rb"(?>(?:" + LWS + rb";" + LWS + _PARAM + rb")*)" + LWS
)
_FRACTION: Final = rb"(?>(?:\.[0-9]{0,20})?)"
_TIMESTAMP: Final = re.compile(
    LWS + rb"[0-9]{1,20}" + _FRACTION + rb"(?>(?:" + BLANK + rb"[0-9]{0,20}" + _FRACTION + rb")?)" + LWS
)
_WARNING: Final = re.compile(
    LWS + rb"[0-9]{3} (?:" + TOKEN + rb"|" + HOST + _PORT + rb") " + QUOTED + LWS
)  # fmt: skip


def is_request_uri(uri: bytes) -> bool:
    """Whether this may stand in a request line (RFC 3261 8.1.1.1): no blanks, no brackets, no headers."""
    return _REQUEST_URI.fullmatch(uri) is not None


def is_credentials(value: bytes) -> bool:
    """Whether this is a scheme and its parameters, or a scheme and one token (20.7; RFC 8898)."""
    if _BACKSLASH not in value and _PLAIN_CREDENTIALS.fullmatch(value) is not None:
        return True
    return _CREDENTIALS.fullmatch(value) is not None


def is_date(value: bytes) -> bool:
    """Whether this is a date in GMT; SIP knows no other zone (20.17)."""
    return _DATE.fullmatch(value) is not None


def is_retry_after(value: bytes) -> bool:
    """Whether this is a number of seconds of at most 32 bits, perhaps a comment and parameters (20.33)."""
    match = _RETRY_AFTER.fullmatch(value)
    return match is not None and int(match[1]) < 2**32


def is_seconds(value: bytes) -> bool:
    """Whether this is a number of seconds of at most 32 bits (20.19, 20.23)."""
    return grammar.read_number(value, 2**32) is not None


def is_timestamp(value: bytes) -> bool:
    """Whether these are one or two decimal numbers (20.38)."""
    return _TIMESTAMP.fullmatch(value) is not None


def are_warnings(value: bytes) -> bool:
    """Whether each element has a code of three digits, an agent and a quoted text (20.43)."""
    return all(map(_WARNING.fullmatch, grammar.split_elements(value)))


def are_addresses(value: bytes) -> bool:
    """Whether each element is an address: Route, Record-Route, Path."""
    return all(map(grammar.read_address, grammar.split_elements(value)))
