"""Contacts of a REGISTER and of its answer: which URIs, for how many seconds (RFC 3261 10.2 and 10.3)."""

from typing import NamedTuple

from telephony.sip import grammar
from telephony.sip import message as sip
from telephony.sip.message import Message

DEFAULT_EXPIRES_S = 3_600
EXPIRES_LIMIT = 2**32
STAR = "*"


class Contact(NamedTuple):
    """One contact URI, or `*`, and the seconds asked for or granted; malformed ones count as an hour."""

    uri: str
    expires_s: int


def read_contacts(message: Message) -> tuple[Contact, ...] | None:
    """All contacts with their `expires`, else the Expires header, else an hour; None if one is malformed."""
    if sip.CONTACT not in message:
        return ()
    found: list[Contact] = []
    for element in message.elements(sip.CONTACT):
        address = grammar.read_address(element)
        if address is not None:
            uri = address.uri.decode("utf-8", "backslashreplace")
            found.append(Contact(uri, _own_expires(address.params, message)))
        elif element.strip(b" \t\r\n") == b"*":
            found.append(Contact(STAR, read_expires(message)))
        else:
            return None
    return tuple(found)


def _own_expires(params: bytes, message: Message) -> int:
    before, found, after = params.partition(b";expires=")
    if found and b'"' not in before:
        own: bytes | None = after.partition(b";")[0]
    else:
        own = grammar.read_params(params).get(b"expires") if b"xpires" in params.lower() else None
    if own is None:
        return read_expires(message)
    seconds = grammar.read_number(own, EXPIRES_LIMIT)
    return DEFAULT_EXPIRES_S if seconds is None else seconds


def read_expires(message: Message) -> int:
    """The Expires header in seconds; an hour when there is none or it is malformed."""
    seconds = grammar.read_number(message.value(sip.EXPIRES), EXPIRES_LIMIT)
    return DEFAULT_EXPIRES_S if seconds is None else seconds
