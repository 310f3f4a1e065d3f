"""An overloaded guard: who is refused, who is served all the same, and when the refused come back."""

from collections import Counter

from telephony.address import Flow
from telephony.output import Output
from telephony.verdict import Refused
from tests.telephony.scene import ANNA, BERT, PBX, Scene, only_send, reasons, register, sends, status, text

CARL = Flow(0, "198.51.100.9", 40003)
CONTACT = "Contact: <sip:201@10.0.0.5:5060>;expires=60"


def invite(number: str) -> bytes:
    """A call that begins here."""
    return text(
        f"INVITE sip:{number}@pbx.example.com SIP/2.0",
        f"Via: SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bK-{number}",
        "Max-Forwards: 70",
        "From: <sip:201@pbx.example.com>;tag=f",
        f"To: <sip:{number}@pbx.example.com>",
        f"Call-ID: call-{number}",
        "CSeq: 1 INVITE",
        "Content-Length: 0",
    )


def overloaded(outputs: list[Output], flow: Flow) -> int:
    """The seconds after which a request refused with 503 may come again."""
    assert reasons(outputs) == ["overloaded"]
    refusal = only_send(outputs, flow)
    assert status(refusal) == 503
    return int(refusal.split(b"\r\nRetry-After: ")[1].split(b"\r\n")[0])


def test_full_table_evicts_the_completed_and_refuses_beyond() -> None:
    scene = Scene(transaction_limit=2)
    scene.accepted(register(), CONTACT)
    scene.receive(register("202"))
    overloaded(scene.receive(register("203")), ANNA)  # half of two is one
    scene.receive(register("204"), BERT)
    overloaded(scene.receive(register("205"), CARL), CARL)
    assert {"decide 203 user", "decide 205 user"}.isdisjoint(scene.verdict.calls)


def test_refreshes_come_before_newcomers() -> None:
    """Three quarters of the places are taken: a newcomer is told to come later, a bound phone is served."""
    scene = Scene(units=100, transaction_limit=100)
    scene.accepted(register(), CONTACT)
    for number in range(75):
        flow = Flow(0, f"10.0.0.{number % 5}", 5060)
        only_send(scene.receive(register("202", call_id=f"flood-{number}", authorized=False), flow), PBX)
    newcomer = register("203")
    overloaded(scene.receive(newcomer, BERT), BERT)
    overloaded(scene.receive(register(call_id="stolen"), BERT), BERT)  # the AOR alone does not make it known
    refresh = register(cseq=2)
    only_send(scene.receive(refresh), PBX)
    assert "decide 203 user" not in scene.verdict.calls


def test_who_is_refused_comes_back_spread_out() -> None:
    scene = Scene(transaction_limit=2)
    scene.receive(register("202"), CARL)
    scene.receive(register("203"), BERT)
    times = [overloaded(scene.receive(register(call_id=f"c{number}")), ANNA) for number in range(1_600)]
    counts = Counter(times)
    assert (min(counts), max(counts)) == (5, 20)
    assert max(counts.values()) < 1_600 / 16 * 1.4, "no second is crowded"
    again = [overloaded(scene.receive(register(call_id="c1", cseq=number)), ANNA) for number in range(2, 22)]
    assert len(set(again)) > 5, "a phone does not meet the same ones again"
    assert scene.receive(register(call_id="c1")) == scene.receive(register(call_id="c1"))


def test_calls_pass_when_no_place_is_left() -> None:
    """They need none: an emergency call is not asked whether there is room."""
    scene = Scene(transaction_limit=2)
    scene.receive(register("202"), CARL)
    scene.receive(register("203"), BERT)
    overloaded(scene.receive(register("204")), ANNA)
    assert only_send(scene.receive(invite("112")), PBX).startswith(b"INVITE sip:112@")
    assert only_send(scene.receive(invite("203")), PBX).startswith(b"INVITE sip:203@")


def test_every_503_says_when_to_come_again() -> None:
    scene = Scene(units=0, waits=True)
    assert scene.receive(register("202")) == []
    (waiting,) = sends(scene.at(scene.now + 32_000))
    assert status(waiting.data) == 503
    assert b"\r\nRetry-After: " in waiting.data
    assert scene.receive(register("203")) == []
    refused = Refused(503, "recovering", "The licence master is recovering")
    outputs = scene.guard.settle("203", refused, scene.now)
    assert b"\r\nRetry-After: " in only_send(outputs, ANNA)
