"""FreeSWITCH, 3CX and Cisco CUCM: sample data in their documented shape."""

from dataclasses import replace

import pytest

from runtime import zones
from telephony.cdr import cucm, freeswitch, threecx
from telephony.cdr.payer import Free, dues
from telephony.cdr.reading import Part, Reason
from telephony.cdr.record import Direction
from tests.telephony.cdr.samples import ORIGIN, THREECX, made, only, quarantined, read, records


def test_freeswitch_csv() -> None:
    answered, busy = records(read(freeswitch.csv_parser(ORIGIN), made("freeswitch.csv")))
    assert (answered.account, answered.caller, answered.called) == ("acct-7", "201", "0612345678")
    assert (answered.talk_s, answered.cause, answered.key[1:]) == (5, 16, ("2bbe83f7-0001", "a"))
    assert (busy.talk_s, busy.answer_ms, busy.cause) == (0, None, 17)


def test_freeswitch_json_and_xml_say_the_same() -> None:
    one = only(read(freeswitch.json_parser(ORIGIN), made("freeswitch.json")))
    other = only(read(freeswitch.xml_parser(ORIGIN), made("freeswitch.xml")))
    assert replace(one, raw=b"") == replace(other, raw=b"")
    assert one.content_hash == other.content_hash
    assert (one.talk_s, one.forwarded_by, one.cause) == (5, "202", 16), "4.98 s by billmsec"
    assert one.called == "0612345678", "never that of the call flow, which was transferred"
    assert one.answer_ms == 1_795_456_684_000


def test_freeswitch_bills_one_of_two_legs() -> None:
    other = made("freeswitch.json").replace(b'"inbound"', b'"outbound"').replace(b"0001", b"0002")
    legs = records(read(freeswitch.json_parser(ORIGIN), made("freeswitch.json") + other))
    assert [(leg.leg, leg.direction) for leg in legs] == [("a", Direction.OUT), ("b", Direction.IN)]
    assert sorted(due.seconds for due in dues(legs)) == [0, 5]


def test_freeswitch_a_call_from_a_line() -> None:
    parser = freeswitch.csv_parser(ORIGIN, trunks=["public"])
    row = made("freeswitch.csv").replace(b'"default"', b'"public"')
    assert {cdr.direction for cdr in records(read(parser, row))} == {Direction.IN}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (made("freeswitch.json").replace(b'"variables"', b'"other"'), Reason.MISSING),
        (made("freeswitch.json").replace(b'"1795456681"', b'"soon"'), Reason.INVALID),
        (made("freeswitch.json").replace(b'"1795456681"', b'"1795456699"'), Reason.INVALID),
        (made("freeswitch.json").replace(b'"uuid"', b'"billsec": "9", "uuid"'), Reason.MALFORMED),
        (b'{"variables": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", Reason.MALFORMED),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, Reason.TOO_LONG),
        (b"{]}", Reason.MALFORMED),
    ],
    ids=["variables", "number", "backwards", "twice", "lists", "deep", "json"],
)
def test_freeswitch_what_is_no_record(data: bytes, reason: Reason) -> None:
    parser = freeswitch.json_parser(ORIGIN)
    bad, good = read(parser, data + b"\n" + made("freeswitch.json"))
    assert quarantined([bad]).reason is reason
    assert only([good]).talk_s == 5


def test_threecx() -> None:
    outgoing, incoming, transferred = records(read(threecx.parser(ORIGIN, THREECX), made("3cx.csv")))
    assert (outgoing.account, outgoing.called, outgoing.dialled) == ("801", "0612345678", "90612345678")
    assert (outgoing.talk_s, outgoing.cause, outgoing.key[1:]) == (82, 16, ("_0017", "Call 17"))
    assert (incoming.direction, incoming.answer_ms, incoming.talk_s) == (Direction.IN, None, 0)
    assert (transferred.called, transferred.transferred_by, transferred.account) == (
        "0698765432",
        "801",
        "802",
    )


def test_threecx_with_the_administrators_columns() -> None:
    columns = ("time-end", "time-start", "time-answered", "to-no", "from-no", "callid")
    row = b"2026-11-23 17:59:31;2026-11-23 17:58:01;2026-11-23 17:58:09;0612345678;Ext.801;7"
    zone = zones.named("Europe/Paris")
    assert zone is not None
    cdr = only(read(threecx.parser(replace(ORIGIN, zone=zone), columns, ";"), row))
    assert (cdr.caller, cdr.called, cdr.talk_s, cdr.key[1:]) == ("801", "0612345678", 82, ("7", ""))
    assert cdr.setup_ms == 1_795_456_681_000 - 3_600_000
    other = quarantined(read(threecx.parser(ORIGIN, columns, ";"), row + b";more"))
    assert other.detail == "expected 6 columns, found 7; look at the columns configured for this source"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (THREECX, None),
        ((*THREECX, "chain"), "chain stands there twice; each line has it once"),
        (("historyid", "from"), '3CX has no field "from"; it has historyid, callid'),
        (
            ("historyid", "time-start", "time-end", "from-no"),
            "without time-answered, to-no there is no record",
        ),
        (("time-start", "time-answered", "time-end", "from-no", "to-no"), "without historyid or callid"),
    ],
)
def test_threecx_columns_that_will_not_do(columns: tuple[str, ...], said: str | None) -> None:
    found = threecx.wrong_columns(columns)
    assert found is said is None or (found or "").startswith(said or "-")


def test_cucm() -> None:
    readings = read(cucm.parser(ORIGIN, ["carrier-"]), made("cucm.csv"))
    basic, busy, forwarded, transferred, incoming = records(readings)
    assert isinstance(readings[0], Part)
    assert basic.key[1:] == ("StandAloneCluster/1/5001", "111/222")
    assert (basic.talk_s, basic.cause, basic.account, basic.answer_ms) == (15, 16, "7001", 1_793_900_005_000)
    assert (busy.answer_ms, busy.cause, busy.talk_s) == (None, 17, 0)
    assert (forwarded.forwarded_by, forwarded.transferred_by, forwarded.account) == ("7002", "", "7002")
    assert (transferred.forwarded_by, transferred.transferred_by, transferred.account) == ("", "7003", "7003")
    assert (forwarded.dialled, forwarded.called) == ("7002", "0612345678")
    assert (incoming.direction, incoming.called) == (Direction.IN, "7001")
    assert [due.free for due in dues([basic, busy, incoming])] == [None, Free.UNANSWERED, Free.RECEIVED]


def test_cucm_a_reduced_file_without_redirections() -> None:
    """The public sample of 18 columns: its numbers, other addresses."""
    names = (
        b"cdrRecordType,globalCallID_callManagerId,globalCallID_callId,origLegCallIdentifier,destLegIdentifier,"
        b"dateTimeOrigination,dateTimeConnect,dateTimeDisconnect,duration,callingPartyNumber,"
        b"originalCalledPartyNumber,finalCalledPartyNumber,origDeviceName,destDeviceName,origIpAddr,destIpAddr,"
        b"origCause_value,destCause_value\n"
    )
    row = (
        b'1,1,5001,111,222,1693900000,1693900005,1693900020,15,"7001","7002","7002","SEP001122334455",'
        b'"SEP00AABBCCDDEE","192.0.2.5","192.0.2.6",0,16'
    )
    cdr = only(read(cucm.parser(ORIGIN), names + row))
    assert (cdr.key[1:], cdr.caller, cdr.called) == (("/1/5001", "111/222"), "7001", "7002")
    assert (cdr.talk_s, cdr.cause, cdr.answer_ms) == (15, 16, 1_693_900_005_000)


def test_cucm_columns_are_read_by_name() -> None:
    lines = made("cucm.csv").splitlines()
    turned = b"\n".join(b",".join(reversed(line.split(b","))) for line in lines[2:3])
    names = b",".join(reversed(lines[0].split(b",")))
    swapped = names.replace(b'"cdrRecordType"', b"").rstrip(b",")
    head = b'"cdrRecordType",' + swapped
    row = b"1," + turned.rsplit(b",", 1)[0]
    one = only(read(cucm.parser(ORIGIN), head + b"\n" + row))
    other = records(read(cucm.parser(ORIGIN), made("cucm.csv")))[0]
    assert replace(one, raw=b"") == replace(other, raw=b"")


def test_cucm_quality_records_and_rows_without_names() -> None:
    lines = made("cucm.csv").splitlines()
    quality = lines[2].replace(b"1,1,5001", b"2,1,5001")
    assert records(read(cucm.parser(ORIGIN), lines[0] + b"\n" + quality)) == []
    assert quarantined(read(cucm.parser(ORIGIN), lines[2])).reason is Reason.MALFORMED


def test_cucm_the_next_version_of_a_file_has_more_columns() -> None:
    lines = made("cucm.csv").splitlines()
    newer = lines[0] + b',"newField"\n' + lines[2] + b",7\n"
    assert len(records(read(cucm.parser(ORIGIN), made("cucm.csv") + newer))) == 6
