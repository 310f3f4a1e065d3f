"""Never an open relay: whatever a stranger names, a third host gets nothing, by UDP nor by TCP.

Real programs: licence-master, pbx-agent, Kamailio. The stranger sends from sockets of its own, and once with
the PBX's address as its sender; a capture sees every datagram. Within dialogs this Kamailio follows whatever
Route it is given, as many a proxy does: there only what the guard sends counts.
"""

import asyncio
import re
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from demo.phone import Phone
from telephony.address import Flow
from telephony.token import Tokens
from tests.acceptance.house import House
from tests.acceptance.peers.capture import Address, Capture
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site, Ways

pytestmark = pytest.mark.real("kamailio")

METHODS = ("INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "BYE", "ACK", "CANCEL", "REFER")


class Third:
    """A host that listens by UDP and TCP, and hopes."""

    def __init__(self, network: Network) -> None:
        self.host = network.address()
        self.udp = network.udp(self.host, SIP)
        self.tcp = network.open_socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.bind((self.host, SIP))
        self.tcp.listen()
        self.udp.setblocking(False)
        self.tcp.setblocking(False)

    @property
    def uri(self) -> str:
        return f"sip:{self.host}:{SIP}"

    def assert_untouched(self) -> None:
        """Nothing has arrived."""
        with pytest.raises(BlockingIOError):
            self.udp.recvfrom(65_535)
        with pytest.raises(BlockingIOError):
            self.tcp.accept()


class Liar(Phone):
    """A phone whose contact is at the third host."""

    third = ""

    @property
    def contact(self) -> str:
        return f"sip:{self.user}@{self.third}:{SIP}"


def message(start: str, via: str, *lines: str, method: str, number: int, tag: str = "") -> bytes:
    """A request or response with what routing needs."""
    head = [
        start,
        *([f"Via: {via}"] if via else []),
        *lines,
        "Max-Forwards: 70",
        "From: <sip:6666@there.example>;tag=f",
        f"To: <sip:1001@there.example>{tag}",
        f"Call-ID: hostile-{number}",
        f"CSeq: {number} {method}",
        "Content-Length: 0",
    ]
    return "\r\n".join([*head, "", ""]).encode()


def hostile(site: Site, third: Third, token: str, tag: str) -> Iterator[bytes]:
    """Each method with each forged Route, Request-URI and Via; and answers that nobody asked for."""
    guard = f"{site.guard[0]}:{SIP}"
    guessed = Tokens(b"guessed").make(Flow(0, third.host, SIP)).decode()
    moved = re.sub(r"\d+\.\d+\.\d+\.\d+$", third.host, token)
    assert moved.endswith(third.host)
    assert moved != token
    routes = [
        (),
        (f"<{third.uri};lr>",),
        (f"<sip:{guard};lr>", f"<{third.uri};lr>"),
        (f"<sip:{guessed}@{guard};lr>",),
        (f"<sip:{moved}@{guard};lr>",),
        (f"<sip:{token}@{guard};lr>", f"<sip:{moved}@{guard};lr>"),
        (f"<sip:{token}@{third.host};lr>",),
        (f"<sip:{token}@{guard};maddr={third.host};received={third.host};lr>",),
    ]
    if not tag:
        routes.append((f"<sip:{token}@{guard};lr;transport=tcp>", f"<{third.uri};lr;transport=tcp>"))
    uris = (f"sip:1001@{site.domain}", third.uri, f"sip:{moved}@{guard};maddr={third.host}")
    vias = (f"{third.host}:{SIP}", f"{third.host}:{SIP};received={third.host};rport={SIP}", f"{guard};rport")
    number = 1_000 if tag else 0
    for method in METHODS:
        for route in routes:
            for uri, via in zip(uris, vias, strict=True):
                number += 1
                yield message(
                    f"{method} {uri} SIP/2.0",
                    f"SIP/2.0/UDP {via};branch=z9hG4bK{number}{tag[1:]}",
                    *[f"Route: {each}" for each in route],
                    f"Contact: <{third.uri}>",
                    method=method,
                    number=number,
                    tag=tag,
                )
    for method in ("INVITE", "REGISTER", "OPTIONS"):
        for branch in ("z9hG4bKx", f"z9hG4bK{20 * '0'}.{moved.partition('.')[2]}"):
            number += 1
            own = f"SIP/2.0/UDP {guard};rport;branch={branch}, SIP/2.0/UDP {third.host}:{SIP};branch=z9hG4bKy"
            yield message("SIP/2.0 200 OK", own, method=method, number=number, tag=";tag=t")


def farewell(number: int) -> bytes:
    """A request that the guard answers itself: when its 483 is back, all before it was read."""
    last = message(
        "OPTIONS sip:1001@there.example SIP/2.0",
        "SIP/2.0/UDP 203.0.113.1;rport;branch=z9hG4bKlast",
        method="OPTIONS",
        number=number,
    )
    return last.replace(b"Max-Forwards: 70", b"Max-Forwards: 0")


def spoofed(source: Address, destination: Address, data: bytes) -> bytes:
    """An IPv4 packet of UDP whose sender is `source`; the kernel adds length and sum."""
    udp = struct.pack("!HHHH", source[1], destination[1], 8 + len(data), 0)
    ends = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends + udp + data


def say(stranger: socket.socket, site: Site, messages: list[bytes]) -> None:
    """Send all this, a few at a time, until the guard has read it."""
    stranger.settimeout(10.0)
    for number in range(len(messages) // 50 + 1):
        for data in messages[50 * number : 50 * number + 50]:
            stranger.sendto(data, site.guard)
        last = secrets.randbelow(2**31)
        stranger.sendto(farewell(last), site.guard)
        got = b""
        while f"CSeq: {last} OPTIONS".encode() not in got:
            got = stranger.recv(65_535)


async def test_what_a_stranger_names_gets_nothing(network: Network) -> None:
    house = House(network, {"PBX-Port13": 5}, {"hq": "gateway"}).build()
    site = house.site("hq", ways=Ways(("udp", "tcp")))
    third, pbx = Third(network), (site.domain, SIP)
    stranger = network.udp(network.address(), SIP)
    with Capture(network) as capture:
        async with AsyncExitStack() as stack:
            anna = await stack.enter_async_context(site.handset("1001"))
            assert (await anna.register()).status == 200
            token = real_token(capture, pbx)
            messages = list(hostile(site, third, token, tag=""))
            await asyncio.to_thread(say, stranger, site, messages)
            await asyncio.to_thread(say_by_tcp, network, site, messages)
            say_as_pbx(network, site, messages)
            await lie(stack, site, network, third, anna)
            await asyncio.to_thread(say, stranger, site, [])
            third.assert_untouched()
            in_dialogs = list(hostile(site, third, token, tag=";tag=t"))
            await asyncio.to_thread(say, stranger, site, in_dialogs)
            say_as_pbx(network, site, in_dialogs)
            await asyncio.to_thread(say, stranger, site, [])
        sent, arrived = capture.datagrams(source=site.guard), capture.datagrams()
    here = {site.domain, site.guard[0], stranger.getsockname()[0]}
    assert {datagram.destination[0] for datagram in sent} <= here
    assert {got.source for got in arrived if got.destination[0] == third.host} <= {pbx}
    assert sum(datagram.destination == pbx for datagram in sent) > 100, "what may pass did"
    assert any(datagram.first_line.startswith("SIP/2.0 401") for datagram in sent), "and was answered"
    assert {"forged_via", "forged_route", "no_route"} <= site.status()["rejections"].keys()


def real_token(capture: Capture, pbx: Address) -> str:
    """The flow token of the phone that registered, as the PBX was told."""
    found = [
        match[1].decode()
        for datagram in capture.datagrams(destination=pbx)
        if (match := re.search(rb"Path: <sip:([^@>]+)@", datagram.data))
    ]
    return found[0]


def say_by_tcp(network: Network, site: Site, messages: list[bytes]) -> None:
    """The same on one connection: what is answered comes back there."""
    with network.connect(*site.guard) as stream:
        stream.settimeout(10.0)
        for data in [*messages, farewell(2)]:
            stream.sendall(data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))
        got = b""
        while b"CSeq: 2 OPTIONS" not in got:
            piece = stream.recv(65_535)
            assert piece, "the guard closed the connection"
            got = got[-100:] + piece


def say_as_pbx(network: Network, site: Site, messages: list[bytes]) -> None:
    """Half of it once more, and now its sender's address is that of the PBX."""
    raw = network.open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for data in messages[::2]:
        raw.sendto(spoofed((site.domain, SIP), site.guard, data), (site.guard[0], 0))


async def lie(stack: AsyncExitStack, site: Site, network: Network, third: Third, anna: Phone) -> None:
    """A phone registers a contact at the third host: a call finds the phone, by the flow it registered by."""
    sock = network.udp(site.guard[0])
    liar = Liar("1002", sock.getsockname(), (site.domain, SIP), site.guard)
    liar.third = third.host
    stack.callback(liar.close)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: liar, sock=sock)
    assert (await liar.register()).status == 200
    assert third.host in str(site.registrar.contacts()["1002"])
    assert (await anna.dial("1002")).status == 200
    until(lambda: liar.call is not None, what="the call reached the phone")
    assert (await anna.hang_up()).status == 200
    assert (await liar.unregister()).status == 200
