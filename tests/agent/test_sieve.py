"""The kernel's filter over real sockets: it drops whom it should, and nobody else."""

import socket
from collections.abc import Iterator

import pytest

from agent.edges.sip.sieve import MAX_SOURCES, MAX_URGENT, attach, dropped, program
from telephony.emergency import emergency_openings

URGENT = emergency_openings(frozenset({"112", "15"}))
FLOODER, PHONE = "127.66.0.1", "127.66.0.2"
IPV6_FREEBIND = 78  # of linux/in6.h
FAMILIES = (socket.AF_INET, socket.AF_INET6)
REGISTER, CALL = b"REGISTER sip:pbx SIP/2.0\r\n", b"INVITE sip:201@pbx SIP/2.0\r\n"
HELP = (
    b"INVITE sip:112@pbx SIP/2.0\r\n",
    b"INVITE sip:15@pbx SIP/2.0\r\n",
    b"INVITE urn:service:sos.fire SIP/2.0\r\n",
)


class Listener:
    """A socket with a filter, and what reaches it."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self.family = family
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.socket.setblocking(False)

    def hears(self, source: str, data: bytes) -> bool:
        """Whether this datagram of this source arrives; on loopback it has by the time it is sent."""
        with socket.socket(self.family, socket.SOCK_DGRAM) as sender:
            if self.family == socket.AF_INET6:  # any address will do as a sender's
                sender.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            sender.bind((source, 0))
            sender.sendto(data, self.socket.getsockname())
        try:
            return self.socket.recv(65_535) == data
        except BlockingIOError:
            return False


@pytest.fixture
def ipv4() -> Iterator[Listener]:
    listener = Listener(socket.AF_INET)
    with listener.socket:
        yield listener


@pytest.fixture
def ipv6() -> Iterator[Listener]:
    listener = Listener(socket.AF_INET6)
    with listener.socket:
        yield listener


def test_an_ipv4_source_is_dropped_and_its_neighbour_is_heard(ipv4: Listener) -> None:
    attach(ipv4.socket, [FLOODER])
    for data in (REGISTER, CALL, *HELP, b"", b"\r\n\r\n", b"I"):
        assert not ipv4.hears(FLOODER, data)
        assert ipv4.hears(PHONE, data)
    assert dropped(ipv4.socket) == 5 + len(HELP)


def test_an_emergency_call_of_a_flooding_source_is_heard(ipv4: Listener, ipv6: Listener) -> None:
    attach(ipv4.socket, [FLOODER], URGENT)
    attach(ipv6.socket, ["0:0:0:0::/64"], URGENT)
    for listener, source in ((ipv4, FLOODER), (ipv6, "::1")):
        for data in HELP:
            assert listener.hears(source, data)
        for data in (
            REGISTER,
            CALL,
            b"INVITE sip:11",
            b"INVITE sip:12@pbx SIP/2.0",
            b"INVITE urn:service:so",
            b"",
        ):
            assert not listener.hears(source, data)


def test_an_ipv6_network_is_dropped_by_all_of_its_64_bits(ipv6: Listener) -> None:
    for other in ("0:0:0:1::/64", "0:1:0:0::/64", "8000:0:0:0::/64"):
        attach(ipv6.socket, [other])
        assert ipv6.hears("::1", REGISTER)
    attach(ipv6.socket, ["2001:db8:0:6::/64", "2001:db8:0:7::/64"])
    assert not ipv6.hears("2001:db8:0:7::1", REGISTER)
    assert not ipv6.hears("2001:db8:0:7:ffff::1", REGISTER)
    for other in ("2001:db8:0:8::1", "2001:db8:1:7::1", "2001:db9:0:7::1", "::1"):
        assert ipv6.hears(other, REGISTER)


def test_sources_of_the_other_family_are_left_out(ipv4: Listener, ipv6: Listener) -> None:
    mixed = ["0:0:0:0::/64", FLOODER]
    attach(ipv4.socket, mixed)
    attach(ipv6.socket, mixed)
    assert not ipv4.hears(FLOODER, REGISTER)
    assert not ipv6.hears("::1", REGISTER)
    attach(ipv4.socket, mixed[:1])
    attach(ipv6.socket, mixed[1:])
    assert ipv4.hears(FLOODER, REGISTER)
    assert ipv6.hears("::1", REGISTER)


def test_a_new_list_takes_the_place_of_the_old_and_none_ends_it(ipv4: Listener) -> None:
    attach(ipv4.socket, [])
    attach(ipv4.socket, [FLOODER])
    attach(ipv4.socket, [PHONE])
    assert ipv4.hears(FLOODER, REGISTER)
    assert not ipv4.hears(PHONE, REGISTER)
    attach(ipv4.socket, [])
    attach(ipv4.socket, [])
    assert ipv4.hears(PHONE, REGISTER)


def test_the_longest_list_fits_the_kernel_and_works_to_its_end(ipv4: Listener, ipv6: Listener) -> None:
    sources = [f"127.66.1.{number}" for number in range(MAX_SOURCES + 1)]
    networks = [f"2001:db8:0:{number:x}::/64" for number in range(MAX_SOURCES - 1)] + ["0:0:0:0::/64"]
    numbers = frozenset(f"0{number:04}" for number in range(MAX_URGENT))
    urgent = emergency_openings(numbers)
    for _ in range(2):  # a list in place of another as long
        attach(ipv4.socket, sources, urgent)
        attach(ipv6.socket, networks, urgent)
    heard = [ipv4.hears(source, REGISTER) for source in sources]
    assert heard == [False] * MAX_SOURCES + [True], "what is beyond the limit passes"
    assert not ipv6.hears("::1", REGISTER)
    assert all(ipv6.hears("::1", f"INVITE sip:{number}@pbx SIP/2.0".encode()) for number in numbers)
    longest = max(len(program(family, [*sources, *networks], urgent)) for family in FAMILIES)
    assert longest < 340, "some 60 bytes each in the kernel, 20 KiB of which were allowed before Linux 6.7"
