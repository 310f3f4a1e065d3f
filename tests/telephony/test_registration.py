"""REGISTER through the guard: exact bytes, and who draws and gives back a unit when."""

import pytest

from telephony.binding import Binding
from telephony.directory import Unknown
from telephony.output import Record, Rejected, Send
from telephony.verdict import Admitted, Refused
from tests.telephony.scene import (
    ANNA,
    BERT,
    NO_UNIT,
    PBX,
    Scene,
    answer,
    only_send,
    reasons,
    records,
    register,
    sends,
    status,
    text,
)

CONTACT = "Contact: <sip:201@10.0.0.5:5060>;expires=60"
OTHER = "Contact: <sip:201@10.0.0.6:5060>;expires=90"


def test_only_the_permitted_bytes_change() -> None:
    scene = Scene()
    request = text(
        "REGISTER sip:pbx.example.com SIP/2.0",
        "v :  SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKx;rport , SIP/2.0/TCP older.example.com",
        "X-Odd:   kept ,as  it is",
        "mAX-forwards:  10",
        "f: sip:201@pbx.example.com;tag=1",
        "t:",
        " <sip:201@pbx.example.com>",
        "i: c1",
        "CSEQ: 7\tREGISTER",
        "m: <sip:201@10.0.0.5>;expires=60,",
        "\t<sip:201@10.0.0.6>",
        "l: 4",
        body="body",
    )
    sent = only_send(scene.receive(request), PBX)
    branch = sent.split(b"branch=")[1].split(b"\r\n")[0].decode()
    token = scene.token(ANNA)
    assert branch.startswith("z9hG4bK")
    assert sent == text(
        "REGISTER sip:pbx.example.com SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch={branch}",
        f"Path: <sip:{token}@192.0.2.10:5060;lr>",
        "v :  SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKx;rport=40001;received=198.51.100.7 , "
        "SIP/2.0/TCP older.example.com",
        "X-Odd:   kept ,as  it is",
        "mAX-forwards:  9",
        "f: sip:201@pbx.example.com;tag=1",
        "t:",
        " <sip:201@pbx.example.com>",
        "i: c1",
        "CSEQ: 7\tREGISTER",
        "m: <sip:201@10.0.0.5>;expires=60,",
        "\t<sip:201@10.0.0.6>",
        "l: 4",
        body="body",
    )


def test_our_via_is_taken_off_where_the_pbx_put_it() -> None:
    scene = Scene()
    forwarded = only_send(scene.receive(register()), PBX)
    ours, phones = [line for line in forwarded.decode().split("\r\n") if line.startswith("Via")]
    copied = [line for line in answer(forwarded, 200).decode().split("\r\n")[3:] if line]
    merged = text("SIP/2.0 200 OK", "v: " + ours[5:] + ";received=192.0.2.10 , " + phones[5:], *copied)
    assert only_send(scene.from_pbx(merged), ANNA) == text("SIP/2.0 200 OK", "v: " + phones[5:], *copied)


def test_path_is_topmost_and_our_route_is_taken_off() -> None:
    scene = Scene()
    request = register(extra=["Path: <sip:edge.example.com;lr>"]).replace(
        b"Via:",
        b"Path: <sip:first.example.com;lr>\r\nRoute: <sip:192.0.2.10;lr>, <sip:far.example.com;lr>\r\nVia:",
        1,
    )
    lines = only_send(scene.receive(request), PBX).decode().split("\r\n")
    assert [line for line in lines if line.startswith(("Path", "Route"))] == [
        f"Path: <sip:{scene.token(ANNA)}@192.0.2.10:5060;lr>",
        "Path: <sip:first.example.com;lr>",
        "Route: <sip:far.example.com;lr>",
        "Path: <sip:edge.example.com;lr>",
    ]


def test_first_binding_reserves_commits_and_is_recorded_before_the_answer_leaves() -> None:
    scene = Scene(units=1)
    forwarded = only_send(scene.receive(register()), PBX)
    assert scene.verdict.reserved == {"anna"}
    outputs = scene.from_pbx(answer(forwarded, 200, CONTACT))
    assert scene.verdict.held == {"anna"}
    assert isinstance(outputs[0], Record)
    assert outputs[0].durable
    assert outputs[0][:3] == ("201@pbx.example.com", "anna", "user")
    assert outputs[0].bindings == (Binding("sip:201@10.0.0.5:5060", ANNA, 61_000, 60),)
    assert isinstance(outputs[1], Send)
    assert b"\r\nVia: SIP/2.0/UDP 10.0.0.5:5060;rport=40001" in outputs[1].data
    assert b"192.0.2.10" not in outputs[1].data


def test_a_challenge_passes_unreserved() -> None:
    scene = Scene(units=0)
    forwarded = only_send(scene.receive(register(authorized=False)), PBX)
    challenge = answer(forwarded, 401, 'WWW-Authenticate: Digest realm="pbx", nonce="n"')
    assert status(only_send(scene.from_pbx(challenge), ANNA)) == 401
    assert scene.verdict.calls == []


def test_refusal_says_why() -> None:
    scene = Scene(units=0)
    outputs = scene.receive(register())
    assert reasons(outputs) == ["refused"]
    assert only_send(outputs, ANNA).decode().split("\r\n") == [
        "SIP/2.0 403 No free licence",
        "Via: SIP/2.0/UDP 10.0.0.5:5060;rport=40001;branch=z9hG4bK-201-1;received=198.51.100.7",
        'From: "Phone" <sip:201@pbx.example.com>;tag=f201',
        only_send(outputs, ANNA).decode().split("\r\n")[3],
        "Call-ID: call-201",
        "CSeq: 1 REGISTER",
        'Warning: 399 lyon "no_free_licence: No free licence"',
        "Content-Length: 0",
        "",
        "",
    ]
    assert b"\r\nTo: <sip:201@pbx.example.com>;tag=g" in only_send(outputs, ANNA)
    assert scene.receive(register()) == [Send(ANNA, only_send(outputs, ANNA))]


def test_503_carries_retry_after() -> None:
    scene = Scene(units=0, waits=True)
    scene.receive(register())
    outputs = scene.guard.settle("anna", Refused(503, "master_away", 'The "master"', 17), scene.now)
    refusal = only_send(outputs, ANNA)
    assert status(refusal) == 503
    assert b'\r\nWarning: 399 lyon "master_away: The \\"master\\""\r\nRetry-After: 17\r\n' in refusal


@pytest.mark.parametrize("code", [401, 403, 404, 423, 486, 500, 603])
def test_failure_gives_the_unit_back(code: int) -> None:
    scene = Scene(units=1)
    forwarded = only_send(scene.receive(register()), PBX)
    assert status(only_send(scene.from_pbx(answer(forwarded, code, "Min-Expires: 60")), ANNA)) == code
    assert (scene.verdict.reserved, scene.verdict.held) == (set(), set())
    assert scene.verdict.calls == ["decide anna user", "release anna"]


def test_refreshes_and_further_devices_are_never_refused() -> None:
    scene = Scene(units=1)
    scene.accepted(register(), CONTACT)
    assert records(scene.accepted(register(cseq=2), CONTACT)) == [], "nothing new to record"
    both = f"{CONTACT}, {OTHER.removeprefix('Contact: ')}"
    second = register(contact="<sip:201@10.0.0.6:5060>", cseq=9, call_id="other")
    (record,) = records(scene.accepted(second, both, flow=BERT))
    assert [(binding.flow, binding.granted_s) for binding in record.bindings] == [(ANNA, 60), (BERT, 90)]
    assert not record.durable
    alias = register("anna", contact="<sip:anna@10.0.0.9>")
    scene.accepted(alias, "Contact: <sip:anna@10.0.0.9>;expires=60")
    assert scene.verdict.calls == ["decide anna user", "commit anna user"]


def test_unregistering_gives_back_with_the_last_binding_of_the_object() -> None:
    scene = Scene(units=1)
    scene.accepted(register(), CONTACT)
    scene.accepted(register("anna", contact="<sip:anna@10.0.0.9>"), "Contact: <sip:anna@10.0.0.9>;expires=60")
    scene.accepted(register(cseq=2, contact="*", expires=0))
    assert scene.verdict.held == {"anna"}
    outputs = scene.accepted(register("anna", cseq=3, contact="<sip:anna@10.0.0.9>", expires=0))
    assert scene.verdict.held == set()
    assert [record.bindings for record in records(outputs)] == [()]
    assert scene.guard.snapshot() == ()


def test_expires_header_and_parameter_of_the_answer_count() -> None:
    scene = Scene()
    outputs = scene.accepted(
        register(),
        "Contact: <sip:a@h;expires=9>;EXPIRES = 7, sip:b@h",
        "Contact: <sip:c@h>;expires=0",
        "Expires: 30",
    )
    assert [(b.contact, b.granted_s) for b in records(outputs)[0].bindings] == [
        ("sip:a@h;expires=9", 7),
        ("sip:b@h", 30),
    ]


def test_an_answer_without_contacts_grants_what_was_asked() -> None:
    scene = Scene()
    (record,) = records(scene.accepted(register(expires=100), "Expires: 40"))
    assert [(b.contact, b.granted_s) for b in record.bindings] == [("sip:201@10.0.0.5:5060", 40)]


def test_a_pbx_that_trusts_takes_a_unit_or_makes_a_surplus() -> None:
    scene = Scene(units=1)
    scene.accepted(register(authorized=False), CONTACT)
    scene.accepted(register("202", authorized=False), "Contact: <sip:202@h>")
    assert (scene.verdict.held, scene.verdict.surplus) == ({"anna"}, {"202"})


def test_binding_expires_exactly() -> None:
    scene = Scene(units=1)
    scene.accepted(register(), CONTACT)
    assert scene.guard.next_timer() == 1_000 + 32_000, "Timer J of the transaction"
    scene.at(60_999)
    assert scene.verdict.held == {"anna"}
    assert scene.guard.next_timer() == 61_000
    outputs = scene.at(61_000)
    assert scene.verdict.held == set()
    assert [(record.name, record.bindings, record.durable) for record in records(outputs)] == [
        ("anna", (), False)
    ]


def test_what_a_refresh_on_its_way_prolongs_does_not_end_before_the_pbx_has_answered() -> None:
    granted = "Contact: <sip:201@10.0.0.5:5060>;expires=20"
    scene = Scene(units=1)
    scene.accepted(register(), granted)
    scene.now = 20_000
    asked = only_send(scene.receive(register(cseq=2)), PBX)
    scene.at(21_000)
    assert scene.verdict.held == {"anna"}, "the PBX may grant it yet"
    scene.now = 22_000
    outputs = scene.from_pbx(answer(asked, 200, granted))
    assert status(only_send(outputs, ANNA)) == 200
    assert not records(outputs), "it never ended"
    scene.at(41_999)
    assert scene.verdict.held == {"anna"}
    scene.at(42_000)
    assert scene.verdict.held == set(), "20 s after the answer, not 32 s after the request"


def test_a_refresh_that_the_pbx_never_answers_ends_with_its_transaction() -> None:
    scene = Scene(units=1)
    scene.accepted(register(), CONTACT)
    scene.now = 60_000
    scene.receive(register(cseq=2))
    scene.at(91_999)
    assert scene.verdict.held == {"anna"}
    scene.at(92_000)
    assert scene.verdict.held == set()


def test_who_is_refused_is_kept_no_longer() -> None:
    """Nor can anybody keep a binding that is not his by asking again and again."""
    scene = Scene(units=1)
    scene.accepted(register(), CONTACT)
    scene.now = 60_000
    asked = only_send(scene.receive(register(cseq=2, authorized=False)), PBX)
    scene.now = 62_000
    outputs = scene.from_pbx(answer(asked, 401))
    assert status(only_send(outputs, ANNA)) == 401
    assert [record.bindings for record in records(outputs)] == [()]
    assert scene.verdict.held == set()


def test_a_phone_that_leaves_is_not_kept_by_its_own_request() -> None:
    scene = Scene(units=1)
    scene.accepted(register(), CONTACT)
    scene.now = 60_000
    scene.receive(register(cseq=2, expires=0))
    scene.at(61_000)
    assert scene.verdict.held == set()


def test_a_refresh_at_the_instant_of_expiry_is_a_new_draw() -> None:
    scene = Scene(units=1)
    scene.accepted(register(), CONTACT)
    scene.verdict.units = 0
    scene.now = 61_000
    assert status(only_send(scene.receive(register(cseq=2)), ANNA)) == 403


def test_waiting_holds_the_request_and_absorbs_repeats() -> None:
    scene = Scene(units=0, waits=True)
    assert scene.receive(register()) == []
    assert scene.receive(register()) == []
    second = register("anna", contact="<sip:anna@10.0.0.9>")
    assert scene.receive(second, BERT) == []
    assert scene.verdict.calls == ["decide anna user"]
    scene.verdict.units = 1
    scene.verdict.reserved.add("anna")
    outputs = scene.guard.settle("anna", Admitted(reserved=True), scene.now)
    assert [send.flow for send in sends(outputs)] == [PBX, PBX]
    first, further = [send.data for send in sends(outputs)]
    scene.from_pbx(answer(first, 200, CONTACT))
    scene.from_pbx(answer(further, 403))
    assert scene.verdict.held == {"anna"}


def test_waiting_ends_when_another_request_of_the_object_is_accepted() -> None:
    scene = Scene(units=0, waits=True)
    trusted = only_send(scene.receive(register(authorized=False)), PBX)
    assert scene.receive(register(cseq=2), BERT) == []
    outputs = scene.from_pbx(answer(trusted, 200, CONTACT))
    assert [send.flow for send in sends(outputs)] == [PBX, ANNA]
    assert scene.verdict.surplus == {"anna"}
    assert scene.guard.settle("anna", NO_UNIT, scene.now) == []


def test_a_reservation_nobody_waits_for_is_given_back() -> None:
    scene = Scene()
    scene.guard.settle("anna", Admitted(reserved=True), scene.now)
    assert scene.verdict.calls == ["release anna"]


def test_the_pbx_is_asked_again_by_timer_e_and_given_up_by_timer_f() -> None:
    scene = Scene(units=1)
    forwarded = only_send(scene.receive(register()), PBX)
    times = []
    while (due := scene.guard.next_timer()) is not None and due < 33_000:
        assert only_send(scene.at(due), PBX) == forwarded
        times.append(due - 1_000)
    assert times == [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
    assert [type(output) for output in scene.at(33_000)] == [Rejected], "no 408 (RFC 4320 4.2)"
    assert scene.verdict.calls == ["decide anna user", "release anna"]
    scene.from_pbx(answer(forwarded, 200, CONTACT))
    assert scene.verdict.held == {"anna"}, "the PBX holds it, however late it said so"


def test_waiting_that_nobody_settles_ends() -> None:
    scene = Scene(units=0, waits=True)
    scene.receive(register())
    outputs = scene.at(33_000)
    assert status(only_send(outputs, ANNA)) == 503
    assert scene.verdict.calls == ["decide anna user", "release anna"]
    assert scene.guard.settle("anna", NO_UNIT, scene.now) == []


def test_answers_are_kept_for_timer_j_and_not_counted_twice() -> None:
    scene = Scene()
    forwarded = only_send(scene.receive(register()), PBX)
    final = only_send([*sends(scene.from_pbx(answer(forwarded, 200, CONTACT)))], ANNA)
    assert scene.receive(register()) == [Send(ANNA, final)]
    assert scene.from_pbx(answer(forwarded, 200, CONTACT)) == []
    scene.at(32_999)
    assert scene.receive(register()) == [Send(ANNA, final)]
    scene.at(33_000)
    assert only_send(scene.receive(register()), PBX) == forwarded, "the same request makes the same branch"


def test_provisional_answers_pass_but_100_does_not() -> None:
    scene = Scene()
    forwarded = only_send(scene.receive(register()), PBX)
    assert scene.from_pbx(answer(forwarded, 100)) == []
    ringing = only_send(scene.from_pbx(answer(forwarded, 183)), ANNA)
    assert scene.receive(register()) == [Send(ANNA, ringing)]
    assert scene.guard.next_timer() == 1_500


def test_an_answer_after_a_restart_counts_and_finds_the_phone() -> None:
    before, after = Scene(), Scene()
    forwarded = only_send(before.receive(register()), PBX)
    outputs = after.from_pbx(answer(forwarded, 200, CONTACT))
    assert sends(outputs)[-1].flow == ANNA
    assert after.verdict.held == {"anna"}
    forged = answer(forwarded.replace(b"z9hG4bK-201-1", b"z9hG4bK-201-2"), 200, CONTACT)
    assert reasons(Scene().from_pbx(forged)) == ["forged_via"]


def test_restored_bindings_count_their_whole_time_again() -> None:
    scene = Scene()
    scene.accepted(register(), CONTACT)
    later = Scene()
    later.guard.restore(scene.guard.snapshot(), 500_000)
    assert later.guard.next_timer() == 560_000
    later.now = 559_999
    only_send(later.receive(register(cseq=5)), PBX)
    assert later.verdict.calls == []


@pytest.mark.parametrize(
    ("unknown", "expected"), [(Unknown.USER, PBX), (Unknown.REFUSE, ANNA), (Unknown.PASS, PBX)]
)
def test_unknown_objects(unknown: Unknown, expected: object) -> None:
    scene = Scene(unknown=unknown)
    (send,) = sends(scene.receive(register("999")))
    assert send.flow == expected
    if unknown is Unknown.REFUSE:
        assert b"unknown_object" in send.data
    assert scene.verdict.calls == (["decide 999 user"] if unknown is Unknown.USER else [])
    # Nobody is kept from leaving.
    assert sends(scene.receive(register("999", cseq=2, contact="*", expires=0)))[0].flow == PBX


@pytest.mark.parametrize("said", [[], ["Supported: gruu"], ["k: path, gruu"]])
def test_a_pbx_that_wants_phones_to_know_path_hears_it_first(said: list[str]) -> None:
    """RFC 3327 5.3; Asterisk 22 looks into the first Supported header only, and answers 420 without it."""
    scene = Scene(supported_path=True)
    sent = only_send(scene.receive(register(extra=said)), PBX)
    lines = sent.decode().split("\r\n")
    path = f"Path: <sip:{scene.token(ANNA)}@192.0.2.10:5060;lr>"
    assert lines[2:4] == [path, "Supported: path"]
    assert [line for line in lines[4:] if line.startswith(("Supported", "k:"))] == said
    plain = only_send(Scene().receive(register(extra=said)), PBX)
    assert plain.count(b"Supported: path") == 0
