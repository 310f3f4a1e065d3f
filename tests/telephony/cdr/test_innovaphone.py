"""Records of an innovaphone PBX and gateway: B.r34 and the cases of section K, by records of our own."""

import re

import pytest

from telephony.cdr import innovaphone, innovaphone_gateway
from telephony.cdr.payer import Free, dues
from telephony.cdr.reading import Part, Reason, UnreadableError
from telephony.cdr.record import Cdr, Direction
from telephony.cdr.xml_document import read_element
from tests.telephony.cdr.samples import (
    NOW_MS,
    ORIGIN,
    SCENARIOS,
    made,
    only,
    pbx_cdr,
    quarantined,
    read,
    recorded,
    records,
)

UTC_MS = 1_700_000_000_000


def pbx(data: bytes) -> list[Cdr]:
    return records(read(innovaphone.parser(ORIGIN), data))


def scenario(name: str) -> Cdr:
    (cdr,) = pbx(pbx_cdr(*SCENARIOS[name]))
    return cdr


# name: direction, account, called, seconds, forwarded by, transferred by
EXPECTED = """
1-basic-a     out 310 311  2 -   -
1-basic-b     in  311 311  2 -   -
2-cfu-a       out 310 311  2 311 -
2-cfu-b       out 311 312  2 311 -
2-cfu-c       in  312 312  2 -   -
3-cfnr-a      out 310 311  1 311 -
3-cfnr-b1     in  311 311  0 -   -
3-cfnr-b2     out 311 312  1 311 -
3-cfnr-c      in  312 312  1 -   -
4-blind-a     out 310 311  7 -   311
4-blind-b1    in  311 311  4 -   -
4-blind-b2    out 311 312  1 -   311
4-blind-c     in  312 312  1 -   -
5-early-a     out 310 311 10 -   311
5-early-b1    in  311 311  5 -   -
5-early-b2    out 311 312  3 -   -
5-early-c     in  312 312  3 -   311
6-consult-a   out 310 311  9 -   311
6-consult-b1  in  311 311 10 -   -
6-consult-b2  out 311 312  2 -   -
6-consult-c   in  312 312  4 -   311
"""


@pytest.mark.parametrize("line", EXPECTED.strip().splitlines())
def test_each_shape_of_the_vendors_samples(line: str) -> None:
    """B.r34."""
    name, direction, account, called, seconds, forwarded, transferred = line.split()
    cdr = scenario(name)
    found = (cdr.direction, cdr.account, cdr.called, str(cdr.talk_s), cdr.forwarded_by, cdr.transferred_by)
    assert found == tuple(
        "" if word == "-" else word for word in (direction, account, called, seconds, forwarded, transferred)
    )


@pytest.mark.parametrize(
    ("case", "names", "paid"),
    [
        ("B.K1", ("1-basic-a", "1-basic-b"), [("310", "311", 2), (Free.RECEIVED, "311", 0)]),
        ("B.K2", ("2-cfu-a", "2-cfu-b"), [("310", "311", 2), ("311", "312", 2)]),
        ("B.K3", ("4-blind-a", "4-blind-b2"), [("310", "311", 7), ("311", "312", 1)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_pays(case: str, names: tuple[str, ...], paid: list[tuple[str, str, int]]) -> None:
    """B.K1, B.K2, B.K3."""
    bills = [dues([scenario(name)])[0] for name in names]
    assert [(bill.free or bill.account, bill.record.called, bill.seconds) for bill in bills] == paid, case


def test_times_count_from_the_first_event_and_utc() -> None:
    cdr = scenario("4-blind-b2")
    assert (cdr.setup_ms, cdr.answer_ms, cdr.end_ms) == (UTC_MS, UTC_MS + 2_000, UTC_MS + 3_000)
    assert (cdr.caller, cdr.source, cdr.pbx) == ("310", "acme/lyon/cdr", "lyon")


def test_a_record_of_14r2() -> None:
    cdr = only(read(innovaphone.parser(ORIGIN), recorded("innovaphone-14r2.xml")))
    assert (cdr.account, cdr.called, cdr.dialled, cdr.talk_s, cdr.cause) == ("301", "302", "302", 40, None)
    assert cdr.answer_ms == 1_750_000_007_000
    assert innovaphone.seq(cdr) == 41
    assert cdr.raw == recorded("innovaphone-14r2.xml").strip()


def test_the_same_id_from_two_receivers_is_one_record() -> None:
    """B.K6: CDR0 and CDR1, one of them by syslog, one with other white space."""
    record = pbx_cdr(*SCENARIOS["1-basic-a"], attributes='id="c0ffee01" seq="7"')
    syslog = b"<134>Nov 23 17:54:02 pbx cdr: " + b" ".join(record.split(b"\n")) + b"\n"
    one, other = pbx(record + syslog)
    assert one.key == other.key == ("acme/lyon/cdr", "c0ffee01", "anna/from")
    assert one.content_hash == other.content_hash
    assert one.raw != other.raw


def test_without_an_id_both_are_kept_unless_byte_equal() -> None:
    """B.K7: key (sys, pbx, guid, conf, dir, utc)."""
    record = pbx_cdr(*SCENARIOS["1-basic-a"])
    longer = pbx_cdr(*SCENARIOS["1-basic-a"][:-1], "5 rel-to cause=0")
    later = record.replace(b'utc="1700000000"', b'utc="1700000001"')
    first, copy, other, third = pbx(record + record + longer + later)
    assert first.key == copy.key
    assert first.content_hash == copy.content_hash
    assert len({first.key, other.key, third.key}) == 3
    assert first.call_ref == other.call_ref


def test_a_leg_that_rang_beside_another_one_is_not_billed() -> None:
    record = pbx_cdr(*SCENARIOS["1-basic-a"]).replace(b'cause="0"', b'cause="26" more="true"')
    (cdr,) = pbx(record)
    assert cdr.direction is Direction.RELATED
    assert [due.free for due in dues([cdr])] == [Free.RELATED]


@pytest.mark.parametrize("pseudo", ["trunk", "gw"])
def test_a_call_that_a_line_brings_in_was_placed_by_nobody_here(pseudo: str) -> None:
    record = pbx_cdr(*SCENARIOS["1-basic-a"]).replace(b"<user/>", f'<user pseudo="{pseudo}"/>'.encode())
    assert pbx(record)[0].direction is Direction.IN


def test_an_answer_without_an_end_is_no_talk() -> None:
    (cdr,) = pbx(pbx_cdr("from 310 anna", "0 setup-from", "2 conn-to 311"))
    assert (cdr.talk_s, cdr.answer_ms, cdr.called) == (0, None, "311")


def test_a_disc_ends_as_a_rel_does() -> None:
    (cdr,) = pbx(
        pbx_cdr("from 310 anna", "0 setup-from", "2 conn-to 311", "9 disc-from cause=16", "11 rel-to")
    )
    assert (cdr.talk_s, cdr.cause) == (7, 16)


def test_a_box_without_a_clock_is_dated_by_arrival() -> None:
    record = pbx_cdr(*SCENARIOS["1-basic-a"]).replace(b"1700000000", b"883")
    assert pbx(record)[0].setup_ms == NOW_MS


HOSTILE = {
    "entities": b'<!DOCTYPE cdr [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><cdr dir="&b;"></cdr>',
    "doctype inside": b'<cdr dir="from"><!DOCTYPE x></cdr>',
    "undefined entity": b'<cdr dir="from">&xxe;</cdr>',
    "deep": b"<cdr>" + b"<a>" * 5_000 + b"</a>" * 5_000 + b"</cdr>",
    "two of an attribute": b'<cdr dir="from" dir="to"></cdr>',
    "not UTF-8": b'<cdr dir="\xff"></cdr>',
    "no events": b'<cdr dir="from" utc="1700000000"><user/></cdr>',
    "another direction": pbx_cdr("back 310 anna", "0 setup-from"),
    "no time": pbx_cdr("from 310 anna", "x setup-from"),
    "backwards": pbx_cdr("from 310 anna", "5 setup-from", "7 conn-to 311", "6 rel-to"),
    "far future": pbx_cdr("from 310 anna", "0 setup-from").replace(b"1700000000", b"999999999999"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_record_is_kept_and_the_stream_goes_on(name: str) -> None:
    good = pbx_cdr(*SCENARIOS["1-basic-a"])
    *bad, last = read(innovaphone.parser(ORIGIN), HOSTILE[name] + good)
    assert bad
    assert quarantined(bad[:1]).reason in (Reason.MALFORMED, Reason.INVALID, Reason.MISSING)
    assert isinstance(last, Cdr)
    assert last.talk_s == 2


def test_entities_of_a_doctype_do_not_exist() -> None:
    """Else this were a sound record, with a number that a document outside could choose."""
    record = pbx_cdr(*SCENARIOS["1-basic-a"]).replace(b'e164="310"', b'e164="&number;"')
    doctype = b'<!DOCTYPE cdr [<!ENTITY number "310">]>'
    with pytest.raises(UnreadableError, match="undefined entity"):
        read_element(doctype + record, "cdr")


def test_both_legs_of_a_gateways_call() -> None:
    readings = read(innovaphone_gateway.parser(ORIGIN), made("gateway.txt"))
    called, calling = records(readings)
    assert (called.leg, called.direction, called.caller, called.called, called.dialled) == (
        "B", Direction.OUT, "201", "0612345678", "90612345678",
    )  # fmt: skip
    assert (called.talk_s, called.cause, called.account) == (44, 16, "201")
    assert (calling.leg, calling.direction, calling.talk_s) == ("A", Direction.RELATED, 44)
    assert called.call_ref == calling.call_ref == "00-90-33-0a-0b-0c/c0ffee01"
    assert {due.record.leg: due.seconds for due in dues([called, calling])} == {"A": 0, "B": 44}
    assert called.raw.count(b"event=") == 6
    assert sum(isinstance(reading, Part) for reading in readings) == 5


def test_a_line_that_comes_twice_is_the_same_record() -> None:
    """HTTP sends a line again until 200: the call it belongs to has been closed by then."""
    lines = made("gateway.txt").splitlines(keepends=True)
    released = next(line for line in lines if b"B:Rel" in line)
    once, again = records(read(innovaphone_gateway.parser(ORIGIN), b"".join([*lines, released])))[::2]
    assert once.key == again.key
    assert once.content_hash == again.content_hash


def test_a_query_of_http_and_a_gateway_without_a_clock() -> None:
    line = next(line for line in made("gateway.txt").splitlines() if b"B:Rel" in line)
    request = b"GET /cdr?" + re.sub(rb"date=[0-9-]*", b"date=19700101-001443", line) + b" HTTP/1.0\r\n"
    cdr = only(read(innovaphone_gateway.parser(ORIGIN), request))
    assert (cdr.end_ms, cdr.talk_s) == (NOW_MS, 44)


def test_a_plus_is_no_blank() -> None:
    line = next(line for line in made("gateway.txt").splitlines() if b"B:Rel" in line)
    dialled = line.replace(b"dst_cdpn=0", b"dst_cdpn=+33")
    assert only(read(innovaphone_gateway.parser(ORIGIN), dialled)).called == "+33612345678"


@pytest.mark.parametrize("encode", [True, False])
def test_a_record_of_the_pbx_comes_through_its_gateway(encode: bool) -> None:
    record = pbx_cdr(*SCENARIOS["1-basic-a"])
    shown = b"".join(b"%%%02X" % byte for byte in record) if encode else record.replace(b"\n", b" ")
    line = b"event=syslog&time=12&date=20261123-175402&from=PBX0&msg=" + shown + b"\n"
    assert only(read(innovaphone_gateway.parser(ORIGIN), line)).called == "311"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", Reason.MALFORMED),
        (b"event=B:Rel&time=9&ref=1&date=20261123-175402", Reason.MISSING),
        (b"event=B:Rel&time=9&ref=1&srv_id=a&date=20261123-175402&src_name=x&time=1", Reason.MALFORMED),
        (b"event=C:Rel&time=9&ref=1&srv_id=a&date=20261123-175402", Reason.INVALID),
        (b"event=B:Rel&time=9&ref=1&srv_id=a&date=20261323-175402", Reason.INVALID),
        (b"event=B:Rel&time=9&ref=1&srv_id=a&date=20261123-175402&connect_time=11", Reason.INVALID),
    ],
)
def test_lines_of_a_gateway_that_are_no_record(line: bytes, reason: Reason) -> None:
    assert quarantined(read(innovaphone_gateway.parser(ORIGIN), line)).reason is reason
