"""What arrives at the guard and goes no further: malformed, spent, cut short, keep-alives."""

import pytest

from telephony.output import Send
from tests.telephony.scene import ANNA, PBX, Scene, answer, only_send, reasons, register, sends, status


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CSeq: 1 REGISTER", b"CSeq: 1 INVITE"),
        (b"CSeq: 1 REGISTER", b"CSeq: 2147483648 REGISTER"),
        (b"Max-Forwards: 70", b"Max-Forwards: 256"),
        (b"Call-ID: call-201", b"Call-ID: two words"),
        (b"Expires: 3600", b"Expires: 99999999999"),
        (b"Contact: <sip:201@10.0.0.5:5060>", b"Contact: *"),
        (b"<sip:201@10.0.0.5:5060>\r\nExpires: 3600", b"*, <sip:201@h>\r\nExpires: 0"),
        (b"Contact: <sip:201@10.0.0.5:5060>", b'Contact: "Joe" <sip:joe@example.org>;;;;'),
        (b"To: <sip:201@pbx.example.com>", b'To: "Unclosed <sip:201@pbx.example.com>'),
        (b"To: <sip:201@pbx.example.com>", b"To: <>"),
        (b"Expires: 3600", b"Expires: 3600\r\nTo: <sip:202@pbx.example.com>"),
        (b"Expires: 3600", b"Expires: 3600\r\nnot a header"),
        (b"Expires: 3600", b"X: a\nTo: <sip:202@pbx.example.com>"),
        (b"Expires: 3600", b"X: a\rb"),
        (b"sip:pbx.example.com SIP", b"<sip:pbx.example.com> SIP"),
    ],
)
def test_malformed_registers_are_answered_400(old: bytes, new: bytes) -> None:
    scene = Scene()
    request = register().replace(old, new, 1)
    assert request != register()
    outputs = scene.receive(request)
    assert reasons(outputs) == ["malformed"]
    assert status(only_send(outputs, ANNA)) == 400
    assert scene.verdict.calls == []


def test_no_hops_left() -> None:
    scene = Scene()
    assert status(only_send(scene.receive(register().replace(b": 70", b": 0")), ANNA)) == 483


def test_what_follows_the_body_does_not_pass() -> None:
    scene = Scene()
    assert only_send(scene.receive(register() + register("202")), PBX).count(b"REGISTER sip:") == 1
    short = register().replace(b"Content-Length: 0", b"Content-Length: 9")
    assert reasons(scene.receive(short)) == ["malformed"]


def test_keep_alives() -> None:
    scene = Scene()
    assert scene.receive(b"\r\n\r\n") == [Send(ANNA, b"\r\n")]
    for ignored in (b"", b"\r\n", b"\x00\x01\x00\x00\x21\x12\xa4\x42", b"\0"):
        assert scene.receive(ignored) == []
    assert sends(scene.receive(b"\r\n\r\n" + register()))[0].flow == PBX


@pytest.mark.parametrize(
    ("line", "urgent"),
    [
        (b"INVITE sip:112@pbx.example.com SIP/2.0", True),
        (b"INVITE sip:112;phone-context=x@pbx.example.com SIP/2.0", True),
        (b"INVITE tel:112 SIP/2.0", True),
        (b"INVITE urn:service:sos.fire SIP/2.0", True),
        (b"INVITE sip:1120@pbx.example.com SIP/2.0", False),
        (b"REGISTER sip:112@pbx.example.com SIP/2.0", False),
        (b"INVITE sip:112@pbx.example.com", False),
        (b"INVITE sip:112@" + b"x" * 500 + b" SIP/2.0", False),
        (b"INVITE ", False),
    ],
)
def test_emergency_calls_are_known_by_their_first_line(line: bytes, urgent: bool) -> None:
    assert Scene().guard.is_urgent(line + b"\r\n\r\n") == urgent


def test_what_needs_no_store_is_relayed_without() -> None:
    scene = Scene()
    forwarded = only_send(scene.receive(register()), PBX)
    for phone, needs in ((register("202"), ANNA), (answer(forwarded, 200), PBX)):
        assert scene.guard.relay(phone, needs, scene.now) is None
    call = register().replace(b"REGISTER", b"OPTIONS")
    assert scene.guard.relay(call, ANNA, scene.now) == scene.receive(call)
    assert scene.guard.relay(
        answer(only_send(scene.receive(call), PBX), 200), PBX, scene.now
    ) == scene.from_pbx(answer(only_send(scene.receive(call), PBX), 200))
    assert scene.guard.relay(b"\r\n\r\n", ANNA, scene.now) == [Send(ANNA, b"\r\n")]
    assert scene.guard.relay(b"\r\n", ANNA, scene.now) == []
    assert reasons(scene.guard.relay(b"nonsense", ANNA, scene.now) or []) == ["malformed"]
