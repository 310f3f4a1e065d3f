"""Who holds units of a class: a digest kept up to date with every change, and the names page by page."""

import hashlib
import heapq
from collections.abc import Iterable

from licensing.wire import HolderDigest, HolderPage

PAGE = 1_000


def fingerprint(name: str) -> int:
    """The first 64 bits of the SHA-256 of a name, so that XOR adds and removes it alike."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def digest(count: int, fingerprints: int) -> HolderDigest:
    """The digest of `count` names whose fingerprints are combined by XOR: 16 hex digits."""
    return HolderDigest(count, f"{fingerprints:016x}")


def page(class_: str, names: Iterable[str], after: str, size: int = PAGE) -> HolderPage:
    """The next `size` names in order after `after`; `last` when none follow."""
    found = heapq.nsmallest(size + 1, (name for name in names if name > after))
    return HolderPage(class_, after, tuple(found[:size]), last=len(found) <= size)
