"""A filter in the kernel for sources that flood: classic BPF on a UDP socket (socket(7) SO_ATTACH_FILTER).

What it drops costs this process nothing and takes no room in the socket's buffer, which all phones share. It
needs no privilege. `program` is a pure function; an instruction is (code, jump if true, if false, value).
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Network

# What the kernel charges for a program of these many (some 60 bytes an instruction) must fit
# net.core.optmem_max, 20 KiB before Linux 6.7.
MAX_SOURCES = 16
MAX_URGENT = 40

Instruction = tuple[int, int, int, int]
Test = tuple[int, int, int]  # so many bytes from this offset give this number
Openings = Mapping[bytes, Sequence[bytes]]  # how a datagram begins, and the ways in which it may go on

_SO_ATTACH_FILTER, _SO_DETACH_FILTER, _SO_MEMINFO = 26, 27, 55
_MEMINFO = struct.Struct("=9I")
_DROPS = 8  # SK_MEMINFO_DROPS
_LOADS = {4: 0x20, 2: 0x28, 1: 0x30}  # BPF_LD | BPF_ABS of a word, a half or a byte in network order
_JUMP, _JUMP_EQUAL, _RETURN = 0x05, 0x15, 0x06
_PASS: Instruction = (_RETURN, 0, 0, 0xFFFFFFFF)
_DROP: Instruction = (_RETURN, 0, 0, 0)
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF of linux/filter.h; other offsets count from the UDP header
_IPV4_SOURCE, _IPV6_SOURCE = _NETWORK_HEADER + 12, _NETWORK_HEADER + 8
_DATA = 8


def attach(sock: socket.socket, sources: Sequence[str], urgent: Openings | None = None) -> None:
    """Let the kernel drop what `program` says, instead of what it dropped before; no sources, nothing.

    OSError when the kernel takes no such filter; it then drops nothing.
    """
    _detach(sock)
    instructions = program(sock.family, sources, urgent or {})
    if instructions == [_PASS]:
        return
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(instructions), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)


def dropped(sock: socket.socket) -> int:
    """Datagrams of this socket that the kernel dropped: by the filter, or because its buffer was full."""
    drops: int = _MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[_DROPS]
    return drops


def program(family: int, sources: Sequence[str], urgent: Openings) -> list[Instruction]:
    """Drop what these sources send unless it begins in one of the `urgent` ways; pass everything else.

    Sources are those of `telephony.meter`, an IPv4 address or an IPv6 /64; those of the other family are left
    out, and so are those above the limits.
    """
    wanted = [source for source in sources if (":" in source) == (family == socket.AF_INET6)][:MAX_SOURCES]
    if not wanted:
        return [_PASS]
    offender = [step for opening in urgent.items() for step in _passing(*opening)] + [_DROP]
    body = [_PASS]
    for source in reversed(wanted):
        body = _when(_is_from(source), (_JUMP, 0, 0, len(body))) + body
    return body + offender


def _passing(opening: bytes, ways: Sequence[bytes]) -> list[Instruction]:
    """Pass what has this opening and goes on in one of these ways; else go on behind it."""
    start = _DATA + len(opening)
    body = [step for way in ways[:MAX_URGENT] for step in _when(_reads(way, start), _PASS)]
    return [*_when(_reads(opening, _DATA), (_JUMP, 0, 0, 1)), (_JUMP, 0, 0, len(body)), *body]


def _when(tests: Sequence[Test], then: Instruction) -> list[Instruction]:
    """Do `then` if every test holds, else go on behind it."""
    steps: list[Instruction] = []
    for left, (size, offset, number) in zip(range(len(tests), 0, -1), tests, strict=True):
        steps += [(_LOADS[size], 0, 0, offset), (_JUMP_EQUAL, 0, 2 * left - 1, number)]
    return [*steps, then]


def _is_from(source: str) -> list[Test]:
    if ":" not in source:
        return [(4, _IPV4_SOURCE, int(IPv4Address(source)))]
    prefix = IPv6Network(source).network_address.packed
    return [(4, _IPV6_SOURCE + start, int.from_bytes(prefix[start : start + 4], "big")) for start in (0, 4)]


def _reads(text: bytes, start: int) -> list[Test]:
    """The text stands there; it is compared word by word, then by a half and a byte."""
    return [(len(part), start + at, int.from_bytes(part, "big")) for at, part in _parts(text)]


def _parts(text: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for size in _LOADS:
        while len(text) - at >= size:
            yield at, text[at : at + size]
            at += size


def _detach(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:  # there was none
            raise
