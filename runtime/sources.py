"""Who counts as one source of requests."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address


@lru_cache(maxsize=4_096)  # every request asks
def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 that an IPv6 address is in."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket has none
        return address
    if not isinstance(known, IPv6Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(IPv6Address(int(known) >> 64 << 64))
