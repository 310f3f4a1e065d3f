"""Everything but REGISTER: exact bytes both ways, whole calls, and nobody is an open relay."""

import pytest

from telephony.address import Flow
from telephony.output import Output
from telephony.token import Tokens
from tests.telephony.scene import (
    ANNA,
    BERT,
    PBX,
    Scene,
    answer,
    only_send,
    reasons,
    register,
    sends,
    status,
    text,
)

EVIL = Flow(0, "203.0.113.66", 6666)


def request(
    method: str = "INVITE",
    uri: str = "sip:202@pbx.example.com",
    *,
    routes: tuple[str, ...] = (),
    to_tag: str = "",
    branch: str = "z9hG4bKcall",
    via: str = "10.0.0.5:5060;rport",
    caller: str = "201",
    cseq: int = 1,
    hops: int = 70,
    body: str = "v=0\r\n",
) -> bytes:
    return text(
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {via};branch={branch}",
        *[f"Route: {route}" for route in routes],
        f"Max-Forwards: {hops}",
        f"From: <sip:{caller}@pbx.example.com>;tag=from",
        "To: <sip:202@pbx.example.com>" + (f";tag={to_tag}" if to_tag else ""),
        "Call-ID: call-1",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:201@10.0.0.5:5060>",
        "Content-Type: application/sdp",
        f"Content-Length: {len(body)}",
        body=body,
    )


def own(scene: Scene, flow: Flow) -> str:
    return f"<sip:{scene.token(flow)}@192.0.2.10:5060;lr>"


def branch_of(data: bytes) -> str:
    return data.decode().split("branch=")[1].split("\r\n")[0]


def record_routes(data: bytes) -> list[str]:
    return [line[14:] for line in data.decode().split("\r\n") if line.startswith("Record-Route: ")]


def test_an_invite_of_a_phone_goes_to_the_pbx() -> None:
    scene = Scene()
    sent = only_send(
        scene.receive(request(routes=("<sip:192.0.2.10:5060;lr>, <sip:pbx.example.com;lr>",))), PBX
    )
    assert sent == text(
        "INVITE sip:202@pbx.example.com SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch={branch_of(sent)}",
        f"Record-Route: {own(scene, ANNA)}",
        "Via: SIP/2.0/UDP 10.0.0.5:5060;rport=40001;branch=z9hG4bKcall;received=198.51.100.7",
        "Route: <sip:pbx.example.com;lr>",
        "Max-Forwards: 69",
        "From: <sip:201@pbx.example.com>;tag=from",
        "To: <sip:202@pbx.example.com>",
        "Call-ID: call-1",
        "CSeq: 1 INVITE",
        "Contact: <sip:201@10.0.0.5:5060>",
        "Content-Type: application/sdp",
        "Content-Length: 5",
        body="v=0\r\n",
    )
    ringing = answer(sent, 180)
    back = only_send(scene.from_pbx(ringing), ANNA)
    assert back == ringing.replace(sent.split(b"\r\n")[1] + b"\r\n", b"")


def test_an_invite_of_the_pbx_goes_to_the_flow_of_the_path() -> None:
    scene = Scene()
    arrived = request(routes=(own(scene, BERT),), via="192.0.2.20:5060")
    sent = only_send(scene.from_pbx(arrived), BERT)
    assert sent == arrived.replace(f"Route: {own(scene, BERT)}\r\n".encode(), b"").replace(
        b"Max-Forwards: 70", b"Max-Forwards: 69"
    ).replace(
        b"Via:",
        f"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch={branch_of(sent)}\r\n"
        f"Record-Route: {own(scene, BERT)}\r\nVia:".encode(),
        1,
    )
    assert only_send(scene.receive(answer(sent, 200), BERT), PBX).startswith(b"SIP/2.0 200")


def test_a_request_uri_with_our_token_finds_the_phone_too() -> None:
    scene = Scene()
    uri = f"sip:{scene.token(BERT)}@192.0.2.10:5060"
    assert sends(scene.from_pbx(request("OPTIONS", uri)))[0].flow == BERT


def test_record_route_is_topmost_and_only_for_requests_that_form_a_dialog() -> None:
    scene = Scene()
    arrived = request(routes=(own(scene, BERT),)).replace(
        b"Via:", b"Record-Route: <sip:pbx.example.com;lr>\r\nVia:", 1
    )
    assert record_routes(only_send(scene.from_pbx(arrived), BERT)) == [
        own(scene, BERT),
        "<sip:pbx.example.com;lr>",
    ]
    for quiet in (request(to_tag="to"), request("MESSAGE"), request("OPTIONS"), request("CANCEL")):
        assert record_routes(only_send(scene.receive(quiet), PBX)) == []


def test_a_whole_call_through_a_pbx_that_records_its_route() -> None:
    scene = Scene()
    pbx = "<sip:192.0.2.20;lr>"
    invite = only_send(scene.receive(request()), PBX)
    # The PBX adds its Via, its Record-Route and the Path of the callee.
    second = invite.replace(
        b"Via:",
        "\r\n".join(
            (
                "Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bKpbx",
                f"Record-Route: {pbx}",
                f"Route: {own(scene, BERT)}",
                "Via:",
            )
        ).encode(),
        1,
    )
    arrived = only_send(scene.from_pbx(second), BERT)
    assert record_routes(arrived) == [own(scene, BERT), pbx, own(scene, ANNA)]
    back = only_send(scene.receive(answer(arrived, 200, to_tag="bert"), BERT), PBX)
    stripped = back.replace(b"Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bKpbx\r\n", b"")
    final = only_send(scene.from_pbx(stripped), ANNA)
    assert final.count(b"Via:") == 1
    routes = (own(scene, ANNA), pbx, own(scene, BERT))
    bye = request("BYE", "sip:202@10.0.0.8", routes=routes, to_tag="bert", branch="z9hG4bKbye", cseq=2)
    at_pbx = only_send(scene.receive(bye), PBX)
    forwarded = at_pbx.replace(f"Route: {pbx}\r\n".encode(), b"")
    assert b"Route:" not in only_send(scene.from_pbx(forwarded), BERT)
    back_routes = tuple(reversed(routes))
    bye = request("BYE", "sip:201@10.0.0.5", routes=back_routes, to_tag="from", branch="z9hG4bKbye2")
    assert sends(scene.receive(bye, BERT))[0].flow == PBX


def test_in_a_dialog_without_the_pbx_the_other_phone_is_next() -> None:
    scene = Scene()
    routes = (own(scene, ANNA), own(scene, BERT))
    assert sends(scene.receive(request("BYE", routes=routes, to_tag="to")))[0].flow == BERT
    both = (", ".join(routes),)
    assert sends(scene.receive(request("BYE", routes=both, to_tag="to")))[0].flow == BERT
    # A call that begins so must not pass the PBX by.
    assert sends(scene.receive(request(routes=routes)))[0].flow == PBX
    # The token of another phone alone leads to the PBX.
    assert sends(scene.receive(request("BYE", routes=(own(scene, BERT),), to_tag="to")))[0].flow == PBX


def test_of_several_tokens_from_the_pbx_the_last_is_the_destination() -> None:
    scene = Scene()
    sent = only_send(
        scene.from_pbx(request("BYE", routes=(own(scene, ANNA), own(scene, BERT)), to_tag="x")), BERT
    )
    assert b"Route:" not in sent


def test_cancel_and_ack_for_a_failure_carry_the_branch_of_the_invite() -> None:
    scene = Scene()
    branches = {
        branch_of(only_send(scene.receive(data), PBX))
        for data in (request(), request("CANCEL"), request("ACK", to_tag="callee"), request())
    }
    assert len(branches) == 1
    other = branch_of(only_send(scene.receive(request("ACK", to_tag="callee", branch="z9hG4bKack")), PBX))
    assert other not in branches


def test_hops_run_out() -> None:
    scene = Scene()
    outputs = scene.receive(request(hops=0))
    assert status(only_send(outputs, ANNA)) == 483
    tag = only_send(outputs, ANNA).split(b";tag=g")[1].split(b"\r\n")[0].decode()
    assert scene.receive(request("ACK", to_tag="g" + tag)) == [], "it ends here"
    assert sends(scene.receive(request("ACK", hops=0, to_tag="x"))) == [], "an ACK is never answered"
    without = request().replace(b"Max-Forwards: 70\r\n", b"")
    assert b"\r\nMax-Forwards: 70\r\n" in only_send(scene.receive(without), PBX)


def surplus_scene() -> Scene:
    scene = Scene(units=0)
    scene.accepted(register(authorized=False), "Contact: <sip:201@h>;expires=60")
    assert scene.verdict.surplus == {"anna"}
    return scene


def test_a_call_of_an_object_without_licence_is_refused_but_its_running_calls_are_not() -> None:
    scene = surplus_scene()
    outputs = scene.receive(request())
    refusal = only_send(outputs, ANNA)
    assert reasons(outputs) == ["refused"]
    assert refusal.startswith(b"SIP/2.0 403 No free licence\r\n")
    assert b'\r\nWarning: 399 lyon "no_free_licence: No free licence"\r\n' in refusal
    tag = refusal.split(b"To: <sip:202@pbx.example.com>;tag=")[1].split(b"\r\n")[0].decode()
    assert scene.receive(request("ACK", to_tag=tag)) == []
    for passed in (
        request(to_tag="x"),
        request("BYE", to_tag="x"),
        request("OPTIONS"),
        request(caller="202"),
    ):
        assert sends(scene.receive(passed))[0].flow == PBX


@pytest.mark.parametrize(
    ("uri", "passes"),
    [
        ("sip:112@pbx.example.com", True),
        ("sip:112@pbx.example.com;user=phone", True),
        ("tel:1-1-2", True),
        ("sip:%31%31%32@pbx.example.com", True),
        ("urn:service:sos", True),
        ("urn:service:sos.fire", True),
        ("sip:1120@pbx.example.com", False),
        ("sip:202@112", False),
        ("urn:service:counseling", False),
    ],
)
def test_emergency_calls_always_pass(uri: str, passes: bool) -> None:
    (send,) = sends(surplus_scene().receive(request(uri=uri)))
    assert send.flow == (PBX if passes else ANNA)


def forged_messages(scene: Scene) -> list[tuple[bytes, Flow, str]]:
    strange = Tokens(b"another key").make(EVIL).decode()
    good = scene.token(ANNA)
    moved = good.replace("198.51.100.7", "203.0.113.66")
    sent = only_send(scene.receive(request()), PBX)
    real = answer(sent, 200)
    return [
        (request(routes=(f"<sip:{strange}@192.0.2.10:5060;lr>",)), PBX, "forged_route"),
        (request(routes=(f"<sip:{moved}@192.0.2.10:5060;lr>",)), PBX, "forged_route"),
        (request(routes=(f"<sip:{moved}@192.0.2.10:5060;lr>",)), ANNA, "forged_route"),
        (
            request(routes=(own(scene, ANNA), f"<sip:{moved}@192.0.2.10;lr>"), to_tag="x"),
            ANNA,
            "forged_route",
        ),
        (request(routes=("<sip:203.0.113.66:6666;lr>",)), PBX, "no_route"),
        (request(uri="sip:x@203.0.113.66:6666"), PBX, "no_route"),
        (real.replace(b"198.51.100.7", b"203.0.113.66"), EVIL, "forged_via"),
        (real.replace(branch_of(sent).encode(), b"z9hG4bKguess"), PBX, "forged_via"),
        (real.replace(b".198.51.100.7\r\n", b".203.0.113.66\r\n"), PBX, "forged_via"),
        (real.replace(b"z9hG4bKcall", b"z9hG4bKother"), EVIL, "forged_via"),
        (real.replace(b"Call-ID: call-1", b"Call-ID: call-2"), EVIL, "forged_via"),
        (real.replace(b"192.0.2.10:5060", b"203.0.113.66:6666"), PBX, "forged_via"),
        (
            text("SIP/2.0 200 OK", "Via: SIP/2.0/UDP 203.0.113.66:6666;branch=z9hG4bKx", "CSeq: 1 BYE"),
            PBX,
            "forged_via",
        ),
    ]


def test_never_an_open_relay() -> None:
    scene = Scene()
    for data, source, reason in forged_messages(scene):
        outputs: list[Output] = scene.receive(data, source)
        assert reasons(outputs) == [reason], data
        for send in sends(outputs):
            assert send.flow == source, data


def test_a_phone_reaches_only_the_pbx_whatever_it_names() -> None:
    scene = Scene()
    for data in (
        request(uri="sip:x@203.0.113.66:6666"),
        request(routes=("<sip:203.0.113.66:6666;lr>",)),
        request(routes=(own(scene, ANNA), "<sip:203.0.113.66:6666;lr>"), to_tag="x"),
        request("REFER", uri="sip:x@203.0.113.66"),
    ):
        assert [send.flow for send in sends(scene.receive(data))] == [PBX]


@pytest.mark.parametrize(
    "flow",
    [Flow(0, "192.0.2.1", 5060), Flow(3, "2001:db8::1", 65535, 77), Flow(1, "fe80::1%eth0", 1)],
)
def test_tokens_round_trip_and_break_with_any_change(flow: Flow) -> None:
    tokens = Tokens(b"key")
    token = tokens.make(flow)
    assert tokens.open(token) == flow
    assert all(character in b"0123456789abcdefghijklmnopqrstuvwxyz._~" for character in token)
    for position in range(len(token)):
        changed = bytearray(token)
        changed[position] ^= 1
        assert tokens.open(bytes(changed)) is None
    assert tokens.open(b"") is None


def test_ipv6_phone_is_called_through_its_token() -> None:
    scene = Scene()
    phone = Flow(0, "2001:db8::7", 40001)
    sent = only_send(scene.receive(request(via="[fd00::5]:5060;rport"), phone), PBX)
    assert b"Via: SIP/2.0/UDP [fd00::5]:5060;rport=40001;branch=z9hG4bKcall;received=2001:db8::7\r\n" in sent
    assert sends(scene.from_pbx(answer(sent, 200)))[0].flow == phone
    assert sends(scene.from_pbx(request(routes=(own(scene, phone),))))[0].flow == phone


def test_received_is_written_only_when_asked_or_needed() -> None:
    scene = Scene()

    def via(written: str) -> str:
        sent = only_send(scene.receive(request("OPTIONS", via=written)), PBX).decode()
        return sent.split("\r\n")[2].removeprefix("Via: SIP/2.0/UDP ").removesuffix(";branch=z9hG4bKcall")

    assert via("198.51.100.7:9") == "198.51.100.7:9"
    assert via("198.51.100.7") == "198.51.100.7"
    assert via("10.0.0.5;rport") == "10.0.0.5;rport=40001;branch=z9hG4bKcall;received=198.51.100.7"
    assert via("10.0.0.5;received=6.6.6.6") == "10.0.0.5;branch=z9hG4bKcall;received=198.51.100.7"
    assert via("phone.example.com") == "phone.example.com;branch=z9hG4bKcall;received=198.51.100.7"


@pytest.mark.parametrize(
    "broken",
    [
        request().replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE"),
        request().replace(b"Via: SIP/2.0/UDP", b"Via: HTTP/1.1"),
        request().replace(b"Call-ID: call-1\r\n", b""),
        request().replace(b"Max-Forwards: 70", b"Max-Forwards: many"),
        request().replace(b"Content-Length: 5", b"Content-Length: 50"),
        request().replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia"),
        b"garbage",
        b"INVITE\r\n\r\n",
    ],
)
def test_what_cannot_be_routed_goes_nowhere(broken: bytes) -> None:
    outputs = Scene().receive(broken)
    assert reasons(outputs) == ["malformed"]
    assert sends(outputs) == []
