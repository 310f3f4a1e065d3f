"""Kamailio: what was recorded from 5.6.3, INVITE joined to BYE, and what a phone may put into it."""

import pytest

from telephony.cdr import kamailio, pending
from telephony.cdr.payer import Free, dues
from telephony.cdr.pending import MAX_CALLS
from telephony.cdr.reading import Part, Quarantined, Reason
from tests.telephony.cdr.samples import NOW_MS, ORIGIN, only, quarantined, read, recorded, records

DAY_MS = 86_400_000


def acc(
    method: str, code: int, call_id: str, tags: str = "a;b", time: str = "1795456538", more: str = ""
) -> bytes:
    from_tag, to_tag = tags.split(";")
    what = "answered" if code < 300 else "failed"
    return (
        "Nov 23 17:55:38 sip kamailio[1844]: NOTICE: acc [acc.c:287]: acc_log_request(): "
        f"ACC: transaction {what}: "
        f"timestamp={time};method={method};from_tag={from_tag};to_tag={to_tag};call_id={call_id};"
        f"code={code};reason=OK{more}\n"
    ).encode()


USERS = ";src_user=2001;dst_user=2002"


def test_the_recorded_log() -> None:
    answered, refused = records(read(kamailio.log_parser(ORIGIN), recorded("kamailio.log")))
    assert (answered.talk_s, answered.answer_ms, answered.end_ms) == (3, 1_795_456_538_000, 1_795_456_541_000)
    assert answered.call_ref == "1-2461@10.77.0.3/2373SIPpTag011/2461S1"
    assert answered.raw.count(b"ACC:") == 2
    assert (refused.talk_s, refused.answer_ms, refused.cause) == (0, None, 1)
    assert dues([refused])[0].free is Free.UNANSWERED


def test_the_recorded_dialogs() -> None:
    """The CDR line says 3.005 s; the transactions of the same call are not counted beside it."""
    answered, refused = records(
        read(kamailio.log_parser(ORIGIN, kamailio.Counted.DIALOGS), recorded("kamailio.log"))
    )
    assert (answered.caller, answered.called, answered.talk_s) == ("2001", "2002", 4)
    assert (answered.answer_ms, answered.end_ms) == (1_795_456_538_463, 1_795_456_541_468)
    assert refused.cause == 1


def test_the_recorded_json() -> None:
    cdr = only(read(kamailio.json_parser(ORIGIN), recorded("kamailio-evapi.jsonl")))
    assert (cdr.caller, cdr.called, cdr.talk_s, cdr.account) == ("2001", "2002", 4, "2001")
    assert (cdr.answer_ms, cdr.end_ms) == (1_795_456_538_462, 1_795_456_541_471)


def test_the_callee_hangs_up() -> None:
    """Its BYE has the tags the other way round, and no called user."""
    log = acc("INVITE", 200, "c1", more=USERS) + acc("BYE", 200, "c1", "b;a", "1795456600", ";src_user=2002")
    cdr = only(read(kamailio.log_parser(ORIGIN), log))
    assert (cdr.caller, cdr.called, cdr.talk_s) == ("2001", "2002", 62)


def test_two_calls_of_one_call_id() -> None:
    log = acc("INVITE", 200, "c1", "a;b") + acc("INVITE", 200, "c1", "a;c")
    log += acc("BYE", 200, "c1", "a;c", "1795456540") + acc("BYE", 200, "c1", "b;a", "1795456550")
    assert [cdr.talk_s for cdr in records(read(kamailio.log_parser(ORIGIN), log))] == [2, 12]


def test_an_invite_within_a_call_begins_no_other() -> None:
    log = acc("INVITE", 200, "c1") + acc("INVITE", 200, "c1", "b;a", "1795456588")
    cdr = only(read(kamailio.log_parser(ORIGIN), log + acc("BYE", 200, "c1", "a;b", "1795456598")))
    assert cdr.talk_s == 60
    assert cdr.raw.count(b"INVITE") == 2


@pytest.mark.parametrize("code", [408, 481])
def test_a_bye_that_finds_nobody_ends_the_call(code: int) -> None:
    log = acc("INVITE", 200, "c1") + acc("BYE", 407, "c1") + acc("BYE", code, "c1", "a;b", "1795456548")
    assert only(read(kamailio.log_parser(ORIGIN), log)).talk_s == 10


@pytest.mark.parametrize(
    ("code", "cause"), [(486, 17), (603, 21), (487, 16), (480, 18), (404, 1), (699, None)]
)
def test_refused_busy_and_given_up(code: int, cause: int | None) -> None:
    cdr = only(read(kamailio.log_parser(ORIGIN), acc("INVITE", code, "c1", more=USERS)))
    assert (cdr.cause, cdr.talk_s, cdr.answer_ms, cdr.called) == (cause, 0, None, "2002")


def test_a_challenge_is_no_call() -> None:
    assert read(kamailio.log_parser(ORIGIN), acc("INVITE", 407, "c1") + acc("INVITE", 401, "c1")) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (acc("BYE", 200, "never-seen"), Reason.NO_BEGINNING),
        (acc("INVITE", 200, "c1", more=";code=486"), Reason.MALFORMED),
        (acc("INVITE", 200, "c1", more=";OK"), Reason.MALFORMED),
        (acc("INVITE", 200, "c1").replace(b"call_id=c1", b"call_id="), Reason.MISSING),
        (acc("INVITE", 100, "c1"), Reason.INVALID),
        (acc("INVITE", 200, "c1", time="soon"), Reason.INVALID),
        (b"x ACC: transaction answ\n", Reason.MALFORMED),
    ],
)
def test_what_is_no_record_says_why(line: bytes, reason: Reason) -> None:
    assert quarantined(read(kamailio.log_parser(ORIGIN), line)).reason is reason


def test_a_phone_cannot_write_a_second_value() -> None:
    """pbx-integrations.md 4.1: an unescaped User-Agent held a key of its own, and the last one won."""
    line = (
        b'{"time":"1795456538","method":"INVITE","from_tag":"a","to_tag":"b","callid":"c","sip_code":"486",'
    )
    found = quarantined(read(kamailio.json_parser(ORIGIN), line + b'"ua":"evil","sip_code":"200","x":""}\n'))
    assert found.reason is Reason.MALFORMED
    assert '"sip_code" stands there twice' in found.detail


def test_half_a_character_is_text_that_can_be_written() -> None:
    line = (
        rb'{"time":"1795456538","method":"INVITE","from_tag":"a","to_tag":"b","callid":"c","sip_code":"486",'
    )
    cdr = only(
        read(kamailio.json_parser(ORIGIN), line + rb'"from":"sip:\ud800@h","dst_user":"\u00e9\udc00"}')
    )
    assert (cdr.caller, cdr.called) == (r"\ud800", r"é\udc00")
    assert cdr.called.encode()


def test_the_bye_may_come_on_another_connection() -> None:
    one = kamailio.log_parser(ORIGIN)
    other = one.branch()
    assert isinstance(one.feed(acc("INVITE", 200, "c1") + b"half a li", NOW_MS)[0], Part)
    assert only(other.feed(acc("BYE", 200, "c1"), NOW_MS)).call_ref == "c1/a/b"
    assert (one.unfinished, other.unfinished) == (9, 0)


def test_calls_without_an_end_are_given_up_oldest_first_and_with_their_bytes() -> None:
    parser = kamailio.log_parser(ORIGIN)
    beyond = 5
    given_up: list[Quarantined] = []
    for number in range(MAX_CALLS + beyond):
        readings = parser.feed(acc("INVITE", 200, f"c{number}"), NOW_MS)
        given_up += [reading for reading in readings if isinstance(reading, Quarantined)]
    assert [found.call_ref for found in given_up] == [f"c{number}/a/b" for number in range(beyond)]
    assert {found.reason for found in given_up} == {Reason.NO_END}
    assert given_up[0].raw == acc("INVITE", 200, "c0").strip()
    late = quarantined(parser.feed(acc("BYE", 200, "c0"), NOW_MS))
    assert late.reason is Reason.NO_BEGINNING


def test_a_call_is_given_up_after_a_day() -> None:
    parser = kamailio.log_parser(ORIGIN)
    parser.feed(acc("INVITE", 200, "old"), NOW_MS)
    kept, *_ = parser.feed(acc("INVITE", 200, "new"), NOW_MS + DAY_MS)
    assert isinstance(kept, Part)
    _, gone, *_ = parser.feed(acc("INVITE", 200, "newer"), NOW_MS + DAY_MS + 1)
    assert isinstance(gone, Quarantined)
    assert (gone.call_ref, gone.detail) == ("old/a/b", "no end within 24 h")


def test_one_call_cannot_push_the_others_out() -> None:
    parser = kamailio.log_parser(ORIGIN)
    parser.feed(acc("INVITE", 200, "good"), NOW_MS)
    again = acc("INVITE", 200, "evil", more=";x=" + "y" * 1_000)
    found: list[Quarantined] = []
    for _ in range(pending.MAX_CALL_BYTES // 1_000 + 10):
        found += [r for r in parser.feed(again, NOW_MS) if isinstance(r, Quarantined)]
    assert {gone.call_ref for gone in found} == {"evil/a/b"}
    assert only(parser.feed(acc("BYE", 200, "good"), NOW_MS)).call_ref == "good/a/b"
