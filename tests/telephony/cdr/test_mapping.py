"""An administrator's own columns: what they give, and what is wrong with a mapping."""

from dataclasses import replace

import pytest

from telephony.cdr import mapping, time_format
from telephony.cdr.mapping import Fault, Form, Mapping, faults
from telephony.cdr.reading import Part, Reason
from telephony.cdr.record import Direction, Kind
from tests.telephony.cdr.samples import (
    CSV_MAPPING,
    JSON_MAPPING,
    ORIGIN,
    made,
    only,
    quarantined,
    read,
    records,
)

AT_MS = 1_795_456_442_000


def test_a_csv_with_a_first_line_of_names() -> None:
    readings = read(mapping.parser(ORIGIN, CSV_MAPPING), made("mapped.csv"))
    answered, missed = records(readings)
    assert isinstance(readings[0], Part)
    assert (answered.key[1:], answered.talk_s, answered.account) == (("A1", ""), 3, "201")
    assert (answered.setup_ms, answered.answer_ms, answered.end_ms) == (AT_MS, AT_MS + 3_000, AT_MS + 6_000)
    assert (missed.direction, missed.called, missed.answer_ms, missed.talk_s) == (
        Direction.IN,
        "2;01",
        None,
        0,
    )


def test_json_with_keys_inside_keys() -> None:
    cdr = only(read(mapping.parser(ORIGIN, JSON_MAPPING), made("mapped.json")))
    assert (cdr.call_ref, cdr.talk_s, cdr.caller, cdr.called) == ("J1", 3, "201", "202")
    assert (cdr.setup_ms, cdr.answer_ms) == (AT_MS - 3_600_000, AT_MS - 3_600_000)


def columns(fields: dict[str, str], form: str = "epoch_s") -> Mapping:
    time = time_format.parse(form)
    assert isinstance(time, time_format.TimeFormat)
    return Mapping(
        Form.CSV, {"call_ref": "i", "caller": "a", "called": "b", **fields}, time, tuple("iabsent")
    )


def test_what_is_not_there_follows_from_the_rest() -> None:
    def times(fields: dict[str, str], row: str) -> tuple[int, int | None, int, int]:
        cdr = only(
            read(mapping.parser(ORIGIN, replace(columns(fields), columns=tuple("iabxyz"))), row.encode())
        )
        return (
            cdr.setup_ms // 1_000,
            cdr.answer_ms and cdr.answer_ms // 1_000,
            cdr.end_ms // 1_000,
            cdr.talk_s,
        )

    assert times({"setup": "x", "end": "y", "talk": "z"}, "1,2,3,100,190,60") == (100, 130, 190, 60)
    assert times({"setup": "x", "end": "y", "talk": "z"}, "1,2,3,100,190,0") == (100, None, 190, 0)
    assert times({"setup": "x", "talk": "z"}, "1,2,3,100,,60") == (100, 100, 160, 60)
    assert times({"answer": "x", "talk": "z"}, "1,2,3,100,,60") == (100, 100, 160, 60)
    assert times({"setup": "x", "answer": "y", "end": "z"}, "1,2,3,100,130,190") == (100, 130, 190, 60)
    assert times({"setup": "x", "answer": "y", "end": "z"}, "1,2,3,100,,190") == (100, None, 190, 0)


def test_all_other_fields() -> None:
    names = ("leg", "dialled", "account", "cause", "forwarded_by", "transferred_by", "kind")
    mapped = replace(
        columns({"setup": "s", "talk": "t", **{name: name for name in names}}),
        columns=("i", "a", "b", "s", "t", *names),
        values={"kind": {"F": "fax"}},
    )
    row = b"1,201,202,100,5,L,9202,acct,17,203,204,F"
    cdr = only(read(mapping.parser(ORIGIN, mapped), row))
    assert tuple(getattr(cdr, name) for name in names) == ("L", "9202", "acct", 17, "203", "204", Kind.FAX)


@pytest.mark.parametrize(
    ("row", "reason", "said"),
    [
        (
            b"A3;1;2;23/11/2026;;;0;outgoing",
            Reason.INVALID,
            'setup: expected a time as in %d/%m/%Y %H:%M:%S, found "23/11/2026"',
        ),
        (b"A3;1;2;23/11/2026 17:54:02;;;soon;outgoing", Reason.INVALID, "talk: expected seconds, or hours"),
        (
            b"A3;1;2;23/11/2026 17:54:02;;;0;sideways",
            Reason.INVALID,
            "direction: expected one of outgoing, incoming",
        ),
        (b";1;2;23/11/2026 17:54:02;;;0;outgoing", Reason.MISSING, "no call_ref"),
        (b"A3;1;2;;;;0;outgoing", Reason.MISSING, "no time of set-up"),
        (b"A3;1;2", Reason.MALFORMED, "expected 8 columns, found 3"),
        (
            b"A3;1;2;23/11/2026 17:54:09;23/11/2026 17:54:02;23/11/2026 17:54:12;10;outgoing",
            Reason.INVALID,
            "set-up",
        ),
    ],
)
def test_a_row_that_does_not_fit(row: bytes, reason: Reason, said: str) -> None:
    head = made("mapped.csv").partition(b"\n")[0] + b"\n"
    found = quarantined(read(mapping.parser(ORIGIN, CSV_MAPPING), head + row))
    assert (found.reason, found.detail[: len(said)]) == (reason, said)


def test_a_first_line_without_a_column_that_is_needed() -> None:
    found = read(mapping.parser(ORIGIN, CSV_MAPPING), b"id;from;to;begin;answered;end;way\r\n")
    assert quarantined(found).detail.startswith(
        'the first line names the columns: no column "seconds"; there are'
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"fields": {**JSON_MAPPING.fields, "colour": "c"}},
            (("fields", "colour"), "not a field of a call record"),
        ),
        (
            {"fields": {"caller": "a", "called": "b", "setup": "c", "end": "d"}},
            (("fields",), "no column for call_ref"),
        ),
        (
            {"fields": {"call_ref": "a", "caller": "a", "called": "b", "end": "d"}},
            (("fields",), "no column for setup or answer"),
        ),
        (
            {"form": Form.CSV, "columns": ("a", "b")},
            (("fields", "call_ref"), 'no column "call.id"; there are a, b'),
        ),
        (
            {"fields": {**JSON_MAPPING.fields, "kind": "k"}},
            (("values",), "no kind: say which word means voice, fax, sms"),
        ),
        ({"values": {"kind": {"F": "telex"}}}, (("values", "kind", "F"), "expected voice, fax, sms")),
        ({"values": {"caller": {}}}, (("values", "caller"), "only direction and kind are translated")),
    ],
)
def test_what_is_wrong_with_a_mapping(change: dict[str, object], fault: tuple[tuple[str, ...], str]) -> None:
    found = faults(replace(JSON_MAPPING, **change))  # type: ignore[arg-type]
    assert Fault(fault[0], next(f.message for f in found if f.at == fault[0])) in found
    assert any(f.at == fault[0] and f.message.startswith(fault[1]) for f in found)


def test_two_columns_of_one_name() -> None:
    found = faults(
        replace(CSV_MAPPING, columns=("id", "id", "from", "to", "begin", "answered", "end", "seconds", "way"))
    )
    assert found == [Fault(("columns",), '"id" stands there twice; give each its name')]
    head = b"id;id;from;to;begin;answered;end;seconds;way\r\n"
    assert quarantined(read(mapping.parser(ORIGIN, CSV_MAPPING), head)).reason is Reason.MALFORMED


def test_all_faults_at_once() -> None:
    assert len(faults(replace(JSON_MAPPING, fields={"colour": "c"}))) == 6
