"""The stream sockets of the agent: bound, and noticing a peer that is dead."""

import socket

from agent.endpoint import Endpoint
from runtime.activation import inherited

# A dead peer is found by the kernel: 30 s of silence and 4 probes, or 60 s after a send that nobody took.
LIVELY = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 30,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 10,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 4,
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 60_000,
}


def listening(endpoint: Endpoint) -> socket.socket:
    """A stream socket for `listen`, whose connections are lively too; OSError when the address is taken.

    The one that we inherited, where there is one.
    """
    given = inherited(*endpoint.bound)
    if given is not None:
        given.setblocking(False)
        _enliven(given)
        return given
    host, port = endpoint.address.host, endpoint.address.port
    return _bound(host, port, str(endpoint))


def outgoing(local: Endpoint) -> socket.socket:
    """A socket to connect from the address of this listener, so that the PBX sees the one it knows."""
    return _bound(local.address.host, 0, str(local))


def _bound(host: str, port: int, name: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _enliven(sock)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{name}: {error.strerror}") from error
    return sock


def _enliven(sock: socket.socket) -> None:
    for (level, option), value in LIVELY.items():
        sock.setsockopt(level, option, value)
