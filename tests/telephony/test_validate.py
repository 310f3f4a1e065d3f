"""The strict reading of REGISTER and of responses, rule by rule; what is refused is told why."""

import pytest

from telephony.sip.message import scan
from telephony.sip.validate import validate
from tests.telephony.scene import ANNA, PBX, Scene, answer, only_send, reasons, register, sends, text

PHONE = text(
    "REGISTER sip:pbx.example.com SIP/2.0",
    "Via: SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bK-1",
    "Route: <sip:192.0.2.10;lr>",
    "Max-Forwards: 70",
    'From: "Anna" <sip:201@pbx.example.com>;tag=f201',
    "To: <sip:201@pbx.example.com>",
    "Call-ID: 7f3c@10.0.0.5",
    "CSeq: 7 REGISTER",
    'Contact: <sip:201@10.0.0.5:5060>;q=0.5;+sip.instance="<urn:uuid:0>"',
    "Expires: 3600",
    "Date: Thu, 21 Feb 2030 13:02:03 GMT",
    "Timestamp: 54.21",
    'Authorization: Digest username="201", realm="a, b", nonce="n", uri="sip:h", qop=auth, nc=1',
    "Supported: path, outbound",
    "Content-Length: 0",
)
OK = text(
    "SIP/2.0 200 OK",
    "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK-1",
    "From: <sip:201@pbx.example.com>;tag=f201",
    "To: <sip:201@pbx.example.com>;tag=pbx",
    "Call-ID: 7f3c@10.0.0.5",
    "CSeq: 7 REGISTER",
    "Contact: <sip:201@10.0.0.5:5060>;expires=3600",
    "Retry-After: 18000 (away (for lunch));duration=3600",
    'Warning: 399 lyon "one", 301 192.0.2.1:5060 "two, three"',
    "Min-Expires: 60",
    "Content-Length: 0",
)


def problems(data: bytes) -> list[str]:
    message = scan(data)
    assert message is not None
    return [f"{found.where}: {found.what}" for found in validate(message)]


def changed(data: bytes, old: str, new: str) -> bytes:
    assert old.encode() in data
    return data.replace(old.encode(), new.encode(), 1)


def test_what_phones_and_pbxs_send_is_accepted() -> None:
    for data in (PHONE, OK, register(), answer(register(), 200), answer(register(), 423, "Min-Expires: 60")):
        assert problems(data) == []


BROKEN = [
    ("sip:pbx.example.com SIP", "<sip:pbx.example.com> SIP", "request line: a malformed"),
    ("sip:pbx.example.com SIP", "sip:pbx.example.com?To=x SIP", "request line: a malformed"),
    ("sip:pbx.example.com SIP", "sip:a@b@pbx.example.com SIP", "request line: a malformed"),
    ("sip:pbx.example.com SIP", "sip: SIP", "request line: a malformed"),
    ("sip:pbx.example.com SIP", "pbx.example.com SIP", "request line: a malformed"),
    ("7 REGISTER", "7 INVITE", "cseq: names another method"),
    ("7 REGISTER", "2147483648 REGISTER", "cseq: malformed or above its range"),
    ("7 REGISTER", "7", "cseq: malformed or above its range"),
    ("7 REGISTER", "7\v REGISTER", "head: a line that is no header"),
    ("CSeq: 7 REGISTER\r\n", "", "cseq: missing"),
    ("Via: SIP/2.0", "Via: SIP/3.0", "via: malformed"),
    ("branch=z9hG4bK-1", "branch=z9hG4bK-1, nonsense", "via: malformed below the topmost"),
    ("Route: <sip:192.0.2.10;lr>", "Route: <sip:192.0.2.10;lr>, <>", "route: malformed"),
    ("Supported: path", "Path: <sip:a@h\r\nSupported: path", "path: malformed"),
    ("Supported: path", "Record-Route: sip:a b\r\nSupported: path", "record-route: malformed"),
    ("Max-Forwards: 70", "Max-Forwards: 256", "max-forwards: not a number from 0 to 255"),
    ("Max-Forwards: 70", "Max-Forwards:", "max-forwards: not a number from 0 to 255"),
    ("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70", "max-forwards: repeated"),
    ("Expires: 3600", "Expires: 4294967296", "expires: not a number of seconds below 2**32"),
    ("Expires: 3600", "Expires: soon", "expires: not a number of seconds below 2**32"),
    ("Expires: 3600", "Expires: -1", "expires: not a number of seconds below 2**32"),
    ("Call-ID: 7f3c", "Call-ID: 7f 3c", "call-id: malformed"),
    ("Call-ID: 7f3c@10.0.0.5\r\n", "", "call-id: missing"),
    ('From: "Anna"', 'From: "Anna', "from: malformed"),
    ("To: <sip:201", "To: Anna, B. <sip:201", "to: malformed"),
    ("To: <sip:201@pbx.example.com>\r\n", "", "to: missing"),
    ("To: <sip:201@pbx.example.com>", "To: <sip:201@pbx.example.com>\r\nt: <sip:1@b>", "to: repeated"),
    ("Contact: <sip:201@10.0.0.5:5060>", "Contact: sip:201@10.0.0.5?a=b", "contact: malformed"),
    ("Contact: <sip:201@10.0.0.5:5060>", "Contact: < sip:201@10.0.0.5>", "contact: malformed"),
    ("Contact: <sip:201@10.0.0.5:5060>", "Contact: *, <sip:201@10.0.0.5>", "contact: * needs"),
    ("Contact: <sip:201@10.0.0.5:5060>", "m: <sip:1@h>\r\nContact: <", "contact: malformed"),
    ("Contact: <sip:201@10.0.0.5:5060>", "m: *\r\nContact: <sip:201@10.0.0.5>", "contact: * needs"),
    ('Contact: <sip:201@10.0.0.5:5060>;q=0.5;+sip.instance="<urn:uuid:0>"', "Contact: *", "contact: * needs"),
    ("GMT", "EST", "date: malformed"),
    ("Thu, 21 Feb", "Thu, 1 Feb", "date: malformed"),
    ("13:02:03", "13:60:03", "date: malformed"),
    ("Timestamp: 54.21", "Timestamp: now", "timestamp: malformed"),
    ('username="201"', 'username="201', "authorization: malformed"),
    ('username="201", ', 'username="201" ', "authorization: malformed"),
    ('username="201"', "username=", "authorization: malformed"),
    ("Digest username", "username", "authorization: malformed"),
    ("Supported", 'Authorization: Digest "x"\r\nSupported', "authorization: malformed"),
    ("Supported", "Proxy-Authorization: Digest\r\nSupported", "proxy-authorization: malformed"),
    ("Supported", "no header\r\nSupported", "head: a line that is no header"),
    ("Supported", "X: a\nTo: b\r\nSupported", "head: a line that is no header"),
    ("Supported", 'X: "a\0"\r\nSupported', "head: a line that is no header"),
    ("Supported", 'X: "a\\\0" \0\r\nSupported', "head: a line that is no header"),
    ("SIP/2.0\r\nVia", "SIP/2.0\r\n folded: a\r\nVia", "head: a line that is no header"),
]


@pytest.mark.parametrize(("old", "new", "problem"), BROKEN)
def test_what_is_wrong_with_a_register_is_named_and_answered(old: str, new: str, problem: str) -> None:
    data = changed(PHONE, old, new)
    found = problems(data)
    assert any(one.startswith(problem) for one in found), found
    assert all(one.startswith(problem.split(":")[0]) for one in found), "and nothing else is"
    scene = Scene()
    outputs = scene.receive(data)
    assert reasons(outputs) == ["malformed"]
    assert scene.verdict.calls == []
    if problem in ("cseq: missing", "call-id: missing", "to: missing", "via: malformed"):
        assert sends(outputs) == [], "an answer needs them"
        return
    first = only_send(outputs, ANNA).split(b"\r\n")[0]
    assert first == f"SIP/2.0 400 Bad Request ({found[0]})".encode()


def test_a_method_is_a_token() -> None:
    data = PHONE.replace(b"REGISTER", b"REGI(STER")
    assert problems(data) == ["request line: the method is no token"]
    outputs = Scene().receive(data)
    assert (reasons(outputs), sends(outputs)) == (["malformed"], [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sip:pbx", "sips:pbx"),
        ("sip:pbx.example.com SIP", "sip:a?b@[2001:db8::1]:5060;transport=tcp SIP"),
        ("sip:pbx.example.com SIP", "urn:service:sos SIP"),
        ("7 REGISTER", "0007  REGISTER"),
        ("Max-Forwards: 70", "Max-Forwards: 0070"),
        ("Expires: 3600", "Expires: 4294967295"),
        # The RFC says how to read this: an hour (20.10).
        ("q=0.5", "expires=soon"),
        ("q=0.5", "expires=280297596632815"),
        ("<sip:201@10.0.0.5:5060>", "<sip:201@10.0.0.5:5060?Route=%3Csip:a%3E>"),
        ('"Anna"', "Anna"),
        ('"Anna"', "Anna (Büro)"),
        ('"Anna"', '"A\\\0B"'),
        ("Timestamp: 54.21", "Timestamp: 54 0.5"),
        ("Digest username", "NoOneKnows username"),
        ('username="201"', 'username="a\\"b"'),
        ("Supported", "Authorization: Bearer abc.def==\r\nSupported"),
        ("Supported", "X:\r\n folded\r\nSupported"),
        ("Contact: <sip:201@10.0.0.5:5060>", "m: <sip:1@h>\r\nContact: <sip:201@10.0.0.5:5060>"),
    ],
)
def test_what_is_only_unusual_passes(old: str, new: str) -> None:
    data = changed(PHONE, old, new)
    assert problems(data) == []
    assert only_send(Scene().receive(data), PBX).startswith(b"REGISTER ")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("7 REGISTER", "9292394834772304023312 REGISTER", "cseq: malformed or above its range"),
        ("Retry-After: 18000", "Retry-After: 4294967296", "retry-after: malformed"),
        ("Retry-After: 18000", "Retry-After: soon", "retry-after: malformed"),
        ("Warning: 399", "Warning: 1399", "warning: malformed"),
        ('"two, three"', "two", "warning: malformed"),
        ("Min-Expires: 60", "Min-Expires: -1", "min-expires: malformed"),
        ("Contact: <sip:201@10.0.0.5:5060>;expires=3600", "Contact: *", "contact: * needs"),
        ("From: <sip:201@pbx.example.com>", "From: <sip:201@pbx.example.com", "from: malformed"),
        ("Via: SIP/2.0/UDP", "Via: SIP/UDP", "via: malformed"),
        ("OK\r\n", "OK\r\n folded\r\n", "head: a line that is no header"),
    ],
)
def test_responses_are_read_strictly_too(old: str, new: str, problem: str) -> None:
    (found,) = problems(changed(OK, old, new))
    assert found.startswith(problem)


def test_star_ends_all_bindings_only_in_a_register_with_expires_0() -> None:
    granted = changed(OK, "Contact: <sip:201@10.0.0.5:5060>;expires=3600", "Contact: *\r\nExpires: 0")
    assert problems(granted) == ["contact: * needs REGISTER, Expires: 0 and no other contact"]
    starred = changed(PHONE, 'Contact: <sip:201@10.0.0.5:5060>;q=0.5;+sip.instance="<urn:uuid:0>"', "m: *")
    assert problems(changed(starred, "Expires: 3600", "Expires: 0")) == []
    assert problems(changed(starred, "Expires: 3600\r\n", "")) == [
        "contact: * needs REGISTER, Expires: 0 and no other contact"
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("Length: 0", "Length: 9", "400 Bad Request (content-length: no number, or more than there is)"),
        ("Length: 0", "Length: -1", "400 Bad Request (content-length: no number, or more than there is)"),
        ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", "505 Version Not Supported (request line: another version"),
        ("REGISTER sip", "REGISTER  sip", "400 Bad Request (request line: not METHOD URI SIP/2.0)"),
        ("com SIP/2.0\r\n", "com SIP/2.0 \r\n", "400 Bad Request (request line: not METHOD URI SIP/2.0)"),
    ],
)
def test_what_cannot_even_be_scanned_is_answered_where_it_can_be(old: str, new: str, line: str) -> None:
    outputs = Scene().receive(changed(PHONE, old, new))
    assert reasons(outputs) == ["malformed"]
    assert only_send(outputs, ANNA).startswith(f"SIP/2.0 {line}".encode())


def test_what_cannot_be_scanned_is_not_answered_to_the_pbx_nor_if_no_register() -> None:
    short = changed(PHONE, "Length: 0", "Length: 9")
    assert sends(Scene().from_pbx(short)) == []
    for data in (
        short.replace(b"REGISTER", b"INVITE"),
        short.replace(b"REGISTER", b"ACK"),
        changed(short, "Via: SIP/2.0/UDP", "Via: SIP/2.0"),
        changed(OK, "Length: 0", "Length: 9"),
        short[:-2],
        changed(short, "Supported", 990 * "x: y\r\n" + "Supported"),
        changed(short, "Supported", f"X: {70_000 * 'y'}\r\nSupported"),
    ):
        outputs = Scene().receive(data)
        assert reasons(outputs) == ["malformed"]
        assert sends(outputs) == []


def test_an_answer_names_only_the_first_problems_and_is_shorter_than_the_request() -> None:
    flood = changed(PHONE, "To:", 900 * "t: x\r\n" + "To:").replace(b"Call-ID: 7f3c", b"Call-ID: 7f 3c")
    flood = flood.replace(b": 70", b": 700").replace(b": 3600", b": -1").replace(b"GMT", b"EST")
    sent = only_send(Scene().receive(flood), ANNA)
    assert sent.split(b"\r\n")[0].count(b";") == 2
    assert len(sent) < len(flood)
