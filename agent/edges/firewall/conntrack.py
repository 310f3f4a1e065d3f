"""The kernel's memory of connections: what was tracked before a table changed would go on as it was."""

import socket
from collections.abc import Iterable, Iterator
from typing import Any

from pyroute2 import NFCTSocket
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

from agent.edges.firewall.passage import Passage
from agent.endpoint import Address

PROTOCOLS = {"udp": socket.IPPROTO_UDP, "tcp": socket.IPPROTO_TCP}


def forget(passages: Iterable[Passage]) -> int:
    """Forget what goes to or comes from where the passages begin, so that it is decided anew; how many.

    The next packet of a phone goes where the tables say now; a TCP connection to the former end is reset,
    and the phone opens another. OSError where the kernel does not let us, or tracks nothing.
    """
    forgotten = 0
    for passage in passages:
        family = socket.AF_INET6 if ":" in passage.of.host else socket.AF_INET
        try:
            with NFCTSocket(nfgen_family=family) as kernel:
                for connection in set(_connections(kernel, family, passage)):
                    forgotten += _forget(kernel, NFCTAttrTuple(family, *connection))
        except NetlinkError as error:
            raise OSError(error.code, f"connections are not forgotten: {error}") from error
    return forgotten


def _connections(kernel: Any, family: int, passage: Passage) -> Iterator[tuple[Any, ...]]:
    """Source, destination, protocol and ports of each. The kernel filters by port, we by address."""
    protocol, port = PROTOCOLS[passage.protocol], passage.of.port
    for wanted in (
        NFCTAttrTuple(family, proto=protocol, dport=port),
        NFCTAttrTuple(family, proto=protocol, sport=port),
    ):
        for entry in kernel.dump(tuple_orig=wanted):
            seen = NFCTAttrTuple.from_netlink(family, entry.get_attr("CTA_TUPLE_ORIG"))
            if seen.proto == protocol and (
                _is(passage.of, seen.daddr, seen.dport) or _is(passage.of, seen.saddr, seen.sport)
            ):
                yield seen.saddr, seen.daddr, seen.proto, seen.sport, seen.dport


def _is(address: Address, host: str, port: int) -> bool:
    assert address.ip is not None, "passages have IP addresses"
    return port == address.port and (address.ip.is_unspecified or str(address.ip) == host)


def _forget(kernel: Any, connection: Any) -> int:
    try:
        kernel.entry("del", tuple_orig=connection)
    except NetlinkError as error:
        if error.code == 2:  # ENOENT: it ended meanwhile
            return 0
        raise
    return 1
