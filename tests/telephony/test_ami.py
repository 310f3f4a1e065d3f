"""The manager interface and FastAGI as bytes: any cut of the stream, limits, and values that phones chose."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.pbx.agi import AgiError, Question, read_question, set_variables
from telephony.pbx.ami import LINE_LIMIT, MESSAGE_LIMIT, AmiError, Answer, Connection, Message

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
RECORDED = (Path(__file__).parent / "asterisk" / "ami-stop-with-contact.txt").read_bytes()


def greeted() -> Connection:
    connection = Connection()
    assert connection.receive(BANNER) == []
    return connection


def asked(*said: bytes) -> list[Message | Answer]:
    """What comes of an answer to the first action, its id written as %d."""
    connection = greeted()
    action_id, _ = connection.ask("PJSIPShowContacts")
    return connection.receive(b"".join(said).replace(b"ID", b"ActionID: " + action_id.encode()))


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(RECORDED)), max_size=20))
def test_any_cut_of_the_stream_says_the_same(cuts: list[int]) -> None:
    connection, said = Connection(), []
    ends = [0, *sorted(cuts), len(RECORDED)]
    for start, end in pairwise(ends):
        said += connection.receive(RECORDED[start:end])
    assert said == Connection().receive(RECORDED)
    assert len(said) > 10


def test_a_list_is_one_answer_and_events_come_between() -> None:
    event, answer = asked(
        b"Response: Success\r\nID\r\nEventList: start\r\n\r\n",
        b"Event: ContactList\r\nID\r\nUri: sip:a\r\n\r\n",
        b"Event: Hangup\r\nUniqueid: 1.1\r\n\r\n",
        b"Event: ContactListComplete\r\nID\r\nEventList: Complete\r\nListItems: 1\r\n\r\n",
    )
    assert isinstance(event, dict)
    assert event["Event"] == "Hangup"
    assert isinstance(answer, Answer)
    assert answer.ok
    assert [item["Uri"] for item in answer.items] == ["sip:a"]


@pytest.mark.parametrize(
    "end", [b"EventList: Complete\r\nListItems: 2\r\n\r\n", b"EventList: Cancelled\r\nListItems: 0\r\n\r\n"]
)
def test_a_list_that_is_not_whole_is_no_answer(end: bytes) -> None:
    """Else what is missing would be taken for gone."""
    (answer,) = asked(
        b"Response: Success\r\nID\r\nEventList: start\r\n\r\n",
        b"Event: ContactList\r\nID\r\nUri: sip:a\r\n\r\n",
        b"Event: ContactListComplete\r\nID\r\n" + end,
    )
    assert isinstance(answer, Answer)
    assert (answer.ok, answer.items) == (False, ())


def test_an_item_without_a_beginning_is_an_event_of_nobody() -> None:
    connection = greeted()
    assert connection.receive(b"Response: Success\r\nActionID: 7\r\n\r\n") == []


def test_a_key_that_is_said_twice_says_nothing() -> None:
    """Whatever a phone gets into a value: one of the two is not Asterisk's."""
    (event,) = greeted().receive(
        b"Event: ContactStatus\r\nURI: sip:a: b\r\nContactStatus: Reachable\r\nContactStatus: Removed\r\n\r\n"
    )
    assert isinstance(event, dict)
    assert event == {"Event": "ContactStatus", "URI": "sip:a: b"}


def test_an_answer_is_known_by_what_no_caller_knows() -> None:
    connection = Connection("a8f3")
    action_id, _ = connection.ask("PJSIPShowContacts")
    assert action_id == "a8f31"
    forged = b"Response: Error\r\nActionID: 1\r\nMessage: No Contacts found\r\n\r\n"
    assert connection.receive(BANNER + forged) == []


@pytest.mark.parametrize("greeting", [b"SIP/2.0 400 Bad Request\r\n", b"220 mail\r\n", b"\x16\x03\x01" * 100])
def test_who_is_no_asterisk_is_found_out(greeting: bytes) -> None:
    with pytest.raises(AmiError):
        Connection().receive(greeting)


@pytest.mark.parametrize("flood", [b"X" * (LINE_LIMIT + 1), b"Key: value\r\n" * (MESSAGE_LIMIT + 1)])
def test_memory_is_bounded(flood: bytes) -> None:
    with pytest.raises(AmiError):
        greeted().receive(flood)


@pytest.mark.parametrize("room", ["7\r\nAction: Originate", "7\n", "7\0"])
def test_an_action_is_one_action(room: str) -> None:
    with pytest.raises(ValueError, match="Conference: not one line"):
        Connection().ask("ConfbridgeList", Conference=room)


def test_a_dial_plan_asks() -> None:
    lines = [
        b"agi_network: yes\n", b"agi_network_script: join\n", b"agi_request: agi://127.0.0.1/join\n",
        b"agi_channel: PJSIP/1001-00000001\n", b"agi_uniqueid: 1795456448.7\n", b"agi_callerid: \xff: x\n",
        b"agi_extension: 700\n", b"agi_arg_1: 700\n", b"agi_arg_2: local \n",
    ]  # fmt: skip
    question = read_question(lines)
    assert question == Question("join", "1795456448.7", "PJSIP/1001-00000001", "700", ("700", "local "))
    assert [question.argument(number) for number in range(3)] == ["700", "local", ""]


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n", b"agi_channel\n", b"agi_channel: x\n"])
def test_what_is_no_question_is_said(line: bytes) -> None:
    with pytest.raises(AgiError):
        read_question([line])


def test_a_line_break_in_what_was_dialled_is_no_question() -> None:
    lines = [b"agi_uniqueid: 1.1\n", b"agi_extension: 7\n", b"agi_arg_1: free\n", b"agi_arg_1: 700\n"]
    with pytest.raises(AgiError, match="twice"):
        read_question(lines)


def test_a_variable_is_one_line_in_quotes() -> None:
    assert set_variables({"LICENCE_TEXT": 'a "b" \\ c\r\nHANGUP'}) == [
        b'SET VARIABLE LICENCE_TEXT "a \\"b\\" \\\\ cHANGUP"\n'
    ]
