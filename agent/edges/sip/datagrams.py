"""Many datagrams of one UDP socket by one system call: recvmmsg(2) and sendmmsg(2) of Linux through ctypes.

The kernel is given arrays that never move; a datagram costs a copy in or out of its slot. A peer is the raw
sockaddr of the socket's family, which costs nothing to compare; `peer_of` and `address_of` translate it.
"""

import ctypes
import errno
import os
import socket
import struct

SLOTS = 64
MAX_DATAGRAM = 65_535
SLOT = 2_048  # what is longer leaves by a system call of its own, and arrives in two parts
BEYOND = MAX_DATAGRAM - SLOT

_LIBC = ctypes.CDLL(None, use_errno=True)
_IPV4 = struct.Struct("=H2s4s8x")
_IPV6 = struct.Struct("=H2sI16sI")
_LIKE_BLOCKING = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iovecs", ctypes.c_void_p),
        ("iovec_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("length", ctypes.c_uint32))


class _Slots:
    """The arrays of one direction: `SLOT` bytes of data and one sockaddr for each of `SLOTS` datagrams.

    With `beyond` there is room for so many bytes more of each. They lie apart, so that what nearly all
    datagrams use stays within a few pages.
    """

    def __init__(self, peer_size: int, beyond: int = 0) -> None:
        self._data = ctypes.create_string_buffer(SLOTS * SLOT)
        self._beyond = ctypes.create_string_buffer(SLOTS * beyond)
        self._names = ctypes.create_string_buffer(SLOTS * peer_size)
        self._iovecs = (_Iovec * (2 * SLOTS))()
        self.messages = (_Message * SLOTS)()
        self.data = memoryview(self._data).cast("B")
        self.names = memoryview(self._names).cast("B")
        self.beyond = memoryview(self._beyond).cast("B")
        data, rest = ctypes.addressof(self._data), ctypes.addressof(self._beyond)
        names, iovecs = ctypes.addressof(self._names), ctypes.addressof(self._iovecs)
        for index in range(SLOTS):
            self._iovecs[2 * index] = _Iovec(data + index * SLOT, SLOT)
            self._iovecs[2 * index + 1] = _Iovec(rest + index * beyond, beyond)
            header = self.messages[index].header
            header.name, header.name_length = names + index * peer_size, peer_size
            header.iovecs = iovecs + 2 * index * ctypes.sizeof(_Iovec)
            header.iovec_count = 2 if beyond else 1
        # Lengths as whole arrays: reading ctypes fields one by one costs more than receiving.
        sizes = memoryview(self._iovecs).cast("B").cast("L")
        step = 2 * ctypes.sizeof(_Iovec) // sizes.itemsize
        self.sizes = sizes[_Iovec.length.offset // sizes.itemsize :: step]
        lengths = memoryview(self.messages).cast("B").cast("I")
        step = ctypes.sizeof(_Message) // lengths.itemsize
        self.lengths = lengths[_Message.length.offset // lengths.itemsize :: step]


class Datagrams:
    """The datagrams of one non-blocking UDP socket, which stays its owner's."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._number = sock.fileno()
        self._family = sock.family
        self._peer_size = _IPV6.size if sock.family == socket.AF_INET6 else _IPV4.size
        self._incoming = _Slots(self._peer_size, BEYOND)
        self._outgoing = _Slots(self._peer_size)

    def receive(self) -> list[tuple[bytes, bytes]]:
        """What has arrived, at most `SLOTS` datagrams, each with its peer; an empty list when nothing has.

        OSError for an ICMP answer to something sent earlier.
        """
        slots, size = self._incoming, self._peer_size
        count = _LIBC.recvmmsg(self._number, slots.messages, SLOTS, 0, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in _LIKE_BLOCKING:
                return []
            raise OSError(number, os.strerror(number))
        data, names = slots.data, slots.names[: count * size].tobytes()
        found = []
        start = name = 0
        for length in slots.lengths[:count].tolist():
            datagram = data[start : start + min(length, SLOT)].tobytes()
            if length > SLOT:
                datagram += self._beyond(start // SLOT, length)
            found.append((datagram, names[name : name + size]))
            start += SLOT
            name += size
        return found

    def _beyond(self, index: int, length: int) -> bytes:
        start = index * BEYOND
        return self._incoming.beyond[start : start + length - SLOT].tobytes()

    def send(self, waiting: list[tuple[bytes, bytes]]) -> int:
        """Send the first of these, at most `SLOTS`; how many left, 0 when the socket is full.

        OSError when the first of them cannot be sent at all: take it out before the next try.
        """
        if len(waiting[0][0]) > SLOT:
            return self._send_one(*waiting[0])
        slots, size = self._outgoing, self._peer_size
        data, names, sizes = slots.data, slots.names, slots.sizes
        start = name = count = 0
        for datagram, peer in waiting[:SLOTS]:
            length = len(datagram)
            if length > SLOT:
                break
            data[start : start + length] = datagram
            names[name : name + size] = peer
            sizes[count] = length
            start += SLOT
            name += size
            count += 1
        sent: int = _LIBC.sendmmsg(self._number, slots.messages, count, 0)
        if sent < 0:
            number = ctypes.get_errno()
            if number in _LIKE_BLOCKING:
                return 0
            raise OSError(number, os.strerror(number))
        return sent

    def _send_one(self, datagram: bytes, peer: bytes) -> int:
        try:
            self._socket.sendto(datagram, address_of(peer))
        except BlockingIOError:
            return 0
        return 1

    def peer(self, host: str, port: int) -> bytes:
        """The peer with this IP address (of the socket's family; IPv6 may carry %INTERFACE) and port."""
        numbers = struct.pack("!H", port)
        if self._family == socket.AF_INET:
            return _IPV4.pack(socket.AF_INET, numbers, socket.inet_pton(socket.AF_INET, host))
        address, _, scope = host.partition("%")
        index = 0 if not scope else int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
        return _IPV6.pack(socket.AF_INET6, numbers, 0, socket.inet_pton(socket.AF_INET6, address), index)


def address_of(peer: bytes) -> tuple[str, int]:
    """The IP address and port of a peer; a link-local IPv6 address carries %INDEX of its interface."""
    if len(peer) == _IPV4.size:
        _, port, address = _IPV4.unpack(peer)
        return socket.inet_ntop(socket.AF_INET, address), int.from_bytes(port, "big")
    _, port, _, address, index = _IPV6.unpack(peer)
    host = socket.inet_ntop(socket.AF_INET6, address)
    return f"{host}%{index}" if index else host, int.from_bytes(port, "big")
