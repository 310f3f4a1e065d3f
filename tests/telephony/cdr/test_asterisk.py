"""Asterisk: what was recorded from Asterisk 22, as files, over AMI and as channel events."""

from dataclasses import replace
from functools import partial

import pytest

from runtime import zones
from telephony.cdr import asterisk, asterisk_ami, asterisk_cel
from telephony.cdr.payer import Free, dues
from telephony.cdr.reading import Reason
from telephony.cdr.record import Cdr, Direction
from tests.telephony.cdr.samples import CUSTOM, ORIGIN, made, only, quarantined, read, recorded, records
from tests.telephony.cdr.test_streams import finished, in_parts, kept

ECHO, CALL, BUSY, FULL, THIRD, SECOND, FIRST, FIRST_AGAIN = range(8)
EPOCH_MS = 1_795_456_440_000  # 17:54:00


def master() -> list[Cdr]:
    return records(read(asterisk.master_parser(ORIGIN), recorded("asterisk-Master.csv")))


def custom() -> list[Cdr]:
    return records(read(asterisk.custom_parser(ORIGIN, CUSTOM), recorded("asterisk-Custom.csv")))


def line(number: int) -> bytes:
    return recorded("asterisk-Master.csv").splitlines()[number]


def test_master_csv() -> None:
    shown = [(c.account, c.caller, c.called, c.talk_s, c.cause, c.call_ref) for c in master()]
    assert shown == [
        ("acct-600", "1002", "600", 3, 16, "1795456442.0"),
        ("1002", "1002", "1001", 3, 16, "1795456445.2"),
        ("1001", "1001", "1002", 0, 34, "1795456448.5"),
        ("1002", "1002", "700", 0, 16, "1795456451.12"),
        ("1002", "1002", "700", 0, 16, "1795456450.11"),
        ("1001", "1001", "700", 3, 16, "1795456449.10"),
        ("1002", "1002", "700", 5, 16, "1795456448.7"),
        ("1002", "1002", "700", 2, 16, "1795456448.7"),
    ]
    first = master()[ECHO]
    times = (first.setup_ms, first.answer_ms, first.end_ms)
    assert times == (EPOCH_MS + 2_000, EPOCH_MS + 2_000, EPOCH_MS + 5_000)
    assert b"".join(c.raw + b"\n" for c in master()) == recorded("asterisk-Master.csv")


def test_fractions_of_a_second_round_up() -> None:
    """B.r6: 3.208744 s are 4; 0.504543 s are 1."""
    assert [c.talk_s for c in custom()] == [4, 4, 0, 1, 1, 4, 6, 3]
    assert custom()[FIRST].key == ("acme/lyon/cdr", "1795456448.7", "4")


def test_an_unanswered_call_has_no_answer() -> None:
    assert [c.answer_ms is None for c in master()] == [False, False, True, False, False, False, False, False]
    assert dues([master()[BUSY]])[0].free is Free.UNANSWERED


def test_a_room_counts_no_second_twice() -> None:
    """Its members' records overlap; in the room were 5.50, 3.51 and 2.00 s."""
    paid = {(s.record.call_ref, s.record.leg): s.seconds for s in dues(custom()[FULL:])}
    assert paid[("1795456448.7", "4")] == 6
    assert paid[("1795456448.7", "7")] == 0
    assert [s.free for s in dues(custom()[FULL:])].count(Free.COUNTED) == 1
    assert sum(s.seconds for s in dues(master()[FULL:])) == 5 + 3


def test_the_same_call_over_ami_is_the_same_record() -> None:
    ami = records(read(asterisk_ami.cdr_parser(ORIGIN), recorded("asterisk-ami.txt")))
    assert [c.key for c in ami] == [c.key for c in master()]
    assert [c.content_hash for c in ami] == [c.content_hash for c in master()]
    assert ami[0].raw.startswith(b"Event: Cdr\r\nPrivilege: cdr,all")


def test_channel_events_know_the_time_in_the_room() -> None:
    cel = records(read(asterisk_ami.cel_parser(ORIGIN), recorded("asterisk-ami.txt")))
    rooms = {c.call_ref: (c.talk_s, c.answer_ms) for c in cel if c.called == "700"}
    assert rooms["1795456448.7"] == (6, EPOCH_MS + 9_278), "5.50 s, from Join to Leave"
    assert rooms["1795456449.10"][0] == 4, "3.51 s"
    assert rooms["1795456450.11"][0] == 3, "2.002 s"
    assert rooms["1795456451.12"][0] == 1, "turned away after 0.5 s: no event tells it from an answer"
    calling, called = [c for c in cel if c.leg == "1795456445.2"]
    assert (calling.direction, calling.called, calling.talk_s, calling.cause) == (
        Direction.OUT,
        "1001",
        4,
        16,
    )
    assert (called.direction, called.account) == (Direction.IN, "1001")


def led(events: bytes) -> dict[tuple[str, str], tuple[str, int, str, str]]:
    """Of the legs that were placed: account, seconds, and who forwarded or transferred."""
    placed = [
        c for c in records(read(asterisk_ami.cel_parser(ORIGIN), events)) if c.direction is Direction.OUT
    ]
    shown = {(c.caller, c.called): (c.account, c.talk_s, c.forwarded_by, c.transferred_by) for c in placed}
    assert len(shown) == len(placed) == len({c.key for c in placed})
    return shown


LED = {
    ("2050", "2051"): ("2050", 3, "", ""),
    ("2050", "2052"): ("2051", 3, "2051", ""),
    ("2060", "2061"): ("2060", 7, "", "2061"),
    ("2060", "2062"): ("2061", 3, "", "2061"),
    ("2070", "2071"): ("2070", 3, "", ""),
    ("2071", "2072"): ("2070", 3, "", "2070"),
}


def test_who_leads_a_call_on_pays_what_comes_behind() -> None:
    """By a 302, as the called and as the calling party; 2.7 s from the answer, not from the transfer on."""
    assert led(recorded("asterisk-cel-led.txt")) == LED


def test_who_received_a_call_keeps_his_own_account() -> None:
    """Asterisk hands the caller's on to his channel at its answer."""
    found = records(read(asterisk_ami.cel_parser(ORIGIN), recorded("asterisk-cel-led.txt")))
    accounts = {c.called: c.account for c in found if c.direction is Direction.IN}
    assert accounts == {user: user for user in ("2051", "2052", "2061", "2062", "2071", "2072")}


def test_channel_events_know_it_without_the_dial_plan() -> None:
    """Without the lines for extensions.conf the channels behind keep the account of the caller."""
    events = recorded("asterisk-cel-led.txt")
    for by, caller in ((b"2051", b"2050"), (b"2061", b"2060")):
        assert b"AccountCode: " + by in events
        events = events.replace(b"AccountCode: " + by, b"AccountCode: " + caller)
    assert led(events) == LED


def test_a_transfer_that_nobody_answers_costs_nothing() -> None:
    blocks = recorded("asterisk-cel-led.txt").split(b"\r\n\r\n")
    unanswered = [block for block in blocks if b"AppData: PJSIP/2062" not in block]
    assert len(unanswered) < len(blocks)
    assert led(b"\r\n\r\n".join(unanswered))["2060", "2062"] == ("2061", 0, "", "2061")


LINES = ["PJSIP/carrier-"]

# Account and called number of what is paid, with its seconds; numbers of the carrier begin with 0.
BY_EVENTS = {
    ("2111", "0193"): [3],
    ("2120", "0194"): [7],
    ("2120", "0195"): [3],
    ("2150", "0181"): [7],
    ("2150", "2152"): [3],
    ("2160", "2161"): [7],
    ("2161", "2162"): [3],
    ("2180", "0182"): [7],
    ("2180", "0183"): [3],
    ("2191", "0184"): [3],
}


def paid(cdrs: list[Cdr]) -> dict[tuple[str, str], list[int]]:
    """Seconds of each record that somebody pays, by account and called number."""
    found: dict[tuple[str, str], list[int]] = {}
    for due in dues(cdrs):
        if due.free is None:
            found.setdefault((due.account, due.record.called), []).append(due.seconds)
    return found


def test_who_placed_a_line_pays_it_to_its_end() -> None:
    """Transfers to outside and of an outside party: of 2111 and 2120 blind ones, of the others attended."""
    events = recorded("asterisk-cel-lines.txt")
    assert paid(records(read(asterisk_ami.cel_parser(ORIGIN, LINES), events))) == BY_EVENTS


def test_between_phones_a_blind_transfer_ends_the_leg_that_was_left() -> None:
    events = recorded("asterisk-cel-lines.txt")
    found = paid(records(read(asterisk_ami.cel_parser(ORIGIN), events)))  # as if 0194 were a phone
    assert found["2120", "0194"] == [3]
    assert found["2150", "0181"] == [7], "an attended one: he called both"


@pytest.mark.parametrize("name", ["lines", "early"])
def test_a_line_that_goes_on_is_known_after_a_restart(name: str) -> None:
    """A transfer is a part of each channel that it means something to, and is read twice then."""
    events = recorded(f"asterisk-cel-{name}.txt").split(b"\r\n\r\n")
    parts = [event + b"\r\n\r\n" for event in events if event]
    make = partial(asterisk_ami.cel_parser, ORIGIN, LINES)
    whole = finished(in_parts(make(), parts))
    for at in range(len(parts)):
        before, again = in_parts(make(), parts[:at]), make()
        for part in kept(before):
            in_parts(again, [part])
        assert finished(before) + finished(in_parts(again, parts[at:])) == whole, at


EARLY = {
    ("2150", "0181"): [7],
    ("2150", "2152"): [3],
    ("2180", "0182"): [7],
    ("2180", "0183"): [3],
    ("2191", "0184"): [3],
}


def test_who_transfers_before_the_answer_pays_what_comes_behind() -> None:
    """He consulted somebody who was still ringing: his own call there is over, and nobody else placed it."""
    events = recorded("asterisk-cel-early.txt")
    found = records(read(asterisk_ami.cel_parser(ORIGIN, LINES), events))
    assert paid(found) == EARLY
    behind = [cdr for cdr in found if cdr.leg.endswith("/2")]
    assert sorted((cdr.called, cdr.transferred_by) for cdr in behind) == [
        ("0183", "2180"),
        ("0184", "2191"),
        ("2152", "2150"),
    ]


def test_two_channels_that_wait_for_each_other_end_all_the_same() -> None:
    """Such events are told by no Asterisk that we saw; what is waited for must not have ended."""

    def event(what: str, number: int, extra: str = "") -> bytes:
        lines = (
            "Event: CEL", f"EventName: {what}", f"UniqueID: 17.{number}", f"LinkedID: 17.{number}",
            f"Channel: PJSIP/20{number}-1", f"CallerIDnum: 20{number}", "Exten: 201",
            "EventTime: 2026-11-23 17:54:02", f"Extra: {extra}",
        )  # fmt: skip
        return "\r\n".join((*lines, "", "")).encode()

    joined = [
        event("ATTENDEDTRANSFER", one, f'{{"transferee_channel_uniqueid": "17.{other}"}}')
        for one, other in ((1, 2), (2, 1))
    ]
    begun, over = ([event(what, number) for number in (1, 2)] for what in ("CHAN_START", "CHAN_END"))
    found = records(read(asterisk_ami.cel_parser(ORIGIN), b"".join([*begun, *joined, *over])))
    assert sorted(cdr.call_ref for cdr in found) == ["17.1", "17.2"]


def test_whoever_leads_a_call_on_to_a_line_pays_it() -> None:
    """CDRs: a call from outside is transferred out again (2111), or an outside party is (2120)."""
    found = records(read(asterisk.custom_parser(ORIGIN, trunks=LINES), recorded("asterisk-Custom-lines.csv")))
    assert paid(found) == {
        ("2101", "0192"): [3],
        ("2111", "0193"): [5],
        ("2120", "0194"): [3],
        ("2120", "0195"): [5],
        ("2130", "2131"): [3],
        ("2131", "0196"): [3],
        ("2140", "0197"): [3],  # 2141: Asterisk looks where the channel is going
        ("2141", "0197"): [5],
        ("2150", "0181"): [6, 1],
        ("2150", "2152"): [2],
        ("2160", "2161"): [6, 1],
        ("2161", "2162"): [2],
        ("2170", "2171"): [6, 1],
        ("2170", "2172"): [2],
        ("2180", "0182"): [6, 1],
        ("2180", "0183"): [2],  # 3 on the wire: the rest is in no record of its own
        ("2191", "0184"): [2],
        ("2191", "2191"): [1],
    }
    goes_on = [cdr for cdr in found if not cdr.caller]
    assert {(cdr.called, cdr.dialled, cdr.account) for cdr in goes_on} == {
        ("0181", "0181", "2150"),
        ("0182", "0182", "2180"),
        ("2171", "2171", "2170"),
    }


def test_a_call_from_line_to_line_that_no_account_led_is_nobodys() -> None:
    """What the dial plan passes through; and what a transfer is without its lines for extensions.conf."""
    rows = recorded("asterisk-Custom-lines.csv").splitlines(keepends=True)
    through = [row for row in rows if row.startswith(b'"",') and row.count(b"PJSIP/carrier-") == 2]
    (cdr,) = records(read(asterisk.custom_parser(ORIGIN, trunks=LINES), b"".join(through)))
    assert (cdr.direction, cdr.caller, cdr.called) == (Direction.IN, "0103", "0185")
    (rest,) = (row for row in rows if b'"","PJSIP/2171-' in row)
    nobodys = rest.replace(b'"2170",', b'"",', 1)
    (cdr,) = records(read(asterisk.custom_parser(ORIGIN, trunks=LINES), nobodys))
    assert (cdr.direction, cdr.account, cdr.called) == (Direction.IN, "", "2171")


def test_a_file_of_channel_events() -> None:
    cdr = only(read(asterisk_cel.csv_parser(ORIGIN), made("asterisk-cel.csv")))
    assert (cdr.talk_s, cdr.caller, cdr.called, cdr.cause, cdr.call_ref) == (6, "201", "700", 16, "17.1")
    assert cdr.raw.count(b"\n") == 5


def test_in_and_out_of_a_room_and_the_last_way_out_lost() -> None:
    """4.000 s in the room, out, and in again until the hang-up 1.500 s later."""
    lines = made("asterisk-cel.csv").splitlines(keepends=True)
    enter, leave = lines[2], lines[3].replace(b"454.780993", b"453.278750")
    again = enter.replace(b"449.278750", b"453.290000")
    cdr = only(read(asterisk_cel.csv_parser(ORIGIN), b"".join([*lines[:2], enter, leave, again, *lines[4:]])))
    assert (cdr.talk_s, cdr.end_ms) == (6, 1_795_456_454_790)
    straight = only(read(asterisk_cel.csv_parser(ORIGIN), b"".join([*lines[:3], leave, *lines[4:]])))
    assert (straight.talk_s, straight.end_ms) == (4, 1_795_456_453_278)


def test_channel_events_without_their_beginning() -> None:
    rest = made("asterisk-cel.csv").partition(b"\n")[2]
    found = quarantined(read(asterisk_cel.csv_parser(ORIGIN), rest))
    assert found.reason is Reason.NO_BEGINNING


@pytest.mark.parametrize("width", [16, 17, 18])
def test_master_csv_with_and_without_its_last_columns(width: int) -> None:
    cut = b",".join(line(CALL).rsplit(b",", 18 - width)[:1])
    cdr = only(read(asterisk.master_parser(ORIGIN), cut))
    assert cdr.call_ref.startswith("1795456445.2" if width > 16 else "PJSIP/1002-00000001/")
    assert (cdr.caller, cdr.called, cdr.talk_s) == ("1002", "1001", 3)


def test_the_seventeenth_column_alone_may_be_the_user_field() -> None:
    cut = line(CALL).replace(b'"1795456445.2",""', b'"a note"')
    assert only(read(asterisk.master_parser(ORIGIN), cut)).call_ref.startswith("PJSIP/1002-00000001/")


def test_records_of_one_channel_have_keys_of_their_own_in_every_width() -> None:
    for columns in (16, 17, 18):
        rows = [line(number).rsplit(b",", 18 - columns)[0] for number in range(8)]
        found = records(read(asterisk.master_parser(ORIGIN), b"\n".join(rows)))
        assert len({cdr.key for cdr in found}) == 8


def test_the_columns_that_we_ship() -> None:
    row = (
        b'"acct","""Anna"" <201>","201","0612345678","PJSIP/201-0001","PJSIP/carrier-0002",'
        b'"2026-11-23 17:54:02","2026-11-23 17:54:04","2026-11-23 17:54:08","6.1","4.000","ANSWERED","17.1",'
        b'"17.0","3"\n'
    )
    cdr = only(read(asterisk.custom_parser(ORIGIN), row))
    assert (cdr.account, cdr.talk_s, cdr.key[1:]) == ("acct", 4, ("17.0/17.1", "3"))


def test_a_call_from_a_trunk_was_placed_by_nobody_here() -> None:
    parser = asterisk.master_parser(ORIGIN, ["PJSIP/1001-"])
    found = records(read(parser, recorded("asterisk-Master.csv")))
    assert {c.caller for c in found if c.direction is Direction.IN} == {"1001"}


def test_local_times_in_the_hour_that_happens_twice() -> None:
    """25 October 2026 in Paris, 03:00 becomes 02:00: the record's own durations say which hour is meant."""
    zone = zones.named("Europe/Paris")
    assert zone is not None
    origin = replace(ORIGIN, zone=zone)

    def times(start: str, answer: str, end: str, duration: int) -> tuple[int, int | None, int]:
        row = line(CALL).replace(b"2026-11-23 17:54:05", b"S", 1).replace(b"2026-11-23 17:54:05", b"A", 1)
        row = row.replace(b"2026-11-23 17:54:08", b"E").replace(b",3,3,", b",%d,%d," % (duration, duration))
        for mark, clock in ((b'"S"', start), (b'"A"', answer), (b'"E"', end)):
            row = row.replace(mark, f'"2026-10-25 {clock}"'.encode())
        cdr = only(read(asterisk.master_parser(origin), row))
        return tuple(
            None if at is None else at // 1_000 - 1_792_886_400
            for at in (cdr.setup_ms, cdr.answer_ms, cdr.end_ms)
        )  # type: ignore[return-value]

    # seconds after 00:00 UTC, which is 02:00 in summer
    assert times("02:50:00", "02:50:10", "02:10:00", 1_200) == (3_000, 3_010, 4_200)
    assert times("02:50:00", "02:50:10", "03:10:00", 1_200) == (6_600, 6_610, 7_800)
    assert times("02:50:00", "02:50:10", "03:10:00", 4_800) == (3_000, 3_010, 7_800)
    assert times("02:20:00", "02:20:10", "02:30:00", 600) == (1_200, 1_210, 1_800), "unknown: the first"


BAD = {
    "no CSV": (b'"a"b,c', Reason.MALFORMED),
    "open quote": (b'"acct,"1002"', Reason.MALFORMED),
    "15 columns": (b",".join([b"x"] * 15), Reason.MALFORMED),
    "disposition": (line(CALL).replace(b"ANSWERED", b"MAYBE"), Reason.INVALID),
    "no start": (line(CALL).replace(b'"2026-11-23 17:54:05","2026', b',"2026'), Reason.MISSING),
    "no date": (line(CALL).replace(b"2026-11-23", b"2026-02-30"), Reason.INVALID),
    "no number": (line(CALL).replace(b",3,3,", b",3,three,"), Reason.INVALID),
    "backwards": (line(CALL).replace(b"17:54:08", b"17:54:01"), Reason.INVALID),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_record_says_why(name: str) -> None:
    row, reason = BAD[name]
    found = quarantined(read(asterisk.master_parser(ORIGIN), row))
    assert (found.reason, found.raw) == (reason, row)
    assert found.detail


def test_the_same_field_twice_in_an_event() -> None:
    event = recorded("asterisk-ami.txt").split(b"\r\n\r\n")
    cdr = next(block for block in event if block.startswith(b"Event: Cdr"))
    twice = cdr + b"\r\nBillableSeconds: 0\r\n\r\n"
    found = quarantined(read(asterisk_ami.cdr_parser(ORIGIN), twice))
    assert (found.reason, found.detail) == (Reason.MALFORMED, "BillableSeconds stands there twice")
