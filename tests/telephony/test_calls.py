"""Calls over lines: when a channel is taken and given back, who is refused, and what is no call of a line."""

import pytest

from telephony.address import Flow
from telephony.dialog import GIVE_UP_MS, REPEATS_MS, RINGING_MS, TABLE, Event, State, Why
from telephony.line import LineRow
from telephony.output import Counted, InTurn, Send
from telephony.pbx.picture import ALWAYS
from telephony.tally import SAME_CALL_ID_LIMIT
from telephony.verdict import Admitted
from tests.telephony.scene import ANNA, BERT, NO_CHANNEL, PBX, answer, only_send, reasons, sends, status
from tests.telephony.trunk import CONTACT, GATEWAY, LINES, Trunk

SECOND = Flow(0, "198.51.100.21", 5060)
HOUR = 3_600_000


@pytest.mark.parametrize("outward", [True, False])
@pytest.mark.parametrize("caller", [True, False])
def test_a_channel_is_held_from_the_invite_to_the_answer_to_the_bye(outward: bool, caller: bool) -> None:
    trunk = Trunk()
    call = trunk.invite("c1", outward=outward)
    assert trunk.busy == 1
    assert list(trunk.scene.verdict.busy.values()) == [("gw1", "pri1")]
    for code in (100, 180, 200):
        trunk.answer(call, code)
        assert trunk.busy == 1
    trunk.within(call, "ACK", cseq=1)
    bye = trunk.within(call, "BYE", caller=caller)
    assert trunk.busy == 1, "whether the BYE is good is known by its answer"
    trunk.answer_within(bye, 200)
    assert trunk.busy == 0
    assert [counted.over != "" for counted in trunk.counted] == [False, False, True]


def test_the_one_too_many_is_told_why_and_every_time_the_same() -> None:
    trunk = Trunk(channels=1)
    first, second = trunk.invite("c1"), trunk.invite("c2")
    assert (second.sent, status(second.refusal)) == (b"", 403)
    assert b'\r\nWarning: 399 lyon "relay_channels_exhausted: No free Relay-Channel"\r\n' in second.refusal
    trunk.answer(first, 486)
    assert trunk.busy == 0
    said = second.refusal
    assert sends(trunk.again(second)) == [Send(PBX, said)], "its sender has heard the refusal"
    assert trunk.busy == 0
    ack = second.data.replace(b"INVITE sip", b"ACK sip", 1).replace(b" INVITE\r\n", b" ACK\r\n")
    tag = said.split(b";tag=g")[1].split(b"\r\n")[0]
    assert trunk.pass_(ack.replace(b"\r\nCall-ID", b";tag=g" + tag + b"\r\nCall-ID"), PBX) == []
    assert trunk.invite("c3").sent


def test_a_repeated_invite_is_the_same_call() -> None:
    trunk = Trunk(channels=1)
    call = trunk.invite("c1")
    sent = call.sent
    trunk.again(call)
    assert (trunk.busy, call.sent) == (1, sent)
    trunk.answer(call, 486)
    trunk.again(call)
    assert trunk.busy == 0, "late, and no further call"


@pytest.mark.parametrize("code", [302, 401, 407, 486, 487, 503, 603])
def test_a_call_that_fails_gives_its_channel_back(code: int) -> None:
    trunk = Trunk(channels=1)
    call = trunk.invite("c1")
    trunk.answer(call, 180)
    trunk.answer(call, code)
    assert trunk.busy == 0
    assert trunk.counted[-1].why is Why.FAILED
    again = trunk.invite("c1", cseq=2)  # as after a challenge
    assert (trunk.busy, again.sent != b"") == (1, True)


def test_cancel_ends_nothing_and_the_answer_to_the_invite_decides() -> None:
    trunk = Trunk()
    gone, raced = trunk.invite("c1"), trunk.invite("c2")
    for call in (gone, raced):
        assert len(sends(trunk.cancel(call))) == 1
    assert trunk.busy == 2
    trunk.answer(gone, 487)
    trunk.answer(raced, 200)  # it was quicker than the CANCEL
    assert trunk.busy == 1
    trunk.hang_up(raced)
    assert trunk.busy == 0


def test_a_2xx_that_comes_after_the_end_is_counted_beyond_the_channels() -> None:
    trunk = Trunk(channels=1)
    late = trunk.invite("c1")
    trunk.answer(late, 487)
    trunk.invite("c2")
    trunk.answer(late, 200)
    assert (trunk.busy, len(trunk.scene.verdict.over)) == (2, 1)


def test_forked_answers_are_one_call_until_the_last_dialog_is_over() -> None:
    trunk = Trunk()
    call = trunk.invite("c1", outward=False)
    for tag in ("a", "b", "c"):
        trunk.answer(call, 180, tag=tag)
    for tag in ("a", "b"):
        trunk.answer(call, 200, tag=tag)
    assert trunk.busy == 1
    trunk.hang_up(call, tag="a")
    assert trunk.busy == 1
    trunk.hang_up(call, tag="b", caller=False)
    assert trunk.busy == 0
    trunk.answer(call, 200, tag="b")
    assert trunk.busy == 0, "that dialog is over: a repeated answer"
    trunk.answer(call, 200, tag="c")
    assert trunk.busy == 1, "that one is new"


def test_branches_of_a_forking_pbx_are_calls_of_their_own() -> None:
    trunk = Trunk()
    one, other = trunk.invite("c1", branch="a"), trunk.invite("c1", branch="b")
    assert trunk.busy == 2
    trunk.answer(one, 200, tag="ta")
    trunk.answer(other, 487)
    assert trunk.busy == 1
    trunk.hang_up(one, tag="ta")
    assert trunk.busy == 0


@pytest.mark.parametrize("code", [401, 407, 500])
def test_a_bye_that_is_not_accepted_ends_nothing(code: int) -> None:
    trunk = Trunk(call_age_s=3_600)
    call = trunk.invite("c1")
    trunk.answer(call, 200)
    trunk.hang_up(call, status=code)
    trunk.after(10 * GIVE_UP_MS)
    assert trunk.busy == 1
    trunk.hang_up(call, status=481)
    assert trunk.busy == 0


def test_a_bye_that_nobody_answers_ends_the_call() -> None:
    trunk = Trunk()
    call = trunk.invite("c1")
    trunk.answer(call, 200)
    trunk.within(call, "BYE")
    trunk.after(GIVE_UP_MS - 1)
    assert trunk.busy == 1
    trunk.after(1)
    assert trunk.busy == 0
    trunk.answer(call, 200)
    assert trunk.busy == 0, "a repeated answer to the INVITE of a call that is over"


def test_a_bye_of_another_dialog_ends_nothing() -> None:
    trunk = Trunk()
    call = trunk.invite("c1")
    trunk.answer(call, 200)
    trunk.hang_up(call, tag="other")
    assert trunk.busy == 1


def test_an_invite_that_nobody_answers_and_one_that_rings_end_by_their_time() -> None:
    trunk = Trunk()
    dead, ringing = trunk.invite("c1"), trunk.invite("c2")
    trunk.answer(ringing, 180)
    (lost,) = trunk.after(GIVE_UP_MS)
    assert lost == Counted(None, next(iter(trunk.counted)).record.name, Why.UNANSWERED)  # type: ignore[union-attr]
    assert trunk.busy == 1
    trunk.answer(ringing, 180)
    trunk.after(RINGING_MS - 1)
    assert trunk.busy == 1
    trunk.after(1)
    assert trunk.busy == 0
    trunk.answer(ringing, 200)
    assert trunk.busy == 1, "answered after all"
    assert dead.sent


# ---- session timers, age, snapshots


def test_a_session_ends_by_its_timer_unless_it_is_refreshed() -> None:
    trunk = Trunk(call_age_s=7_200)
    call = trunk.invite("c1")
    trunk.answer(call, 200, "Session-Expires: 1800;refresher=uac")
    trunk.after(900_000)
    update = trunk.within(call, "UPDATE", cseq=3)
    trunk.answer_within(update, 200, "x: 1800")
    trunk.after(1_799_999)
    assert trunk.busy == 1
    assert trunk.after(1) == [Counted(None, trunk.counted[0].record.name, Why.SESSION_EXPIRED)]  # type: ignore[union-attr]
    assert trunk.busy == 0


def test_no_session_is_shorter_than_the_rfc_allows_nor_longer_than_the_greatest_age() -> None:
    trunk = Trunk(call_age_s=3_600)
    short, long = trunk.invite("c1"), trunk.invite("c2")
    trunk.answer(short, 200, "Session-Expires: 1")
    trunk.answer(long, 200, "Session-Expires: 4000000000")
    trunk.after(89_999)
    assert trunk.busy == 2
    trunk.after(1)
    assert trunk.busy == 1
    trunk.after(HOUR)
    assert trunk.busy == 0


def test_without_a_session_timer_a_call_ends_by_its_age_and_is_found_when_it_shows_itself() -> None:
    trunk = Trunk(call_age_s=3_600)
    call = trunk.invite("c1")
    trunk.answer(call, 200)
    trunk.answer_within(trunk.within(call, "INVITE", cseq=3), 200)
    trunk.after(HOUR - 1)
    assert trunk.busy == 1
    (over,) = trunk.after(1)
    assert isinstance(over, Counted)
    assert over.why is Why.TOO_OLD
    trunk.answer_within(trunk.within(call, "INVITE", cseq=4), 200)
    assert trunk.busy == 1
    trunk.hang_up(call)
    assert trunk.busy == 0


def test_a_re_invite_that_fails_changes_nothing_and_481_ends_the_call() -> None:
    trunk = Trunk()
    call = trunk.invite("c1")
    trunk.answer(call, 200)
    trunk.answer_within(trunk.within(call, "INVITE", cseq=3), 488)
    assert trunk.busy == 1
    trunk.answer_within(trunk.within(call, "INVITE", cseq=4), 481)
    assert trunk.busy == 0


def test_what_the_pbx_does_not_know_any_more_is_over() -> None:
    trunk = Trunk(channels=4)
    old, new, early, late = [trunk.invite(call) for call in ("c1", "c2", "c3", "c4")]
    for call in (old, new):
        trunk.answer(call, 200)
    trunk.after(1_000)
    asked = trunk.scene.now
    trunk.answer(late, 200)
    trunk.after(1_000)
    outputs = trunk.scene.guard.reconcile({b"c2"}, ALWAYS, asked, trunk.scene.now)
    assert [output.why for output in outputs if isinstance(output, Counted)] == [Why.UNKNOWN_TO_PBX]
    assert trunk.busy == 3
    assert early.sent


def test_a_pbx_that_was_started_anew_knows_nothing_of_what_was_before() -> None:
    trunk = Trunk(channels=4)
    old, new = trunk.invite("c1"), trunk.invite("c2")
    trunk.answer(old, 200)
    trunk.after(1_000)
    started = trunk.scene.now
    trunk.answer(new, 200)
    trunk.after(1_000)
    assert len(trunk.scene.guard.reconcile((), started, trunk.scene.now, trunk.scene.now)) == 1
    trunk.hang_up(old)
    assert trunk.busy == 0


# ---- the same call, or another one


def test_a_call_from_a_phone_to_a_gateway_passes_twice_and_takes_one_channel() -> None:
    trunk = Trunk()
    first = trunk.invite("c1", outward=False, branch="phone", flow=ANNA)
    assert trunk.busy == 0
    second = trunk.invite("c1", branch="pbx")
    assert trunk.busy == 1
    trunk.answer(second, 200)
    trunk.pass_(answer(first.sent, 200, to_tag="t"), PBX)
    assert trunk.busy == 1
    trunk.hang_up(second)
    assert trunk.busy == 0


def test_a_call_from_a_gateway_back_to_it_takes_two_channels() -> None:
    trunk = Trunk(channels=3)
    into = trunk.invite("c1", outward=False)
    vias = tuple(line[5:] for line in into.sent.decode().split("\r\n") if line.startswith("Via: "))
    out = trunk.invite("c1", branch="pbx", vias=vias)
    assert trunk.busy == 2
    trunk.answer(out, 200)
    trunk.answer(into, 200)
    trunk.hang_up(out)
    assert trunk.busy == 0, "one dialog, two channels: both are free"


def test_a_call_that_a_gateway_passes_on_is_still_the_same() -> None:
    trunk = Trunk(channels=1)
    out = trunk.invite("c1")
    vias = tuple(line[5:] for line in out.sent.decode().split("\r\n") if line.startswith("Via: "))
    back = trunk.invite("c1", outward=False, branch="gw", vias=vias)
    assert back.sent
    assert trunk.busy == 1
    trunk.answer(back, 486)
    assert trunk.busy == 1
    trunk.answer(out, 486)
    assert trunk.busy == 0


def test_a_call_that_replaces_another_takes_its_channel() -> None:
    trunk = Trunk(channels=1)
    old = trunk.invite("c1")
    trunk.answer(old, 200)
    new = trunk.invite("c2", "Replaces: c1;to-tag=t;from-tag=fc1")
    assert (trunk.busy, new.sent != b"") == (1, True)
    trunk.answer(new, 200, tag="t2")
    trunk.hang_up(old)
    assert trunk.busy == 1
    trunk.after(REPEATS_MS)
    trunk.hang_up(new, tag="t2")
    assert trunk.busy == 0


def test_a_call_that_replaces_nothing_in_truth_is_counted_after_a_while() -> None:
    trunk = Trunk(channels=1)
    old = trunk.invite("c1")
    trunk.answer(old, 200)
    trunk.answer(trunk.invite("c2", "Replaces: c1;to-tag=t;from-tag=fc1"), 200, tag="t2")
    trunk.after(REPEATS_MS)
    assert (trunk.busy, len(trunk.scene.verdict.over)) == (2, 1)
    assert not trunk.invite("c3", "Replaces: c1;to-tag=x;from-tag=fc1").sent, "no such dialog"


def test_a_gateway_that_is_told_to_call_somebody_keeps_its_channel() -> None:
    trunk = Trunk(channels=1)
    call = trunk.invite("c1")
    trunk.answer(call, 200)
    trunk.within(call, "REFER", "Refer-To: <sip:202@pbx.example.com>", cseq=3)
    other = trunk.invite("c2", outward=False, uri="sip:203@pbx.example.com")
    assert status(other.refusal) == 403, "that is somebody else"
    told = trunk.invite("c3", outward=False, uri="sip:202@pbx.example.com")
    assert told.sent
    trunk.answer(told, 200)
    trunk.hang_up(call)
    assert trunk.busy == 1
    assert not trunk.invite("c4", outward=False, uri="sip:202@pbx.example.com").sent, "it was told once"


# ---- waiting for the master


def test_an_invite_is_held_while_the_master_is_asked() -> None:
    trunk = Trunk(channels=0, waits=True)
    call = trunk.invite("c1")
    trunk.again(call)
    assert (call.sent, call.refusal) == (b"", b"")
    (name,) = trunk.scene.verdict.ringing
    verdict = trunk.scene.verdict
    verdict.ringing.discard(name)
    verdict.busy[name] = ("gw1", "pri1")
    settled = trunk.scene.guard.settle(name, Admitted(reserved=False), trunk.scene.now)
    assert [type(output) for output in settled] == [Counted, InTurn]
    assert only_send(sends(settled), GATEWAY).startswith(b"INVITE")  # type: ignore[arg-type] # sends are outputs


def test_an_invite_that_waits_may_be_refused_or_cancelled() -> None:
    trunk = Trunk(channels=0, waits=True)
    refused, cancelled = trunk.invite("c1"), trunk.invite("c2")
    first, second = trunk.scene.verdict.ringing
    names = {first, second}
    said = sends(trunk.cancel(cancelled))
    assert [status(send.data) for send in said] == [200, 487]
    (left,) = trunk.scene.verdict.ringing
    assert left in names
    (_, sent) = trunk.scene.guard.settle(left, NO_CHANNEL, trunk.scene.now)
    assert isinstance(sent, Send)
    assert status(sent.data) == 403
    assert sends(trunk.again(refused)) == [sent]
    assert [status(send.data) for send in sends(trunk.again(cancelled))] == [487]
    assert [status(send.data) for send in sends(trunk.cancel(cancelled))] == [200]


# ---- emergency calls


@pytest.mark.parametrize("where", ["uri", "to"])
def test_an_emergency_call_is_never_refused_and_waits_for_no_disk(where: str) -> None:
    trunk = Trunk(channels=0)
    named = {"uri": "sip:112@198.51.100.20"} if where == "uri" else {"to": "112"}
    call = trunk.invite("c1", **named)  # type: ignore[arg-type] # texts only
    assert call.sent
    assert (trunk.busy, len(trunk.scene.verdict.over)) == (1, 1)
    for outputs in (trunk.again(call), trunk.answer(call, 200), trunk.cancel(call)):
        assert all(output.urgent for output in outputs if isinstance(output, InTurn))
    guard, bye = trunk.scene.guard, call.data.replace(b"c1.1", b"c9.1")
    assert guard.relay(bye, PBX, trunk.scene.now), "also where nothing can be stored"


def test_what_must_be_stored_waits_where_nothing_can_be() -> None:
    trunk = Trunk()
    call = trunk.invite("c1")
    guard, now = trunk.scene.guard, trunk.scene.now
    assert guard.relay(call.data.replace(b"c1", b"c2"), PBX, now) is None
    assert guard.relay(answer(call.sent, 200), GATEWAY, now) is None
    assert trunk.busy == 1
    phone = trunk.scene.token(BERT)
    ordinary = call.data.replace(b"c1", b"c3").replace(trunk.scene.token(GATEWAY).encode(), phone.encode())
    assert len(guard.relay(ordinary, PBX, now) or []) == 1


def test_too_many_calls_are_turned_away() -> None:
    trunk = Trunk(channels=100)
    for branch in range(SAME_CALL_ID_LIMIT):
        assert trunk.invite("c1", branch=f"b{branch}").sent
    assert status(trunk.invite("c1", branch="one-more").refusal) == 503
    assert trunk.invite("c1", branch="help", to="112").sent
    assert trunk.busy == SAME_CALL_ID_LIMIT


# ---- which line


def test_calls_that_touch_no_line_are_left_to_the_stateless_path() -> None:
    trunk = Trunk(channels=0)
    for call in ("c1", "c2"):
        out = trunk.invite(call, flow=BERT)
        into = trunk.invite(f"{call}b", outward=False, flow=ANNA)
        for invite in (out, into):
            assert [type(output) for output in trunk.again(invite)] == [Send]
        for sent, flow in ((out.sent, BERT), (into.sent, PBX)):
            assert [type(output) for output in trunk.pass_(answer(sent, 200), flow)] == [Send]
    assert (trunk.busy, trunk.counted) == (0, [])


def test_a_line_is_found_by_aor_or_by_what_was_called() -> None:
    rows = (
        LineRow(("gw1",), ("00*",), "bri1"),
        LineRow(("gw1",), ("9?????", "118"), "bri2"),
        LineRow(("gw2",), (), "pri1"),
        LineRow(("gw1",), ("0*",)),
    )
    trunk = Trunk(channels=10, lines=rows)
    trunk.put("gw2", "sip:gw2@198.51.100.20:5060")  # the same box, another of its interfaces
    wanted = {
        "c1": ("gw1", "bri1", {"to": "0033123"}),
        "c2": ("gw1", "bri2", {"uri": "sip:912345@198.51.100.20"}),
        "c3": ("gw2", "pri1", {"uri": "sip:gw2@198.51.100.20:5060"}),
        "c4": ("gw1", "", {"to": "0123"}),
        "c5": ("gw2", "pri1", {"outward": False, "caller": "gw2"}),
    }
    for call, (gateway, interface, named) in wanted.items():
        invite = trunk.invite(call, **named)  # type: ignore[arg-type] # as invite takes them
        assert trunk.counted[-1].record is not None
        assert trunk.counted[-1].record[2:4] == (gateway, interface), call
        trunk.answer(invite, 486)
    trunk.invite("c6", to="201", uri="sip:201@198.51.100.20", flow=GATEWAY)
    assert trunk.counted[-1].record[3] == "pri1"  # type: ignore[index] # what no other row claims


def test_a_trunk_that_never_registers_is_known_by_its_from() -> None:
    trunk = Trunk(channels=0, lines=(LineRow(("*@pbx.example.com",), (), "pri1"), *LINES))
    assert status(trunk.invite("c1", outward=False, flow=ANNA, caller="ext").refusal) == 403
    assert reasons(trunk.again(trunk.invite("c2", outward=False, flow=ANNA, caller="ext"))) == []


def test_a_gateway_that_moved_is_found_where_it_is() -> None:
    trunk = Trunk(channels=0)
    moved = CONTACT.replace("20:", "21:")
    trunk.put("gw1", moved, SECOND)
    assert trunk.invite("c1", uri=moved, flow=SECOND).refusal
    assert trunk.invite("c2", uri="sip:0123@198.51.100.20").sent, "nobody is registered there any more"


# ---- across a restart


def test_stored_calls_go_on() -> None:
    trunk = Trunk(channels=4)
    early, talking = trunk.invite("c1"), trunk.invite("c2")
    trunk.answer(talking, 200, "Session-Expires: 600")
    records = [counted.record for counted in trunk.counted if counted.record is not None]
    stored = {record.name: record for record in records}
    after = Trunk(channels=4)
    after.scene.verdict.busy = {record.unit: ("gw1", "pri1") for record in stored.values()}
    after.scene.guard.restore_calls(stored.values(), after.scene.now)
    after.again(early)
    assert after.busy == 2, "the same call, whoever answers for it now"
    after.answer(early, 487)
    assert after.busy == 1
    after.answer_within(after.within(talking, "UPDATE"), 200, "Session-Expires: 600")
    after.after(599_999)
    assert after.busy == 1
    after.hang_up(talking)
    assert after.busy == 0


def test_the_table_has_no_way_back_from_a_refusal() -> None:
    assert not [state for state, _ in TABLE if state == State.REFUSED]
    assert {state for state, event in TABLE if event == Event.ANSWERED} == {
        State.TRYING, State.RINGING, State.TALKING, State.OVER,
    }  # fmt: skip


def test_a_stored_call_that_the_pbx_does_not_know_is_over() -> None:
    """It was answered, or showed itself last, before the agent was started anew."""
    trunk = Trunk(channels=4)
    trunk.answer(trunk.invite("c1"), 200)
    records = [counted.record for counted in trunk.counted if counted.record is not None]
    answered_ms = trunk.scene.now
    after = Trunk(channels=4)
    after.scene.verdict.busy = {records[-1].unit: ("gw1", "pri1")}
    after.scene.guard.restore_calls(records[-1:], answered_ms + 5_000)
    for since_ms, ends in ((answered_ms + 1, 0), (answered_ms, 1)):
        outputs = after.scene.guard.reconcile((), since_ms, answered_ms + 6_000, answered_ms + 6_000)
        assert len(outputs) == ends
