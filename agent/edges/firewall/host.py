"""This host: which addresses are its own, and whether it forwards packets."""

import errno
import socket
from pathlib import Path

FORWARDING = {
    4: Path("/proc/sys/net/ipv4/ip_forward"),
    6: Path("/proc/sys/net/ipv6/conf/all/forwarding"),
}


def has_address(host: str) -> bool:
    """Whether an IP address is one of this host's: only then a socket may be bound to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False
    return True


def has_interface(name: str) -> bool:
    """Whether there is a network interface of this name."""
    return name in {interface for _, interface in socket.if_nameindex()}


def forwards(version: int) -> bool:
    """Whether this host passes on packets of IPv4 or IPv6 that are not for itself."""
    return FORWARDING[version].read_text().strip() != "0"


def forward(version: int, on: bool) -> None:
    """Let this host pass packets on, or no longer; OSError when it may not be changed."""
    FORWARDING[version].write_text("1\n" if on else "0\n")
