"""What takes a unit for as long as it goes on: a leg in a conference, an ISDN call, a login, a watched queue.

A use is one value with the name of its seat; several watches of one queue share a seat. Its row in the
agent's store is the same value, on disk before anyone hears that it was admitted.
"""

from typing import Final

import msgspec

from licensing.demand import (
    CARRIER_CALL,
    CONFERENCE_LEG,
    ISDN_CALL,
    MONITORED_QUEUE,
    OPERATOR_LOGIN,
    RELAY_LEG,
)
from licensing.offers import CHANNELS, OPERATOR, QUEUE_MONITOR

NO_CLIENT: Final = 0
CARRIER: Final = "carrier/"
"""Stands before the name of a carrier's line where else an ISDN interface is named."""


def _part(text: str) -> str:
    """A name that something follows behind a slash."""
    return text.replace("%", "%25").replace("/", "%2F")


def _of(licence: str, usual: str, word: str) -> str:
    """`login` of the usual licence, `attendant-login` of another: no other use has the same seat."""
    return word if licence == usual else f"{licence}-{word}"


class Leg(msgspec.Struct, frozen=True, omit_defaults=True, tag="leg"):
    """A call in a conference object; `relay`: on a Relay-Channel of the box that hosts it (2.4, L.r24)."""

    room: str
    call: str
    relay: bool = False
    licence: str = CHANNELS

    @property
    def seat(self) -> str:
        """The name that holders and history show."""
        return f"{_of(self.licence, CHANNELS, 'leg')}:{_part(self.room)}/{self.call}"

    @property
    def key(self) -> str:
        """What tells this use from every other."""
        return self.seat

    @property
    def kind(self) -> str:
        """Its row in `policy.kinds`."""
        if self.licence != CHANNELS:
            return _of(self.licence, CHANNELS, "leg")
        return RELAY_LEG if self.relay else CONFERENCE_LEG

    @property
    def group(self) -> str:
        """What it is looked up by: the call."""
        return self.call

    @property
    def software(self) -> int:
        """The release of the client, or 0: the PBX's is compared."""
        return NO_CLIENT


class LineCall(msgspec.Struct, frozen=True, omit_defaults=True, tag="call"):
    """A call over an ISDN interface of this box, or over one that nobody names (2.4, L.r20); or over a line
    of a carrier, which takes no licence.
    """

    call: str
    gateway: str
    interface: str = ""

    @property
    def seat(self) -> str:
        """The name that holders and history show."""
        return f"call:{self.call}"

    @property
    def key(self) -> str:
        """What tells this use from every other."""
        return self.seat

    @property
    def kind(self) -> str:
        """Its row in `policy.kinds`."""
        return CARRIER_CALL if self.interface.startswith(CARRIER) else ISDN_CALL

    @property
    def group(self) -> str:
        """What it is looked up by: the interface."""
        return self.interface

    @property
    def software(self) -> int:
        """The release of the client, or 0: the PBX's is compared."""
        return NO_CLIENT


class Login(msgspec.Struct, frozen=True, omit_defaults=True, tag="login"):
    """A client that is logged in, as Operator or otherwise; `client` tells two of one user apart (7.1)."""

    user: str
    software: int
    client: str = ""
    licence: str = OPERATOR

    @property
    def seat(self) -> str:
        """The name that holders and history show."""
        login = f"{_of(self.licence, OPERATOR, 'login')}:{_part(self.user)}"
        return f"{login}/{self.client}" if self.client else login

    @property
    def key(self) -> str:
        """What tells this use from every other."""
        return self.seat

    @property
    def kind(self) -> str:
        """Its row in `policy.kinds`."""
        return OPERATOR_LOGIN if self.licence == OPERATOR else _of(self.licence, OPERATOR, "login")

    @property
    def group(self) -> str:
        """What it is looked up by: the user."""
        return self.user


class Watch(msgspec.Struct, frozen=True, omit_defaults=True, tag="watch"):
    """A client that watches a queue, as Queue Monitor or otherwise; all such watches share a seat (7.2)."""

    queue: str
    client: str
    software: int
    licence: str = QUEUE_MONITOR

    @property
    def seat(self) -> str:
        """The name that holders and history show."""
        return f"{_of(self.licence, QUEUE_MONITOR, 'queue')}:{self.queue}"

    @property
    def key(self) -> str:
        """What tells this use from every other."""
        return f"{_of(self.licence, QUEUE_MONITOR, 'watch')}:{_part(self.queue)}/{self.client}"

    @property
    def kind(self) -> str:
        """Its row in `policy.kinds`."""
        return MONITORED_QUEUE if self.licence == QUEUE_MONITOR else _of(self.licence, QUEUE_MONITOR, "queue")

    @property
    def group(self) -> str:
        """What it is looked up by: the client."""
        return self.client


Use = Leg | LineCall | Login | Watch

_DECODER: msgspec.json.Decoder[Use] = msgspec.json.Decoder(Use)


def encode(use: Use) -> bytes:
    """The row for the store."""
    return msgspec.json.encode(use)


def decode(row: bytes) -> Use:
    """The use of a stored row; `msgspec.ValidationError` when it is none."""
    return _DECODER.decode(row)
