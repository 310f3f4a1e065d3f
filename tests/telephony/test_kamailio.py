"""What Kamailio tells by evapi: the frames of our route file, cut anywhere, and every line that is none."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.pbx.kamailio import Ask, Expired, FramesError, Held, Location, Netstrings, netstring, read
from telephony.pbx.picture import Contact, Gone, Picture, Present, Snapshot

RECORDED = Path(__file__).parent / "recorded" / "kamailio"

ANNA, DESK = "sip:2001@10.77.0.3:5090", "sip:2001@10.77.0.3:5092"


@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_frames_arrive_whole_however_the_stream_is_cut(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(netstring, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, found = Netstrings(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.receive(stream[start:end])
    assert found == frames


@pytest.mark.parametrize(
    "stream", [b'{"ev":"register"}\n', b"5:hello;", b"9999999:", b"01:x,", b"GET / HTTP/1.1\r\n"]
)
def test_what_is_no_netstring_is_said_so(stream: bytes) -> None:
    with pytest.raises(FramesError):
        Netstrings().receive(stream)


def test_a_question_ends_where_its_first_line_does() -> None:
    register = b"REGISTER sip:a SIP/2.0\r\nUser-Agent: x\nset - 1 0\nsip:2001@a\n\r\n\r\n"
    assert read(b"ask 11:22 10.77.0.3 5090\n" + register) == Ask("11:22", "10.77.0.3", 5090, register)
    assert read(b"ask 11:22 [2001:db8::3] 5090\n") == Ask("11:22", "2001:db8::3", 5090, b"")


def test_the_contacts_of_an_aor_have_the_time_that_is_left() -> None:
    """An end of 0 is a permanent contact; one in the past only waits to be taken out."""
    frame = f"set 1:2 1 1000\nsip:2001@a\n1060 {ANNA}\n0 {DESK}\n1000 sip:2001@old\n".encode()
    assert read(frame) == Held("1:2", True, "sip:2001@a", ((ANNA, 60), (DESK, None)))
    assert read(b"set - 1 1000\nsip:2001@a\n") == Held("-", True, "sip:2001@a", ())
    assert read(b"set - 0 1000\nsip:2001@a\n") == Held("-", False, "sip:2001@a", ())
    assert read(f"gone\n2001\n{ANNA}".encode()) == Expired("2001", ANNA)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"set - 1 1000\n",
        b"set - 1 1000\n\n",
        b"set - 1 1000\nsip:2001@a\n1060 sip:x",
        b"set - 1 1000\nsip:2001@a\n\t99999 sip:evil@x\n",  # the fold of a header is no line
        b"set - 1 1000\nsip:2001@a\nsip:x\n",
        b"set - x 1000\nsip:2001@a\n",
        b"set 1:2;3 1 1000\nsip:2001@a\n",
        b"ask 11:22 10.77.0.3\nREGISTER",
        b"gone\n2001\nsip:a\nsip:b",
        b"gone\n2001",
        b"beat",
    ],
)
def test_a_frame_that_is_not_just_as_the_route_file_writes_it_says_nothing(frame: bytes) -> None:
    assert read(frame) is None


def test_no_recorded_line_of_another_script_says_anything() -> None:
    """The injected one among them, which a plain JSON parser reads as a removal."""
    lines = [
        line
        for name in ("evapi.jsonl", "evapi-injected-user-agent.jsonl")
        for line in (RECORDED / name).read_bytes().splitlines()
    ]
    assert json.loads(lines[-1])["rc"] == 3
    assert b'"rc":1' in lines[-1]
    assert [read(line) for line in lines] == [None] * len(lines)


def told(location: Location, frame: str, now_ms: int = 0) -> list[Present | Gone]:
    said = read(frame.encode())
    assert isinstance(said, Held | Expired)
    return location.told(said, now_ms)


def test_a_replacement_and_a_removal_follow_from_the_whole_set() -> None:
    location = Location(use_domain=False)
    assert told(location, f"set - 1 0\nsip:2001@a\n60 {ANNA}\n", 500) == [
        Present(Contact("2001", ANNA, 60_500))
    ]
    assert told(location, f"set - 1 0\nsip:2001@b\n60 {DESK}\n") == [
        Present(Contact("2001", DESK, 60_000)),
        Gone(Contact("2001", ANNA)),
    ]
    assert told(location, "set - 1 0\nsips:2001@a\n") == [Gone(Contact("2001", DESK))]
    assert told(location, f"gone\n2001\n{DESK}") == [Gone(Contact("2001", DESK))]


def test_what_was_not_saved_changes_nothing() -> None:
    location = Location(use_domain=False)
    told(location, f"set - 1 0\nsip:2001@a\n60 {ANNA}\n")
    assert told(location, "set - 0 0\nsip:2001@a\n") == []
    assert told(location, "set - 1 0\nsip:2001@a\n") == [Gone(Contact("2001", ANNA))]


def test_an_aor_is_named_as_the_table_names_it() -> None:
    """`sip:2001@domain` in the register line is `2001` in the table and in the expired line."""
    for use_domain, name in ((False, "20 01"), (True, "20 01@example.com")):
        location = Location(use_domain=use_domain)
        (change,) = told(location, f"set - 1 0\nsip:20%2001@Example.com:5060\n60 {ANNA}\n")
        assert change.item == Contact(name, ANNA, 60_000)
        assert location.listed([(name, ANNA, 60)], 0) == (change.item,)


def test_a_list_that_is_older_than_what_was_told_meanwhile_forgets_nothing() -> None:
    """The new contact is missing in the list, and unregisters later: it must go."""
    location, picture = Location(use_domain=False), Picture()
    location.ask()
    picture.ask()
    for change in told(location, f"set - 1 0\nsip:2001@a\n60 {ANNA}\n"):
        picture.change(change)
    picture.settle(Snapshot(contacts=location.listed([], 0)))
    assert len(picture.contacts()) == 1
    for change in told(location, "set - 1 0\nsip:2001@a\n"):
        picture.change(change)
    assert picture.contacts() == []


def test_contacts_that_wait_to_be_taken_out_are_not_there() -> None:
    rows = [("2001", ANNA, "expired"), ("2002", DESK, "deleted"), ("2003", "sip:c", "permanent")]
    assert Location(use_domain=False).listed(rows, 0) == (Contact("2003", "sip:c", None),)
