"""Contacts of a REGISTER and of its answer: which URIs, for how many seconds (RFC 3261 10.2 and 10.3)."""

from functools import lru_cache
from typing import Final, NamedTuple

from telephony.sip import grammar
from telephony.sip import message as sip
from telephony.sip.message import Message

# A phone says the same in each refresh: two entries per phone, so this serves 16,000 of them from the cache.
CACHE_LIMIT: Final = 32_768
CACHED_LENGTH: Final = 400
DEFAULT_EXPIRES_S: Final = 3_600
EXPIRES_LIMIT: Final = 2**32
STAR: Final = "*"


class Contact(NamedTuple):
    """One contact URI, or `*`, and the seconds asked for or granted; malformed ones count as an hour."""

    uri: str
    expires_s: int


def read_contacts(message: Message) -> tuple[Contact, ...] | None:
    """All contacts with their `expires`, else the Expires header, else an hour; None if one is malformed."""
    if sip.CONTACT not in message:
        return ()
    value, expires = message.value(sip.CONTACT), message.value(sip.EXPIRES)
    if sip.CONTACT in message.repeated:
        value = b",".join(message.elements(sip.CONTACT))
    if len(value) + len(expires) > CACHED_LENGTH:
        return _read_elements.__wrapped__(value, expires)
    return _read_elements(value, expires)


def read_expires(message: Message) -> int:
    """The Expires header in seconds; an hour when there is none or it is malformed."""
    return _read_seconds(message.value(sip.EXPIRES))


@lru_cache(CACHE_LIMIT)
def _read_elements(value: bytes, expires: bytes) -> tuple[Contact, ...] | None:
    found: list[Contact] = []
    for element in grammar.split_elements(value):
        address = grammar.read_address(element)
        if address is not None:
            own = grammar.read_params(address.params).get(b"expires")
            uri = address.uri.decode("utf-8", "backslashreplace")
            found.append(Contact(uri, _read_seconds(expires if own is None else own)))
        elif element.strip(b" \t\r\n") == b"*":
            found.append(Contact(STAR, _read_seconds(expires)))
        else:
            return None
    return tuple(found)


def _read_seconds(digits: bytes) -> int:
    seconds = grammar.read_number(digits, EXPIRES_LIMIT)
    return DEFAULT_EXPIRES_S if seconds is None else seconds
