"""Never an open relay: whatever anyone sends, it goes to the PBX, back, or along a way the guard itself made.

Forged and altered tokens, Routes, Request-URIs, Vias and branches, mixed with real ones, in any order.
"""

from dataclasses import dataclass, field
from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.address import Flow
from telephony.output import Output
from telephony.token import Tokens
from tests.machine import examples
from tests.telephony.scene import ANNA, BERT, GUARD, PBX, Scene, answer, register, sends, text

STRANGER = Flow(0, "203.0.113.1", 5060)
VICTIM = Flow(0, "203.0.113.66", 6666)
PHONES = (ANNA, BERT)
SOURCES = (ANNA, BERT, STRANGER, PBX)
AWAY = "sip:203.0.113.66:6666"
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "MESSAGE", "NOTIFY", "REFER", "SUBSCRIBE", "REGISTER")

# Each way to write a Route; the tokens lead to a phone, the others to nobody.
ROUTES = (
    "anna",
    "bert",
    "bare",
    "foreign_key",
    "moved",
    "cut",
    "other_host",
    "as_user",
    "dressed",
    "away",
    "junk",
)
TOKENS = {"anna": ANNA, "dressed": ANNA, "bert": BERT}
NOT_OURS = ("other_host", "away", "junk")


@dataclass
class House:
    """A guard with two registered phones, and the ways that it made so far."""

    scene: Scene = field(default_factory=Scene)
    forwarded: list[tuple[bytes, Flow]] = field(
        default_factory=list
    )  # what reached the PBX or a phone; for whom

    def __post_init__(self) -> None:
        for user, flow in (("201", ANNA), ("202", BERT)):
            self.scene.accepted(register(user), f"Contact: <sip:{user}@10.0.0.5:5060>;expires=60", flow=flow)

    def route(self, how: str) -> str:
        """A Route or Request-URI written in one of the ways; those of TOKENS lead to a phone."""
        token = self.scene.token(ANNA)
        moved = token.replace(ANNA.host, VICTIM.host).replace(str(ANNA.port), str(VICTIM.port))
        ours = {
            "anna": f"sip:{token}@{GUARD};lr",
            "bert": f"sip:{self.scene.token(BERT)}@{GUARD};lr",
            "bare": f"sip:{GUARD};lr",
            "foreign_key": f"sip:{Tokens(b'guessed').make(VICTIM).decode()}@{GUARD};lr",
            "moved": f"sip:{moved}@{GUARD};lr",
            "cut": f"sip:{token[1:]}@{GUARD};lr",
            "other_host": f"sip:{token}@203.0.113.66:6666;lr",
            "as_user": f"sip:{token};maddr=203.0.113.66@{GUARD};lr;maddr=203.0.113.66",
            "dressed": f"sip:{token}@{GUARD};lr;received=203.0.113.66;rport=6666",
            "away": AWAY + ";lr",
            "junk": "sip:@;;",
        }
        return ours[how]


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, tuple[str, ...], str, bool, str]:
    """Method, Routes, Request-URI, whether in a dialog, and the Via."""
    return (
        draw(st.sampled_from(METHODS)),
        tuple(draw(st.lists(st.sampled_from(ROUTES), max_size=3))),
        draw(st.sampled_from([*ROUTES, "pbx"])),
        draw(st.booleans()),
        draw(
            st.sampled_from(
                ("10.0.0.5;rport", "203.0.113.66:6666", "203.0.113.66:6666;received=203.0.113.66", GUARD)
            )
        ),
    )


Request = tuple[str, tuple[str, ...], str, bool, str]
Response = tuple[int, str]
FORGERIES = ("none", "via", "second", "branch", "call_id", "cseq", "flow", "no_second", "doubled", "away")


def write(house: House, request: Request, number: int) -> bytes:
    method, routes, uri, dialog, via = request
    return text(
        f"{method} {'sip:202@pbx.example.com' if uri == 'pbx' else house.route(uri)} SIP/2.0",
        f"Via: SIP/2.0/UDP {via};branch=z9hG4bK{number}",
        *[f"Route: <{house.route(route)}>" for route in routes],
        "Max-Forwards: 70",
        "From: <sip:201@pbx.example.com>;tag=from",
        "To: <sip:202@pbx.example.com>" + (";tag=to" if dialog else ""),
        f"Call-ID: call-{number}",
        f"CSeq: {number} {method}",
        f"Contact: <{AWAY}>",
        f"Record-Route: <{AWAY};lr>",
        f"Path: <{AWAY};lr>",
        "Content-Length: 0",
    )


def ways(request: Request, source: Flow) -> set[Flow]:
    """Where this request may go: to the PBX, or to the phone whose token rightly leads there."""
    method, routes, uri, dialog, _ = request
    if method == "REGISTER" and source != PBX:
        return {PBX}
    own = list(takewhile(lambda route: route not in NOT_OURS, routes))
    leads = [TOKENS.get(route) for route in own if route != "bare"]
    if source == PBX:
        return {flow for flow in leads[-1:] or [TOKENS.get(uri)] if flow is not None}
    if None in leads:
        return set()
    beyond = leads[-1:] if dialog and len(own) > 1 else []
    return {PBX, *(flow for flow in beyond if flow is not None)}


def forge(sent: bytes, how: str) -> bytes:
    """An answer to what the guard sent, changed in one place."""
    lines = answer(sent, 200).split(b"\r\n")
    vias = [number for number, line in enumerate(lines) if line.startswith(b"Via:")]
    top, second = vias[0], vias[1]
    away = b"Via: SIP/2.0/UDP 203.0.113.66:6666;branch=z9hG4bKx;received=203.0.113.66;rport=6666"
    match how:
        case "via":
            lines[top] = lines[top].replace(GUARD.encode(), b"203.0.113.66:6666")
        case "second":
            lines[second] = away
        case "branch":
            lines[top] = lines[top].replace(b"z9hG4bK", b"z9hG4bK0")
        case "call_id":
            lines = [line + b"x" if line.startswith(b"Call-ID") else line for line in lines]
        case "cseq":
            lines = [line.replace(b"CSeq: ", b"CSeq: 9") for line in lines]
        case "flow":
            lines[top] = lines[top][:-1] + (b"9" if lines[top][-1:] != b"9" else b"8")
        case "no_second":
            del lines[second]
        case "doubled":
            lines[top] += b"," + away.partition(b":")[2]
        case "away":
            lines[top] = away
        case _:
            assert how == "none"
    return b"\r\n".join(lines)


steps = st.lists(
    st.tuples(
        st.sampled_from(SOURCES),
        st.one_of(requests(), st.tuples(st.integers(0, 9), st.sampled_from(FORGERIES))),
    ),
    max_size=12,
)


@settings(max_examples=examples(1_500), deadline=None)
@given(steps)
def test_every_message_goes_a_way_that_the_guard_made(play: list[tuple[Flow, Request | Response]]) -> None:
    house = House()
    for number, (source, step) in enumerate(play, 1):
        if len(step) == 5:
            data, allowed = write(house, step, number), ways(step, source)
        elif not house.forwarded:
            continue
        else:
            back, how = step
            sent, asker = house.forwarded[back % len(house.forwarded)]
            data = forge(sent, how)
            # Whoever knows the whole branch may answer: only the two ends ever saw it. The answer of the PBX
            # to a REGISTER is known by its branch alone, and goes to the flow of that transaction.
            registering = sent.startswith(b"REGISTER") and source == PBX
            known = registering and how not in ("branch", "flow", "away")
            allowed = {asker} if known or how in ("none", "doubled") else set()
        outputs = house.scene.receive(data, source)
        check(house, outputs, source, allowed)


def check(house: House, outputs: list[Output], source: Flow, allowed: set[Flow]) -> None:
    for send in sends(outputs):
        assert send.flow in allowed | {source}, send
        assert send.flow != VICTIM
        if not send.data.startswith(b"SIP/2.0") and send.data.count(b"Via:") > 1:
            house.forwarded.append((send.data, source))
