"""A record as CSV and JSON, and with its numbers hidden (masking)."""

import base64
import csv
import json
import re
from dataclasses import fields, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telephony.cdr.columns import COLUMNS, csv_header, csv_row, json_line
from telephony.cdr.masking import NUMBERS, masked
from telephony.cdr.record import Cdr
from tests.telephony.cdr.samples import DIALECTS, NOW_MS
from tests.telephony.cdr.test_record import CALL


def test_the_columns_are_the_fields_of_the_record() -> None:
    assert [column.name for column in COLUMNS] == [field.name for field in fields(Cdr)]


def test_a_row_of_csv() -> None:
    cdr = replace(CALL, account='a,"b"', answer_ms=None, cause=None, talk_s=0)
    assert csv_header(raw=False) + csv_row(cdr, raw=False) == (
        "source,call_ref,leg,pbx,direction,kind,caller,called,dialled,account,setup_ms,answer_ms,end_ms,talk_s,"
        "cause,forwarded_by,transferred_by\r\n"
        'acme/lyon/cdr,c1,1,lyon,out,voice,201,0612345678,90612345678,"a,""b""",1800000000000,,1800000065000,0'
        ",,,\r\n"
    )


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.binary())
@example('"\r\n,\n', b"\0\xff")
def test_csv_and_json_give_the_record_back(text: str, raw: bytes) -> None:
    cdr = replace(CALL, caller=text, leg=text, raw=raw)
    lines = re.findall(r'(?:"(?:[^"]|"")*"|[^"\n])*\n', csv_header() + csv_row(cdr))
    (row,) = list(csv.DictReader(lines))
    line = json.loads(json_line(cdr))
    assert list(line) == list(row) == [column.name for column in COLUMNS]
    assert row["caller"] == line["caller"] == text
    assert row["talk_s"] == "60"
    assert line["talk_s"] == 60
    assert base64.b64decode(row["raw"]) == base64.b64decode(line["raw"]) == raw
    assert "raw" not in json.loads(json_line(cdr, raw=False))


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("+33612345678", "+33612xxxxxx"),
        ("0612345678", "0612xxxxxx"),
        ("0033 6 12 34 56 78", "0033 6 12 xx xx xx"),
        ("06.12.34.56.78", "06.12.xx.xx.xx"),
        ("tel%3A%2B33612345678", "tel%3A%2B33612xxxxxx"),
        ("&#48;6123&#x34;5678", "&#48;612xxxxxx"),
        ("06123&#52;5678", "0612xxxxxx"),
        ("06123%34567%38", "0612xxxxxx"),
        (r"06123\u00345678", "0612xxxxxx"),
        ("PJSIP/33612345678-0000002a", "PJSIP/33612xxxxxx-0000002a"),
        ("<sip:+33612345678@192.0.2.1>;x=1", "<sip:+33612xxxxxx@192.0.2.1>;x=1"),
        ("33612345678123", "33612xxxxxx123"),
        ("201", "201"),
    ],
)
def test_a_number_is_hidden_in_each_form(written: str, right: str) -> None:
    cdr = replace(CALL, called="+33612345678", dialled="0612345678", raw=written.encode(), leg=written)
    hidden = masked(cdr, 5)
    assert hidden.raw.decode() == right
    assert hidden.leg == right
    assert (hidden.called, hidden.dialled, hidden.caller) == ("+33612xxxxxx", "0612xxxxxx", "201")


def test_a_short_number_is_hidden_where_it_stands_alone() -> None:
    cdr = replace(CALL, raw=b"SIP/201-1,2010,12201,201", call_ref="1700000000.201", account="anna")
    hidden = masked(cdr, 1)
    assert hidden.raw == b"SIP/2xx-1,2010,12201,2xx"
    assert (hidden.caller, hidden.call_ref, hidden.account) == ("2xx", "1700000000.2xx", "anna")
    assert masked(cdr, 11) == cdr


@given(
    st.from_regex(r"\A\+?[0-9]{4,14}\Z"),
    st.integers(0, 3),
    st.binary(),
    st.sampled_from(["", " ", "-", "%20"]),
)
def test_no_hidden_number_can_be_read(number: str, keep: int, noise: bytes, between: str) -> None:
    spread = between.join(number) if len(number) > 7 else number
    raw = noise + b"<" + spread.encode() + b">" + number.encode() + b";" + noise
    hidden = masked(replace(CALL, called=number, raw=raw), keep)
    digits = number.lstrip("+")
    assert digits.encode() not in re.sub(rb"%20|[ \-]", b"", hidden.raw[len(noise) : len(raw) - len(noise)])
    assert hidden.called == number[: len(number) - len(digits) + keep] + "x" * (len(digits) - keep)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_records_of_each_pbx_keep_no_number(dialect: str) -> None:
    make, stream = DIALECTS[dialect]
    parser = make()
    found = [each for each in parser.feed(stream, NOW_MS) + parser.end(NOW_MS) if isinstance(each, Cdr)]
    assert found
    for cdr in found:
        hidden = masked(cdr, 2)
        for name in NUMBERS:
            digits = re.sub(r"\D", "", getattr(cdr, name).partition("@")[0])
            assert len(re.findall(r"\d", getattr(hidden, name).partition("@")[0])) <= 2
            if len(digits) > 5:
                assert digits.encode() not in hidden.raw
