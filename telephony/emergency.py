"""Which Request-URIs are emergency calls: they pass even from refused phones, always.

A number that the PBX gave to an extension too (17, 110) passes like the emergency number it is: the guard
cannot know what the PBX will make of it, and what it lets through in excess is a call to one extension.
"""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from telephony.address import read_aor
from telephony.countries import COUNTRIES
from telephony.sip.message import TO, Message

# Emergency numbers to every phone, wherever it is (3GPP TS 22.101, 10.1).
EVERYWHERE: Final = frozenset(("112", "911"))
# For a PBX whose country is not configured: no country's whole list, none of its phones without help.
ANYWHERE: Final = EVERYWHERE | {"999", "000", "15", "17", "18", "114", "118"}

_SEPARATORS: Final = re.compile(r"[-.() ]")
_SERVICE: Final = re.compile(rb"urn:service:sos(?:\..*)?", re.IGNORECASE)


def dialled(country: str | None, trunk_prefix: str, further: Iterable[str]) -> frozenset[str]:
    """Every way to dial an emergency number of this country (a key of COUNTRIES), or one of `further`.

    Plainly; behind the digits for an outside line; and, where the country is known, behind its country code
    with a plus, as phones write it that complete every number.
    """
    known = None if country is None else COUNTRIES[country]
    numbers = {*(ANYWHERE if known is None else EVERYWHERE.union(known.numbers)), *further}
    prefixes = {"", trunk_prefix} | (set() if known is None else {f"+{known.code}"})
    return frozenset([prefix + number for prefix in prefixes for number in numbers])


def is_emergency(uri: bytes, numbers: AbstractSet[str]) -> bool:
    """Whether this URI is `urn:service:sos` (RFC 5031) or one of these numbers (RFC 3966 separators)."""
    if _SERVICE.fullmatch(uri):
        return True
    aor = read_aor(uri)
    return aor is not None and _SEPARATORS.sub("", aor.user.partition(";")[0]) in numbers


def calls_for_help(invite: Message, numbers: AbstractSet[str]) -> bool:
    """Whether a call to a gateway is an emergency call: a PBX may write the number into the To alone."""
    to = invite.address(TO)
    return is_emergency(invite.uri, numbers) or (to is not None and is_emergency(to.uri, numbers))


def emergency_openings(numbers: AbstractSet[str]) -> dict[bytes, list[bytes]]:
    """How INVITEs to the service or these numbers begin, for a filter that only compares bytes.

    Each beginning with what may follow it, the shortest first; the filter passes a little more, and
    `is_emergency` decides.
    """
    wanted = sorted(numbers, key=lambda number: (len(number), number))
    shortest = [number for number in wanted if not any(map(number.startswith, numbers - {number}))]
    return {b"INVITE urn:service:sos": [b""], b"INVITE sip:": [number.encode() for number in shortest]}
