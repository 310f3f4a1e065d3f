"""Sockets that were opened for us and stay open while we restart: systemd's socket activation.

Source: sd_listen_fds(3): LISTEN_PID names the process they are meant for, LISTEN_FDS counts them from
descriptor 3 on, LISTEN_FDNAMES names them. Any parent can do the same.
"""

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

FIRST_DESCRIPTOR = 3
TRANSPORTS = {socket.SOCK_DGRAM: "udp", socket.SOCK_STREAM: "tcp"}

Wanted = tuple[socket.SocketKind, str, int]
"""SOCK_DGRAM or SOCK_STREAM, IP address (IPv6 without brackets), port."""


@dataclass(frozen=True, slots=True)
class _Given:
    descriptor: int
    name: str
    bound: Wanted | None
    fault: str = ""

    def __str__(self) -> str:
        named = f" ({self.name})" if self.name else ""
        if self.bound is None:
            return f"descriptor {self.descriptor}{named}"
        kind, host, port = self.bound
        shown = f"[{host}]" if ":" in host else host
        return f"{TRANSPORTS[kind]}:{shown}:{port}{named}"


def inherited(
    kind: socket.SocketKind, host: str, port: int, environment: Mapping[str, str] = os.environ
) -> socket.socket | None:
    """The socket of this kind that we inherited bound to this IP address and port; None when there is none.

    A stream socket listens already. Each call returns a duplicate, which the caller closes. Its buffers are
    what the parent made them: setting them again could only make them smaller.
    """
    for given in _given(environment):
        if given.bound is not None and _same(given.bound, (kind, host, port)):
            return _duplicate(given.descriptor)
    return None


def complaints(wanted: Iterable[Wanted], environment: Mapping[str, str] = os.environ) -> list[str]:
    """What is wrong with the inherited sockets, in sentences: unusable, or none of those wanted.

    Nothing may rot: datagrams would pile up in a socket that nobody reads, and their senders wait.
    """
    missing = list(wanted)
    found: list[str] = []
    for given in _given(environment):
        match = next((want for want in missing if given.bound and _same(given.bound, want)), None)
        if match is not None:
            missing.remove(match)
        if given.fault:
            found.append(f"{given}: {given.fault}")
        elif match is None:
            found.append(f"{given}: no listener of the configuration has this transport and address")
    return found


def _given(environment: Mapping[str, str]) -> Iterator[_Given]:
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":") + [""] * count
    for descriptor, name in zip(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count), names, strict=False):
        yield _examined(descriptor, name)


def _examined(descriptor: int, name: str) -> _Given:
    try:
        os.set_inheritable(descriptor, False)  # meant for us alone, not for what we start
        sock = _duplicate(descriptor)
    except OSError as error:  # not open, or a pipe
        return _Given(descriptor, name, None, f"{error.strerror}")
    with sock:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type not in TRANSPORTS:
            return _Given(descriptor, name, None, "not a UDP or TCP socket")
        host, port = sock.getsockname()[:2]
        return _Given(descriptor, name, (sock.type, host, port), _fault(sock, host))


def _duplicate(descriptor: int) -> socket.socket:
    return socket.fromfd(descriptor, -1, -1)  # -1: as the socket says itself


def _fault(sock: socket.socket, host: str) -> str:
    if sock.type == socket.SOCK_STREAM and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "it does not listen; Accept=no is right in its unit"
    wildcard = ip_address(host) == IPv6Address(0)
    if wildcard and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        return "it takes IPv4 too; write BindIPv6Only=ipv6-only in its unit"
    return ""


def _same(one: Wanted, other: Wanted) -> bool:
    return (one[0], ip_address(one[1]), one[2]) == (other[0], ip_address(other[1]), other[2])
