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
