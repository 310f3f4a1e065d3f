"""The grammar of SIP header values as regular expressions assembled from named parts (RFC 3261 section 25).

A value may hold folds (CRLF and a blank): they count as white space. Repetitions are possessive, so that no
input makes them backtrack for long; those of groups are written `(?>(?:…)*)`, for `(?:…)*+` matches wrongly
in Python before 3.11.5 (gh-106052). Readers answer None for what does not fit.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

TOKEN: Final = rb"[A-Za-z0-9\-.!%*_+`'~]++"
QUOTED: Final = rb'"(?>(?:[^"\\]|\\.)*)"'
LWS: Final = rb"[ \t\r\n]*+"
BLANK: Final = rb"[ \t\r\n]++"
HOST: Final = rb"(?:\[[0-9A-Fa-f:.]++(?>(?:%25[A-Za-z0-9]++)?)\]|[A-Za-z0-9_][A-Za-z0-9_.\-]*+)"
PARAM_VALUE: Final = rb"(?:" + QUOTED + rb'|[^ \t\r\n;,"<>]++)'
_VALUE: Final = rb"(?>(?:" + LWS + rb"=" + LWS + PARAM_VALUE + rb")?)"
PARAMS: Final = rb"(?>(?:" + LWS + rb";" + LWS + TOKEN + _VALUE + rb")*)"
PLAIN_PARAMS: Final = rb"(?>(?:;[A-Za-z0-9\-.!%*_+`'~=:\[\]]++(?>(?:(?<==)\"[^\"\\]*+\")?))*)"
SCHEME: Final = rb"[A-Za-z][A-Za-z0-9+.\-]*+"

_PARAM: Final = re.compile(
    rb";" + LWS + rb"(" + TOKEN + rb")(?>(?:" + LWS + rb"=" + LWS + rb"(" + PARAM_VALUE + rb"))?)"
)  # fmt: skip
_TOKEN: Final = re.compile(TOKEN)
_PLAIN_ADDRESS: Final = re.compile(
    rb" ?(?:\"[^\"\\]*+\" ?)?<([Ss][Ii][Pp][Ss]?:[^<>\" \t\r\n]++)>" + b"(" + PLAIN_PARAMS + b")"
)
_BRANCH: Final = re.compile(
    rb";" + LWS + rb"[Bb][Rr][Aa][Nn][Cc][Hh]" + LWS + rb"=" + LWS + rb"([^ \t\r\n;,]++)"
)
# What nearly all Vias begin with; everything else is read by _VIA.
_PLAIN_VIA: Final = re.compile(
    rb" SIP/2\.0/[A-Z]++ ([A-Za-z0-9.\-]++(?>(?::[0-9]{1,5})?))(" + PLAIN_PARAMS + rb")"
)
_PLAIN_PARAMS: Final = re.compile(PLAIN_PARAMS)
# What branches and tags are made of, nearly all.
_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~=:[]"
_VIA: Final = re.compile(
    LWS + rb"[Ss][Ii][Pp]" + LWS + rb"/" + LWS + rb"2\.0" + LWS + rb"/" + LWS + TOKEN + BLANK
    + rb"(" + HOST + rb"(?>(?:" + LWS + rb":" + LWS + rb"[0-9]{1,5})?))(" + PARAMS + rb")" + LWS
)  # fmt: skip
_ADDRESS: Final = re.compile(
    LWS + rb"(?:(?:" + QUOTED + rb"|[^\"<>,;:@]*+)" + LWS + rb"<(" + SCHEME + rb":[^<>\" \t\r\n]++)>"
    + rb"|(" + SCHEME + rb":[^<>\",;? \t\r\n]++))(" + PARAMS + rb")" + LWS
)  # fmt: skip
_ELEMENT: Final = re.compile(rb"(?>(?:" + QUOTED + rb'|<(?>(?:[^<>]*+>)?)|[^",<])+)')

# As numbers: bytes find a number at once, a text of one byte only by a detour of twenty times the cost.
COMMA: Final = 0x2C
QUOTE: Final = 0x22
SEQUENCE_LIMIT: Final = 2**31
ELEMENT_LIMIT: Final = 500
# A phone repeats itself: From, To and the begin of its Via come again in each refresh, of 10,000 phones too.
# Branches and tags, which are others in each call, are not kept with it: that is 15 MB for nothing.
CACHE_LIMIT: Final = 32_768
CACHED_LENGTH: Final = 200
_FROM_TAG: Final = b";ftag="  # Kamailio and OpenSIPS write it into each Record-Route


class Via:
    """One Via element: sent-by as written, branch, raw parameters and where those begin in it (20.42)."""

    __slots__ = ("branch", "params", "params_at", "sent_by")

    def __init__(self, sent_by: bytes, branch: bytes, params: bytes, params_at: int) -> None:
        self.sent_by = sent_by
        self.branch = branch
        self.params = params
        self.params_at = params_at


class Address(NamedTuple):
    """One name-addr or addr-spec: its URI and the raw text of its header parameters (RFC 3261 20.10)."""

    uri: bytes
    params: bytes


def read_params(text: bytes) -> dict[bytes, bytes]:
    """Read `;name=value;flag` into lower-case names; a flag has the value b""; the first of equals wins."""
    found: dict[bytes, bytes] = {}
    for name, value in _PARAM.findall(text):
        found.setdefault(name.lower(), value)
    return found


def is_token(text: bytes) -> bool:
    """Whether this is one token."""
    return _TOKEN.fullmatch(text) is not None


def read_via(value: bytes) -> Via | None:
    """Read exactly one Via element."""
    begin, found, after = value.partition(b";branch=")
    if found and len(begin) <= CACHED_LENGTH:
        branch, semicolon, rest = after.partition(b";")
        plain = _read_plain_begin(begin)
        if plain is not None and branch and not branch.translate(None, _PLAIN):
            sent_by, params_at = plain
            if not semicolon or (len(rest) <= CACHED_LENGTH and _is_plain_rest(rest)):
                return Via(sent_by, branch, value[params_at:], params_at)
    match = _VIA.fullmatch(value)
    if match is None:
        return None
    search = _BRANCH.search(match[2])
    return Via(match[1], b"" if search is None else search[1], match[2], match.start(2))


@lru_cache(CACHE_LIMIT)
def _read_plain_begin(begin: bytes) -> tuple[bytes, int] | None:
    """The sent-by of a Via up to its branch, and where its parameters begin."""
    match = _PLAIN_VIA.fullmatch(begin)
    return None if match is None else (match[1], match.start(2))


@lru_cache(CACHE_LIMIT)
def _is_plain_rest(rest: bytes) -> bool:
    return _PLAIN_PARAMS.fullmatch(b";" + rest) is not None


def read_address(value: bytes) -> Address | None:
    """Read exactly one address: From, To, or one element of Contact, Route, Record-Route, Path."""
    known = len(value) <= CACHED_LENGTH and value.find(_FROM_TAG) < 0
    return _known_address(value) if known else _read_address(value)


def _read_address(value: bytes) -> Address | None:
    match = _PLAIN_ADDRESS.fullmatch(value)
    if match is not None:
        return Address(match[1], match[2])
    match = _ADDRESS.fullmatch(value)
    if match is None:
        return None
    bracketed, bare, params = match.groups()
    return Address(bracketed or bare, params)


_known_address = lru_cache(CACHE_LIMIT)(_read_address)


def read_tagged(value: bytes) -> tuple[Address | None, bytes]:
    """Read From or To: its address, with or without the tag among the parameters, and the tag or b""."""
    before, found, tag = value.partition(b";tag=")
    if found and tag and not tag.translate(None, _PLAIN):
        address = read_address(before)
        if address is None:
            return None, b""
        if not address.params:
            return address, tag
    address = read_address(value)
    if address is None or not address.params:
        return address, b""
    return address, read_params(address.params).get(b"tag", b"")


def read_cseq(value: bytes) -> tuple[int, bytes]:
    """Read number and method of a CSeq (RFC 3261 20.16); the number is -1 when malformed or too large."""
    words = value.split()
    if len(words) != 2 or not words[0].isdigit() or len(words[0]) > 20:
        return -1, b""
    number = int(words[0])
    return (number if number < SEQUENCE_LIMIT else -1), words[1]


def split_elements(value: bytes, most: int = ELEMENT_LIMIT) -> list[bytes]:
    """Split at commas outside of quotes and angle brackets; joined by commas it is the same.

    Only `most` elements are cut off; the rest is the last one, and malformed when it holds more.
    """
    if COMMA not in value:
        return [value]
    elements: list[bytes] = []
    start = position = 0
    while position < len(value):
        match = _ELEMENT.match(value, position)
        if match is not None:
            position = match.end()
        elif value[position : position + 1] == b'"':
            break  # an unclosed quote takes the rest
        if value[position : position + 1] == b",":
            elements.append(value[start:position])
            start = position = position + 1
            if len(elements) == most:
                break
    elements.append(value[start:])
    return elements


def read_number(value: bytes, limit: int) -> int | None:
    """Read 1 to 10 digits (blanks around them) whose value is below `limit`."""
    digits = value.strip(b" \t\r\n")
    if not digits.isdigit() or len(digits) > 10:
        return None
    number = int(digits)
    return number if number < limit else None
