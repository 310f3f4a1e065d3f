"""What the guard need not touch leaves it byte for byte as it came.

Real programs in every test: licence-master, pbx-agent, Kamailio, and as phones baresip, SIPp, or a socket
that spells as few phones do. A capture sees both sides of the guard.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.capture import Address, Capture, Datagram
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import Counts, users
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio", "baresip", "sipp")

MARKED_BY = {b"REGISTER": b"Path", b"INVITE": b"Record-Route"}


@dataclass(frozen=True, slots=True)
class Passage:
    """One message before and after the guard."""

    before: Datagram
    after: Datagram


def lines_of(data: bytes) -> list[bytes]:
    """The lines of the head as they are, folded ones apart."""
    return data.partition(b"\r\n\r\n")[0].split(b"\r\n")


def value(data: bytes, name: str, short: str) -> bytes:
    """The first value of a header field, in whatever spelling."""
    found = re.search(rf"(?im)^(?:{name}|{short})[ \t]*:[ \t]*(.*?)\r$".encode(), data)
    assert found, f"no {name} in {data!r}"
    return found[1]


def passages(capture: Capture, site: Site) -> list[Passage]:
    """Every SIP message with what the guard made of it; none may vanish, none may come from nowhere.

    What is sent again counts once: a repeated REGISTER, and its answer, goes no further than the guard.
    """
    pbx = (site.domain, SIP)
    arrived: dict[tuple[object, ...], list[Datagram]] = defaultdict(list)
    passed: dict[tuple[object, ...], list[Passage]] = defaultdict(list)
    sent: set[Datagram] = set()
    for got in capture.datagrams():
        if b"SIP/2.0" not in got.data.partition(b"\r\n")[0]:
            continue
        arriving = got.destination == site.guard
        towards_pbx = got.source != pbx if arriving else got.destination == pbx
        key = (towards_pbx, got.first_line, value(got.data, "Call-ID", "i"), value(got.data, "CSeq", "CSeq"))
        if arriving:
            arrived[key].append(got)
        elif got not in sent:
            sent.add(got)
            assert arrived[key], f"the guard made this up: {got.data!r}"
            passed[key].append(Passage(arrived[key].pop(0), got))
    assert arrived.keys() == passed.keys()
    return [passage for of_key in passed.values() for passage in of_key]


def assert_only_permitted_edits(passage: Passage, guard: Address) -> None:
    """Compare head and body; what differs must be what sip-guard.md permits, and all of that."""
    before, after = lines_of(passage.before.data), lines_of(passage.after.data)
    assert [line for line in before if line in after] == [line for line in after if line in before]
    assert passage.before.data.partition(b"\r\n\r\n")[2] == passage.after.data.partition(b"\r\n\r\n")[2]
    edits = answer_edits if passage.before.data.startswith(b"SIP/2.0 ") else request_edits
    removed, added = edits(passage, re.escape(f"{guard[0]}:{guard[1]}".encode()))
    assert sorted(line for line in before if line not in after) == sorted(removed)
    assert sorted(line for line in after if line not in before) == sorted(added)


def answer_edits(passage: Passage, guard: bytes) -> tuple[list[bytes], list[bytes]]:
    """Our Via is gone, which was the topmost."""
    via = next(line for line in lines_of(passage.before.data) if line.startswith(b"Via: "))
    assert re.match(rb"Via: SIP/2\.0/UDP " + guard + rb"[;\r]", via)
    return [via], []


def request_edits(passage: Passage, guard: bytes) -> tuple[list[bytes], list[bytes]]:
    """Our Via on top, our Path or Record-Route on top, our Route gone, one hop less, the sender's Via."""
    before, after = lines_of(passage.before.data), lines_of(passage.after.data)
    own = next(line for line in after if line.startswith(b"Via: "))
    assert re.fullmatch(rb"Via: SIP/2\.0/UDP " + guard + rb";rport;branch=z9hG4bK[^;]+", own)
    (hops,) = [line for line in before if line.startswith(b"Max-Forwards: ")]
    routes = [line for line in before if line.startswith(b"Route: ")]
    own_route = re.compile(rb"Route: <sip:([^>@]*@)?" + guard + rb"[;>]")
    removed = [hops, *takewhile(own_route.match, routes)]
    added = [own, b"Max-Forwards: %d" % (int(hops.split()[1]) - 1)]
    mark = MARKED_BY.get(before[0].split(b" ")[0])
    if mark is not None and b";tag=" not in value(passage.before.data, "To", "t"):
        added.append(next(line for line in after if line.startswith(mark + b": ")))
        assert re.fullmatch(rb"[^:]+: <sip:[0-9a-f]{20}\.[^@]+@" + guard + rb";lr>", added[-1])
    via = next(line for line in before if line.startswith(b"Via: "))
    if re.search(rb";rport(?![=\w])", via):  # else the sender did not ask where it came from
        host, port = passage.before.source
        removed.append(via)
        added.append(via.replace(b";rport", b";rport=%d" % port) + b";received=" + host.encode())
    return removed, added


def assert_passages(capture: Capture, site: Site, *expected: str) -> None:
    """Every passage is clean, and each of these first words was among them in both directions."""
    seen: dict[str, set[bool]] = defaultdict(set)
    for passage in passages(capture, site):
        assert_only_permitted_edits(passage, site.guard)
        words = passage.before.first_line.split(" ")
        seen[words[1] if words[0] == "SIP/2.0" else words[0]].add(passage.before.source == (site.domain, SIP))
    assert {word: ways for word, ways in seen.items() if word in expected} == {
        word: {False, True} if word not in ("REGISTER", "401") else {word == "401"} for word in expected
    }


def test_registrations_and_calls_of_baresip(network: Network) -> None:
    """Digest, then a call each way, every message of them, and both phones leave."""
    site = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build().site("hq")
    capture = network.start(Capture(network))
    anna, bert = site.phone("1001"), site.phone("1002")
    assert anna.register().text == bert.register().text == "200 OK"
    for caller, callee in ((anna, bert), (bert, anna)):
        seen = len(caller.events), len(callee.events)
        caller.call(callee.aor)
        caller.wait_event("CALL_ESTABLISHED", after=seen[0])
        callee.wait_event("CALL_ESTABLISHED", after=seen[1])
        callee.hang_up()
        caller.wait_event("CALL_CLOSED", after=seen[0])
    for phone in (anna, bert):
        phone.unregister()
    until(lambda: site.registrar.contacts() == {}, what="both phones are gone")
    site.wait_counts(used=0)
    assert_passages(capture, site, "REGISTER", "401", "INVITE", "180", "200", "ACK", "BYE")


def test_registrations_of_many_phones(network: Network) -> None:
    """SIPp asks for no rport, so that the Via of its phones passes as it is."""
    site = House(network, {"PBX-Port13": 50}, {"hq": "gateway"}).build().site("hq")
    capture = network.start(Capture(network))
    sipp = site.phones(users(1001, 50))
    assert sipp.counts() == Counts({200: 50}, unexpected=0)
    site.wait_counts(used=50)
    passed = passages(capture, site)
    for passage in passed:
        assert_only_permitted_edits(passage, site.guard)
        assert b"rport" not in lines_of(passage.before.data)[1] or passage.before.source[0] == site.domain
    assert len(passed) >= 200


# --- messages as few phones spell them; OURS and TOKEN stand for what only the guard can make

SECOND_CONTACT = ' , "Two" <sip:1001@{phone};line=2>;expires=30'
ODD_REGISTER = """\
REGISTER sip:{pbx} SIP/2.0
l : 0
PATH:<sip:edge.example;lr>
v:SIP/2.0/UDP   {phone} ; rport ;branch=z9hG4bKodd1;x
X-Unknown:   with  spaces\tand a tab\t
t:"A, \\"quoted\\" <name>"   <sip:1001@{pbx}>
f: sip:1001@{pbx};tag=odd
 ;folded=yes
i: odd-1@{phone}
CSEQ:   0007   REGISTER
m: <sip:1001@{phone};ob>;q=0.5 , "Two" <sip:1001@{phone};line=2>;expires=30
MAX-FORWARDS:  12
ExPiReS:60
Supported: path
"""
ODD_REGISTER_AFTER = """\
REGISTER sip:{pbx} SIP/2.0
l : 0
Path: <sip:TOKEN@{guard};lr>
PATH:<sip:edge.example;lr>
Via: SIP/2.0/UDP {guard};rport;branch=OURS
v:SIP/2.0/UDP   {phone} ;rport=5060 ;branch=z9hG4bKodd1;x;received={host}
X-Unknown:   with  spaces\tand a tab\t
t:"A, \\"quoted\\" <name>"   <sip:1001@{pbx}>
f: sip:1001@{pbx};tag=odd
 ;folded=yes
i: odd-1@{phone}
CSEQ:   0007   REGISTER
m: <sip:1001@{phone};ob>;q=0.5 , "Two" <sip:1001@{phone};line=2>;expires=30
MAX-FORWARDS:  11
ExPiReS:60
Supported: path
"""
ODD_INVITE = """\
INVITE sip:1002@{pbx} SIP/2.0
Route: <sip:{guard};lr> ,  <sip:{pbx};lr>
v: SIP/2.0/UDP phone.example;branch=z9hG4bKodd2
To: <sip:1002@{pbx}>
From:<sip:1001@{pbx}>;tag=odd
Call-ID: odd-2
CSeq: 1 INVITE
Contact:<sip:1001@{phone}>
max-forwards: 70
Subject:
Content-Type: application/octet-stream
Content-Length: 8
"""
ODD_INVITE_AFTER = """\
INVITE sip:1002@{pbx} SIP/2.0
Route:  <sip:{pbx};lr>
Via: SIP/2.0/UDP {guard};rport;branch=OURS
Record-Route: <sip:TOKEN@{guard};lr>
v: SIP/2.0/UDP phone.example;branch=z9hG4bKodd2;received={host}
To: <sip:1002@{pbx}>
From:<sip:1001@{pbx}>;tag=odd
Call-ID: odd-2
CSeq: 1 INVITE
Contact:<sip:1001@{phone}>
max-forwards: 69
Subject:
Content-Type: application/octet-stream
Content-Length: 8
"""
BODY = b"\x00\r\n\r\n\xff\r\n"


def wire(text: str, values: Mapping[str, str], body: bytes = b"") -> bytes:
    """The text as a message, its placeholders filled in."""
    return text.format_map(values).replace("\n", "\r\n").encode() + b"\r\n" + body


def without_sums(data: bytes) -> bytes:
    """The message with our branch and our token, which nobody foretells, replaced by words."""
    data = re.sub(rb"branch=z9hG4bK[0-9a-f]{20}\.[^;\s]+", b"branch=OURS", data, count=1)
    return re.sub(rb"<sip:[0-9a-f]{20}\.[^@\s]+@", b"<sip:TOKEN@", data, count=1)


def at_the_pbx(capture: Capture, site: Site, method: str) -> Datagram:
    """The first request of a method that the guard sent to the PBX."""
    sent = capture.datagrams(source=site.guard, destination=(site.domain, SIP))
    return next(got for got in sent if got.first_line.startswith(method))


def test_a_phone_of_unusual_spelling(network: Network) -> None:
    """Compact forms, folding, spaces, lists in one line, a binary body; the test's socket is the phone."""
    site = House(network, {"PBX-Port13": 2}, {"hq": "gateway"}).build().site("hq", digest=False)
    host, called = network.address(), network.address()
    values = {"pbx": f"{site.domain}:{SIP}", "guard": f"{site.guard[0]}:{SIP}", "host": host}
    values["phone"] = f"{host}:{SIP}"
    capture = network.start(Capture(network))
    with network.udp(host, SIP) as phone, network.udp(called, SIP) as other:
        phone.settimeout(5)
        other.settimeout(5)

        phone.sendto(wire(ODD_REGISTER, values), site.guard)
        assert phone.recv(9000).startswith(b"SIP/2.0 200 ")
        sent = at_the_pbx(capture, site, "REGISTER")
        assert without_sums(sent.data) == wire(ODD_REGISTER_AFTER, values)

        there = {**values, "phone": f"{called}:{SIP}", "host": called}
        one_contact = ODD_REGISTER.replace(SECOND_CONTACT, "").replace("1001", "1002")
        other.sendto(wire(one_contact, there), site.guard)
        assert other.recv(9000).startswith(b"SIP/2.0 200 ")

        phone.sendto(wire(ODD_INVITE, values, BODY), site.guard)
        invite = other.recv(9000)
        assert invite.endswith(b"\r\n\r\n" + BODY)
        sent = at_the_pbx(capture, site, "INVITE")
        assert without_sums(sent.data) == wire(ODD_INVITE_AFTER, values, BODY)

        other.sendto(moved(invite), site.guard)
        until(lambda: phone.recv(9000).startswith(b"SIP/2.0 302 "), what="the answer at the caller")
    answers = [got for got in capture.datagrams() if got.data.startswith(b"SIP/2.0 302 ")]
    for sender, receiver in ((called, site.domain), (site.domain, host)):
        before = next(got.data for got in answers if got.source == (sender, SIP))
        after = next(got.data for got in answers if got.destination == (receiver, SIP))
        own = re.escape(f"SIP/2.0/UDP {values['guard']};".encode())
        assert after == re.sub(rb"\r\nv: +" + own + rb"[^,]*,", rb"\r\nv:", before, count=1) != before
        assert after.endswith(b"\r\n\r\n" + BODY)


def moved(invite: bytes) -> bytes:
    """302 to an INVITE, all its Vias in one line and in compact form, with a binary body."""
    found = re.findall(rb"(?im)^(?:via|v)[ \t]*:[ \t]*(.*?)\r$", invite)
    kept = [line for line in lines_of(invite) if re.match(rb"From|Call-ID|CSeq", line)]
    to = next(line for line in lines_of(invite) if line.startswith(b"To:"))
    head = [b"SIP/2.0 302   Moved, temporarily", b"v:   " + b" , ".join(found), *kept, to + b";tag=moved"]
    return b"\r\n".join([*head, b"m:<sip:1003@example>", b"l : %d" % len(BODY), b"", BODY])


# --- every method of a call, over a line whose calls are counted; the test's sockets are caller and gateway

REQUEST = """\
{method} {uri} SIP/2.0
Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{branch}{cseq}{call}
{routes}Max-Forwards: 70
From:{local}
To: {remote}
Call-ID: {call}
CSeq: {cseq} {method}
Contact: <sip:{user}@{host}:5060>
X-Odd:   kept  as it is\t
{more}Content-Length: 0

"""


class Party:
    """One side of a call, on a socket; requests within it go along the route set (RFC 3261 12.1)."""

    def __init__(self, network: Network, user: str, site: Site) -> None:
        self.user, self.host, self.site = user, network.address(), site
        self.socket = network.udp(self.host, SIP)
        self.socket.settimeout(5)
        self.routes: list[str] = []
        self.local = self.remote = self.target = ""

    def say(self, method: str, call: str, cseq: int, *more: str, uri: str = "", **other: str) -> None:
        """Send a request."""
        values = {
            "uri": uri or self.target,
            "routes": "".join(f"Route: {route}\n" for route in self.routes),
            "local": self.local,
            "remote": self.remote,
            "more": "".join(f"{line}\n" for line in more),
            "branch": "INVITE" if method == "CANCEL" else method,
            **other,
        }
        text = REQUEST.format(method=method, call=call, cseq=cseq, host=self.host, user=self.user, **values)
        self.socket.sendto(text.replace("\n", "\r\n").encode(), self.site.guard)

    def hear(self, start: str) -> bytes:
        """The next message that begins so; what was sent again is skipped."""

        def next_one() -> bytes | None:
            data = self.socket.recv(9000)
            return data if data.startswith(start.encode()) else None

        return until(next_one, what=f"{start} at {self.user}")

    def answer(self, request: bytes, status: str, *more: str) -> None:
        """Answer a request, with our tag."""
        wanted = re.compile(rb"(?i)Via|Record-Route|From|Call-ID|CSeq")
        copied = [line for line in lines_of(request) if wanted.match(line)]
        to = next(line for line in lines_of(request) if line.startswith(b"To:"))
        tag = b"" if b";tag=" in to else b";tag=" + self.user.encode()
        contact = f"Contact: <sip:{self.user}@{self.host}:5060>"
        extra = [line.encode() for line in (contact, *more, "Content-Length: 0")]
        head = [f"SIP/2.0 {status}".encode(), *copied, to + tag, *extra, b"", b""]
        self.socket.sendto(b"\r\n".join(head), self.site.guard)

    def join(self, message: bytes, *, caller: bool) -> None:
        """Take peer and route set from what made the dialog."""
        told = message.decode()
        routes = re.findall(r"(?i)\r\nRecord-Route: *([^\r]*)", told)
        self.routes = routes[::-1] if caller else routes
        self.target = re.findall(r"(?i)\r\nContact: *<([^>]*)>", told)[0]
        ends = [re.findall(rf"\r\n{name}: *([^\r]*)", told)[0] for name in ("From", "To")]
        self.local, self.remote = ends if caller else ends[::-1]


def test_every_method_of_a_counted_call(network: Network) -> None:
    """INVITE, 183 and PRACK, ACK, re-INVITE, REFER, BYE, and a CANCEL: each on both sides of the guard."""
    licences = {"PBX-Port13": 2, "Relay-Channels": 2}
    lines = {"lines": [{"aor": ["1002"]}]}
    site = House(network, licences, {"hq": "gateway"}).build().site("hq", digest=False, calls=lines)
    anna, gateway = Party(network, "1001", site), Party(network, "1002", site)
    for party in (anna, gateway):
        party.local = party.remote = f"<sip:{party.user}@{site.domain}>"
        credentials = 'Authorization: Digest username="x", realm="r", nonce="n", uri="sip:u", response="r"'
        party.say(
            "REGISTER", f"reg-{party.user}", 1, credentials, "Expires: 600", uri=f"sip:{site.domain}",
            local=f"{party.local};tag=r",
        )  # fmt: skip
        party.hear("SIP/2.0 200 ")
    capture = network.start(Capture(network))
    local, remote = f"<sip:1001@{site.domain}>;tag=anna", f"<sip:1002@{site.domain}>"
    called = {"uri": f"sip:1002@{site.domain}:{SIP}", "local": local, "remote": remote}

    anna.say("INVITE", "c1", 1, "Supported: 100rel", **called)
    invite = gateway.hear("INVITE ")
    gateway.answer(invite, "183 Session Progress", "Require: 100rel", "RSeq: 1")
    anna.join(anna.hear("SIP/2.0 183 "), caller=True)
    anna.say("PRACK", "c1", 2, "RAck: 1 1 INVITE")
    gateway.answer(gateway.hear("PRACK "), "200 OK")
    anna.hear("SIP/2.0 200 ")
    gateway.answer(invite, "200 OK")
    gateway.join(invite.replace(f"To: {remote}".encode(), f"To: {remote};tag=1002".encode()), caller=False)
    anna.hear("SIP/2.0 200 ")
    anna.say("ACK", "c1", 1)
    gateway.hear("ACK ")
    site.wait_counts("relay_channel", used=1)
    anna.say("INVITE", "c1", 3)
    gateway.answer(gateway.hear("INVITE "), "200 OK", "Session-Expires: 1800;refresher=uas")
    anna.hear("SIP/2.0 200 ")
    anna.say("ACK", "c1", 3)
    gateway.hear("ACK ")
    gateway.say("REFER", "c1", 1, f"Refer-To: <sip:1003@{site.domain}>")
    anna.answer(anna.hear("REFER "), "202 Accepted")
    gateway.hear("SIP/2.0 202 ")
    gateway.say("BYE", "c1", 2)
    anna.answer(anna.hear("BYE "), "200 OK")
    gateway.hear("SIP/2.0 200 ")
    site.wait_counts("relay_channel", used=0)

    anna.routes = []
    anna.say("INVITE", "c2", 1, **called)
    invite = gateway.hear("INVITE ")
    gateway.answer(invite, "180 Ringing")
    anna.hear("SIP/2.0 180 ")
    anna.say("CANCEL", "c2", 1, **called)
    gateway.answer(gateway.hear("CANCEL "), "200 OK")
    gateway.answer(invite, "487 Request Terminated")
    gateway.hear("ACK ")
    anna.hear("SIP/2.0 487 ")
    site.wait_counts("relay_channel", used=0)
    words = ("INVITE", "183", "PRACK", "200", "ACK", "REFER", "202", "BYE", "180", "CANCEL", "487")
    assert_passages(capture, site, *words)
    for party in (anna, gateway):
        party.socket.close()
