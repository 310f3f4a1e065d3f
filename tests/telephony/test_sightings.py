"""What the guard sees its PBX do: whether calls come by Path, and whether contacts stay what they were."""

import pytest

from telephony.guard import Guard
from tests.telephony.scene import ANNA, GUARD, PBX, Scene, answer, only_send, register, text


def counts(guard: Guard) -> tuple[int, int, int, int]:
    seen = guard.sightings
    return seen.with_path, seen.without_path, seen.contacts_kept, seen.contacts_changed


def call(uri: str, *, method: str = "INVITE", route: str = "", to_tag: str = "") -> bytes:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {PBX.host}:5060;branch=z9hG4bKcall",
        *([f"Route: <sip:{route}@{GUARD};lr>"] if route else []),
        "Max-Forwards: 70",
        "From: <sip:202@pbx.example.com>;tag=a",
        f"To: <sip:201@pbx.example.com>{f';tag={to_tag}' if to_tag else ''}",
        "Call-ID: c",
        f"CSeq: 1 {method}",
    ]
    return text(*lines, "Content-Length: 0")


@pytest.mark.parametrize(
    ("uri", "method", "to_tag", "with_path", "without"),
    [
        ("sip:201@10.0.0.5", "INVITE", "", 1, 0),
        ("sip:201@10.0.0.5", "OPTIONS", "", 1, 0),
        ("sip:201@10.0.0.5", "BYE", "b", 0, 0),  # a Route of the dialog says nothing of Path
    ],
)
def test_requests_by_our_path(uri: str, method: str, to_tag: str, with_path: int, without: int) -> None:
    scene = Scene()
    only_send(scene.from_pbx(call(uri, method=method, route=scene.token(ANNA), to_tag=to_tag)), ANNA)
    assert counts(scene.guard)[:2] == (with_path, without)


@pytest.mark.parametrize(
    ("uri", "method", "without"),
    [
        ("sip:201@10.0.0.5", "INVITE", 1),
        (f"sip:201@{GUARD}", "INVITE", 1),
        (f"sip:201@{GUARD}", "OPTIONS", 1),
        (f"sip:{GUARD}", "OPTIONS", 0),  # it only asks whether we are there
    ],
)
def test_requests_without_our_path(uri: str, method: str, without: int) -> None:
    scene = Scene()
    scene.from_pbx(call(uri, method=method))
    assert counts(scene.guard)[:2] == (0, without)


def test_a_phone_that_calls_is_no_request_of_the_pbx() -> None:
    scene = Scene()
    scene.receive(call("sip:201@pbx.example.com"), ANNA)
    assert counts(scene.guard) == (0, 0, 0, 0)


ASKED = "<sip:201@10.0.0.5:5060>"


@pytest.mark.parametrize(
    ("granted", "kept", "changed"),
    [
        ("<sip:201@10.0.0.5:5060>;expires=3600", 1, 0),
        ("<sip:201@10.0.0.5>;expires=3600", 1, 0),
        ("<SIP:201@10.0.0.5:5060;transport=udp>;expires=60", 1, 0),
        ("<sip:201@10.0.0.9:5060>;expires=3600, <sip:201@10.0.0.5:5060>;expires=3600", 1, 0),
        (f"<sip:201@{GUARD}>;expires=3600", 0, 1),
        ("<sip:201@10.0.0.5:40001>;expires=3600", 0, 1),
        ("<sip:x@10.0.0.5:5060>;expires=3600", 0, 1),
    ],
)
def test_contacts_that_came_back(granted: str, kept: int, changed: int) -> None:
    scene = Scene()
    scene.accepted(register(contact=ASKED), f"Contact: {granted}")
    assert counts(scene.guard) == (0, 0, kept, changed)


def test_what_opens_nothing_says_nothing_of_contacts() -> None:
    scene = Scene()
    scene.accepted(register(contact=ASKED), f"Contact: {ASKED};expires=3600")
    scene.accepted(register(contact=None, expires=None, cseq=2), f"Contact: {ASKED};expires=3600")
    scene.accepted(register(contact=ASKED, expires=0, cseq=3))
    refused = only_send(scene.receive(register(contact=ASKED, cseq=4)), PBX)
    scene.from_pbx(answer(refused, 403))
    assert counts(scene.guard)[2:] == (1, 0)
