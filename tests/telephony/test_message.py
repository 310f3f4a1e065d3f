"""The scanner: fields against sipmessage, untouched bytes, hostile bytes."""

from time import thread_time

import pytest
import sipmessage
from hypothesis import example, given
from hypothesis import strategies as st

from telephony.sip import message as sip
from telephony.sip.contact import read_contacts
from telephony.sip.grammar import read_address, read_params, read_tagged, read_via, split_elements
from telephony.sip.message import Message, scan
from telephony.sip.validate import validate
from tests.telephony.scene import ANNA, PBX, Scene, only_send, register, text


def scanned(data: bytes) -> Message:
    message = scan(data)
    assert message is not None
    return message


words = st.text("abcABC0123456789-.", min_size=1, max_size=8)
names = st.sampled_from(["example.com", "192.0.2.1", "[2001:db8::1]", "a-b.example.org"])
tokens = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-.!%*_+`'~", min_size=1, max_size=8)
users = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()&=+$", min_size=1, max_size=8)
displays = st.text('abc ,;:<>@"\\äß', max_size=8)
ports = st.none() | st.integers(1, 65535)


@st.composite
def addresses(draw: st.DrawFn) -> sipmessage.Address:
    uri = sipmessage.URI(scheme="sip", host=draw(names), user=draw(users), port=draw(ports))
    return sipmessage.Address(name=draw(displays), uri=uri)


@st.composite
def contacts(draw: st.DrawFn) -> sipmessage.Address:
    address = draw(addresses())
    expires = draw(st.none() | st.integers(0, 9999))
    if expires is None:
        return address
    return sipmessage.Address(address.uri, address.name, sipmessage.Parameters(expires=str(expires)))


@st.composite
def registers(draw: st.DrawFn) -> sipmessage.Request:
    request = sipmessage.Request("REGISTER", sipmessage.URI(scheme="sip", host=draw(names)))
    request.via = [
        sipmessage.Via(
            transport="UDP",
            host=draw(names),
            port=draw(ports),
            parameters=sipmessage.Parameters(branch="z9hG4bK" + draw(words)),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    request.max_forwards = draw(st.integers(1, 255))
    request.from_address = draw(addresses())
    request.to_address = draw(addresses())
    request.call_id = draw(tokens)
    request.cseq = sipmessage.CSeq(sequence=draw(st.integers(0, 2**31 - 1)), method="REGISTER")
    request.contact = draw(st.lists(contacts(), max_size=3))
    request.expires = draw(st.none() | st.integers(0, 2**32 - 1))
    request.route = draw(st.lists(addresses(), max_size=2))
    request.body = draw(st.binary(max_size=20))
    request.content_length = len(request.body)
    return request


@given(registers())
def test_fields_are_those_sipmessage_wrote(request: sipmessage.Request) -> None:
    message = scanned(bytes(request))
    assert validate(message) == []
    assert (message.method, message.uri) == (b"REGISTER", str(request.uri).encode())
    vias = [read_via(element) for element in message.elements(sip.VIA)]
    assert [(via and via.branch, via and via.sent_by) for via in vias] == [
        (
            str(via.parameters["branch"]).encode(),
            (via.host if via.port is None else f"{via.host}:{via.port}").encode(),
        )
        for via in request.via
    ]
    assert (message.cseq_number, message.cseq_method) == (request.cseq.sequence, b"REGISTER")
    assert message.call_id == request.call_id.encode()
    for name, expected in ((sip.FROM, request.from_address), (sip.TO, request.to_address)):
        address = message.address(name)
        assert address is not None
        assert address.uri == str(expected.uri).encode()
    default = 3600 if request.expires is None else request.expires
    found = read_contacts(message)
    assert found is not None
    assert [(contact.uri, contact.expires_s) for contact in found] == [
        (str(contact.uri), int(contact.parameters.get("expires") or default)) for contact in request.contact
    ]
    routes = [read_address(element) for element in message.elements(sip.ROUTE)]
    assert [route and route.uri for route in routes] == [str(route.uri).encode() for route in request.route]
    assert message.body == request.body


spellings = {
    "Via": ["Via", "v", "V", "VIA", "via"],
    "From": ["From", "f", "FROM"],
    "To": ["To", "t"],
    "Call-ID": ["Call-ID", "i", "call-id"],
    "Contact": ["Contact", "m"],
    "Content-Length": ["Content-Length", "l", "CONTENT-LENGTH"],
    "Max-Forwards": ["Max-Forwards", "max-FORWARDS"],
}
blanks = st.sampled_from(["", " ", "  ", "\t", "\r\n ", " \r\n\t"])
odd_lines = st.lists(
    st.tuples(tokens, st.text("abc,;<>\"' \\ü=", max_size=12)).map(lambda pair: f"X-{pair[0]}:{pair[1]}"),
    max_size=4,
)


@st.composite
def written_oddly(draw: st.DrawFn) -> bytes:
    """A REGISTER with odd spellings, blanks, folds, order and unknown headers."""
    start, *lines = register(call_id=draw(tokens)).decode().removesuffix("\r\n\r\n").split("\r\n")
    written = []
    for line in draw(st.permutations(lines)):
        name, _, value = line.partition(":")
        spelled = draw(st.sampled_from(spellings.get(name, [name])))
        written.append(spelled + draw(st.sampled_from(["", " ", "\t"])) + ":" + draw(blanks) + value.strip())
    for odd in draw(odd_lines):
        written.insert(draw(st.integers(0, len(written))), odd)
    return text(start, *written)


@given(written_oddly())
def test_what_the_guard_need_not_touch_is_identical(request: bytes) -> None:
    scene = Scene()
    sent = only_send(scene.receive(request), PBX)
    path = f"Path: <sip:{scene.token(ANNA)}@192.0.2.10:5060;lr>\r\n".encode()
    via = next(line for line in sent.split(b"\r\n") if line.startswith(b"Via: SIP/2.0/UDP 192.0.2.10"))
    assert sent.count(path) == 1
    undone = sent.replace(path, b"").replace(via + b"\r\n", b"")
    undone = undone.replace(b";rport=40001", b";rport").replace(b";received=198.51.100.7", b"")
    assert undone.replace(b"69", b"70") == request.replace(b"69", b"70")


@given(written_oddly())
def test_taking_our_via_off_gives_the_answer_back(request: bytes) -> None:
    scene = Scene()
    sent = only_send(scene.receive(request), PBX)
    via = next(line for line in sent.split(b"\r\n") if line.startswith(b"Via: SIP/2.0/UDP 192.0.2.10"))
    rest = sent.partition(b"\r\n")[2].replace(via + b"\r\n", b"")
    assert only_send(scene.from_pbx(b"SIP/2.0 404 No\r\n" + via + b"\r\n" + rest), ANNA) == (
        b"SIP/2.0 404 No\r\n" + rest
    )


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        (b"a, b", [b"a", b" b"]),
        (b'"a,\\",b" <c,d>,e', [b'"a,\\",b" <c,d>', b"e"]),
        (b"<a,b", [b"<a", b"b"]),
        (b'a,"b,c', [b"a", b'"b,c']),
        (b",", [b"", b""]),
        (b"", [b""]),
    ],
)
def test_splitting_honours_quotes_and_brackets(value: bytes, elements: list[bytes]) -> None:
    assert split_elements(value) == elements


@given(st.binary(max_size=30).map(lambda raw: bytes(b'",<>\\a;'[byte % 7] for byte in raw)))
def test_split_elements_lose_nothing(value: bytes) -> None:
    assert b",".join(split_elements(value)) == value


def test_parameters_in_quotes_are_not_parameters() -> None:
    message = scanned(
        register(contact='"x;expires=1" <sip:a@h;expires=2>;p=";expires=3";expires=4', expires=5)
    )
    found = read_contacts(message)
    assert found is not None
    assert [contact.expires_s for contact in found] == [4]
    assert read_params(b';a="b;c=d";E ; f= g') == {b"a": b'"b;c=d"', b"e": b"", b"f": b"g"}


@pytest.mark.parametrize(
    "filling",
    [
        b'"\\',
        b'"',
        b"<",
        b",",
        b";",
        b"\r\n ",
        b" ",
        b";a=",
        b'x="\\"',
        b"a:",
        b"0",
        b"\r\nx:",
        b"\r\nv: a",
        b"<a",
        b"%",
    ],
)
@pytest.mark.parametrize(
    "header",
    [
        b"Contact: ",
        b"Via: ",
        b"To: ",
        b"Route: ",
        b"CSeq: ",
        b"Call-ID: ",
        b"Date: ",
        b"Authorization: Digest ",
        b"Warning: 399 a ",
        b"Retry-After: 1 ",
        b"Timestamp: ",
        b"Path: ",
        b"",
    ],
)
def test_no_bytes_take_long(filling: bytes, header: bytes) -> None:
    data = register().replace(
        b"Max-Forwards", header + filling * (64_000 // len(filling)) + b"\r\nMax-Forwards"
    )
    source = data.replace(b"REGISTER", b"INVITE")
    taken = []
    for _ in range(3):
        begun = thread_time()
        Scene().receive(data)
        Scene().receive(source)
        taken.append(thread_time() - begun)
    assert min(taken) < 0.1, "50 ms each"


@pytest.mark.parametrize("brackets", [b"<" * 64_000, b"<nch=" * 12_800, b'<"' * 32_000])
def test_brackets_that_are_never_closed_take_no_longer(brackets: bytes) -> None:
    """Each was a step of its own: 55 kB of them in a Via with a comma took 25 ms (found by the mutations)."""
    taken = []
    for _ in range(5):
        begun = thread_time()
        assert len(split_elements(brackets + b", SIP/2.0/TCP h")) == 2
        taken.append(thread_time() - begun)
    assert min(taken) < 0.01


_PIECES = (
    b"<sip:a@b>", b"sip:a@b", b";tag=", b";TAG=", b"tag=", b"1", b"x", b" ", b";", b"=", b'"', b"<", b">",
    b",", b"Anna", b'"An;tag=1" ', b";lr", b"?", b"\r\n ", b"\\", b":", b"[",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=9).map(b"".join))
@example(b"<sip:a@b>;TAG=1;tag=2")
@example(b'"An;tag=1" <sip:a@b>')
@example(b"sip:a@b ;tag=1")
@example(b"<sip:a@b;tag=1>")
@example(b"<sip:a@b;tag=1")
def test_a_tag_read_apart_is_the_one_of_the_whole(value: bytes) -> None:
    whole = read_address(value)
    address, tag = read_tagged(value)
    assert (address and address.uri) == (whole and whole.uri)
    assert tag == (b"" if whole is None else read_params(whole.params).get(b"tag", b""))
