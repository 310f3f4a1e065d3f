"""Which Request-URIs are emergency calls: they pass even from refused phones."""

import re
from collections.abc import Set as AbstractSet
from typing import Final

from telephony.address import read_aor

_SEPARATORS: Final = re.compile(r"[-.() ]")
_SERVICE: Final = re.compile(rb"urn:service:sos(?:\..*)?", re.IGNORECASE)


def is_emergency(uri: bytes, numbers: AbstractSet[str]) -> bool:
    """Whether this URI is `urn:service:sos` (RFC 5031) or one of these numbers (RFC 3966 separators)."""
    if _SERVICE.fullmatch(uri):
        return True
    aor = read_aor(uri)
    return aor is not None and _SEPARATORS.sub("", aor.user.partition(";")[0]) in numbers


def emergency_openings(numbers: AbstractSet[str]) -> dict[bytes, list[bytes]]:
    """How INVITEs to the service or these numbers begin, for a filter that only compares bytes.

    Each beginning with what may follow it; the filter passes a little more, and `is_emergency` decides.
    """
    wanted = sorted(numbers)
    shortest = [number for number in wanted if not any(map(number.startswith, numbers - {number}))]
    return {b"INVITE urn:service:sos": [b""], b"INVITE sip:": [number.encode() for number in shortest]}
