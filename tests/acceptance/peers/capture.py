"""Records every UDP datagram of a network, byte for byte, as it passes the namespace's loopback or a link.

A packet socket given by the keeper; a thread empties it, so that a storm of phones fits. The programs see
no difference: nothing is relayed, nothing changes its sender.
"""

import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Self

from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until

ETH_P_ALL = 3
ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD
UDP = 17
STOP = b"end of capture"
SO_TIMESTAMPNS = 35  # Python does not name it
TIMESTAMP = struct.Struct("@ll")

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram as it was on the wire."""

    source: Address
    destination: Address
    data: bytes
    at_ms: int = field(default=0, compare=False)
    """When the kernel saw it, UTC epoch ms: a repeat is equal to what it repeats."""

    @property
    def first_line(self) -> str:
        """Return the SIP start line."""
        return self.data.split(b"\r\n", 1)[0].decode(errors="replace")


def parse_udp(packet: bytes, protocol: int, at_ms: int) -> Datagram | None:
    """Return the datagram of an IPv4 or IPv6 packet, None for anything else; loopback does not fragment."""
    if protocol == ETH_P_IP and packet[9] == UDP:
        start = (packet[0] & 15) * 4
        source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    elif protocol == ETH_P_IPV6 and packet[6] == UDP:
        start = 40
        source = socket.inet_ntop(socket.AF_INET6, packet[8:24])
        destination = socket.inet_ntop(socket.AF_INET6, packet[24:40])
    else:
        return None
    from_port, to_port, length = struct.unpack_from("!HHH", packet, start)
    data = packet[start + 8 : start + length]
    return Datagram((source, from_port), (destination, to_port), data, at_ms)


class Capture:
    """Records while entered; everything sent before `datagrams` is called is in its answer."""

    def __init__(self, network: Network) -> None:
        """Remember the network; recording starts with `with`."""
        self._network = network
        self._seen: list[Datagram] = []
        self._flushes = 0

    def __enter__(self) -> Self:
        """Open the packet socket: from here on nothing is missed."""
        self._socket = self._network.open_socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._marker = self._network.udp("127.0.0.1")
        self._thread = threading.Thread(target=self._record, name="capture")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop recording; what was recorded stays."""
        self._marker.sendto(STOP, self._marker.getsockname())
        self._thread.join()
        self._socket.close()
        self._marker.close()

    def _record(self) -> None:
        me = self._marker.getsockname()
        while True:
            packet, notes, _, address = self._socket.recvmsg(65536, socket.CMSG_SPACE(TIMESTAMP.size))
            interface, protocol, direction, *_ = address
            if interface == "lo" and direction == socket.PACKET_OUTGOING:  # it shows each packet twice
                continue
            ((_, _, stamp),) = notes
            seconds, nanoseconds = TIMESTAMP.unpack(stamp)
            datagram = parse_udp(packet, protocol, seconds * 1_000 + nanoseconds // 1_000_000)
            if datagram is None:
                continue
            if datagram.destination != me:
                self._seen.append(datagram)
            elif datagram.data == STOP:
                return
            else:
                self._flushes += 1

    def datagrams(self, source: Address | None = None, destination: Address | None = None) -> list[Datagram]:
        """Return what was recorded so far, oldest first, limited to a source and a destination if given."""
        if self._thread.is_alive():
            wanted = self._flushes + 1
            self._marker.sendto(b"flush", self._marker.getsockname())
            until(lambda: self._flushes >= wanted, what="the capture caught up")
        return [
            datagram
            for datagram in list(self._seen)
            if source in (None, datagram.source) and destination in (None, datagram.destination)
        ]
