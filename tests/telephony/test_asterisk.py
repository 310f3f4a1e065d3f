"""What a real Asterisk 22 said, recorded (tests/telephony/asterisk), read as the agent reads it.

Each trap of pbx-integrations section 3.1 and 3.2 is a test here; tests/acceptance/test_asterisk.py shows with
the program what can be shown with it.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.pbx.ami import Answer, Connection, Message
from telephony.pbx.asterisk import WHOLE, Asterisk, UnknownError, calls, contacts, members, rooms
from telephony.pbx.picture import Call, Change, Contact, Gone, Member, Picture, Present

RECORDED = Path(__file__).parent / "asterisk"
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
OLD, NEW = "sip:1002@10.77.0.3:5090", "sip:1002@10.77.0.3:5092"


def events(name: str) -> list[Message]:
    """Every event of a recording, as it came."""
    said = Connection().receive((RECORDED / name).read_bytes())
    return [each for each in said if not isinstance(each, Answer)]


def answers(name: str) -> dict[str, Answer]:
    """The answers of a recording of questions, by what was asked."""
    found = {}
    for part in (RECORDED / name).read_bytes().split(b"### SENT '")[1:]:
        asked, _, said = part.partition(b"'")
        connection = Connection()
        action_id, _ = connection.ask("Any")
        said = re.sub(rb"ActionID: \w+", b"ActionID: " + action_id.encode(), said.lstrip())
        for answer in connection.receive(b"Asterisk Call Manager/11.0.0\r\n" + said + b"\r\n\r\n"):
            assert isinstance(answer, Answer)
            found[asked.decode()] = answer
    return found


def at(event: Message) -> str:
    """When it happened, as steps.log writes it; empty for an event without a time."""
    stamp = event.get("Timestamp")
    return "" if stamp is None else datetime.fromtimestamp(float(stamp), UTC).strftime("%H:%M:%S")


def changes(recorded: list[Message]) -> Iterator[tuple[str, Change]]:
    asterisk = Asterisk()
    for event in recorded:
        change = asterisk.change(event)
        if change is not None:
            yield at(event), change


RECORDING = events("ami-events.txt")

# What the picture shows once everything until this second has come; steps.log is the key.
STEPS = [
    ("17:52:43", "1001 registers", ["1001"], 0),
    ("17:53:00", "1002 registers for 8 s", ["1001", "1002"], 0),
    ("17:53:08", "it expired: nothing yet, the grid is 30 s", ["1001", "1002"], 0),
    ("17:53:11", "Asterisk drops it", ["1001"], 0),
    ("17:53:42", "1002 registers", ["1001", "1002"], 0),
    ("17:53:44", "refresh: no event", ["1001", "1002"], 0),
    ("17:53:45", "from another port: one contact is allowed", ["1001", "1002"], 0),
    ("17:53:46", "1002 unregisters", ["1001"], 0),
    ("17:53:48", "bad password, unknown user", ["1001"], 0),
    ("17:53:57", "an outbound registration comes, goes, fails", ["1001"], 0),
    ("17:54:05", "1002, not registered, calls", ["1001"], 0),
    ("17:54:09", "the first leg in room 700", ["1001"], 1),
    ("17:54:10", "the second", ["1001"], 2),
    ("17:54:11", "the third", ["1001"], 3),
    ("17:54:12", "max_members refused the fourth: no event of the room", ["1001"], 3),
    ("17:54:13", "two leave", ["1001"], 1),
    ("17:54:14", "the last leaves; 1001 stops and unregisters", [], 0),
    ("17:54:16", "1001 starts again, with another user part", ["1001"], 0),
    ("17:54:24", "killed: it does not answer, and is registered", ["1001"], 0),
    ("17:54:41", "at its expiry", [], 0),
    ("17:55:06", "1002 registers for 5 s", ["1002"], 0),
    ("17:55:11", "at its expiry", [], 0),
]


@pytest.mark.parametrize(("until", "what", "registered", "in_rooms"), STEPS)
def test_the_picture_after_each_step(until: str, what: str, registered: list[str], in_rooms: int) -> None:
    picture = Picture()
    for when, change in changes(RECORDING):
        if when <= until:
            picture.change(change)
    assert [contact.aor for contact in picture.contacts()] == registered, what
    assert len(picture.members()) == in_rooms, what


def test_a_killed_phone_is_registered_and_said_not_to_answer() -> None:
    picture = Picture()
    for when, change in changes(RECORDING):
        if when <= "17:54:24":
            picture.change(change)
    assert [contact.reachable for contact in picture.contacts()] == [False]


def test_a_replacement_is_two_contacts_for_a_moment_and_one_object() -> None:
    """The new one comes first, and there is no other event: who counts up and down counts 2."""
    around = [change for when, change in changes(RECORDING) if when == "17:53:45"]
    assert around == [Present(Contact("1002", NEW)), Gone(Contact("1002", OLD))]


OTHERS = """
PeerStatus DeviceStateChange SuccessfulAuth ChallengeSent ChallengeResponseFailed InvalidAccountID Registry
TestEvent Reload FullyBooted Shutdown Newstate VarSet CEL Cdr BridgeEnter BridgeLeave HangupRequest
ConfbridgeStart ConfbridgeEnd
"""


@pytest.mark.parametrize("kind", OTHERS.split())
def test_no_other_event_changes_anything(kind: str) -> None:
    """DeviceStateChange is INUSE, BUSY and NOT_INUSE for who never registered; and for `confbridge:700`."""
    said = [event for event in RECORDING if event.get("Event") == kind]
    assert said, "the recording holds some"
    assert [event for event in said if Asterisk().change(event) is not None] == []


@settings(max_examples=50)
@given(st.data())
def test_events_of_one_registration_in_any_order(data: st.DataObject) -> None:
    """ContactStatus twice, PeerStatus, DeviceStateChange: their order varies."""
    burst = [event for event in RECORDING if at(event) == "17:52:43"]
    picture = Picture()
    for _, change in changes(data.draw(st.permutations(burst))):
        picture.change(change)
    assert [contact.aor for contact in picture.contacts()] == ["1001"]


def test_a_stop_and_a_start_say_nothing_of_contacts_and_the_list_does() -> None:
    before = list(changes(events("ami-stop-with-contact.txt")))
    assert [type(change) for _, change in before] == [Present]
    assert list(changes(events("ami-start-after-stop.txt"))) == []
    listed = answers("ami-queries-after-restart.txt")["Action: PJSIPShowContacts"]
    (contact,) = contacts(listed, 1_795_457_800.5, 1_000) or ()
    assert contact == Contact("1002", "sip:1002@127.0.0.1:5091", 1_000 + 59_500)
    assert contact.key == before[0][1].item.key


def test_a_browser_has_a_random_user_and_its_whole_uri_is_the_key() -> None:
    uri = "sip:o70ffag2@127.0.0.1:60138;transport=ws;x-ast-orig-host=ubfg515nincd.invalid:0"
    assert [change for _, change in changes(events("ami-events-jssip.txt"))] == [
        Present(Contact("1003", uri)),
        Gone(Contact("1003", uri)),
    ]


def test_an_empty_set_may_come_as_an_error() -> None:
    said = answers("ami-queries-empty.txt")
    assert not said["Action: PJSIPShowContacts"].ok
    assert contacts(said["Action: PJSIPShowContacts"], 0, 0) == ()
    assert rooms(said["Action: ConfbridgeListRooms"]) == []
    assert calls(said["Action: CoreShowChannels"]) == ()


@pytest.mark.parametrize(
    "text", ["", "Permission denied", "Timeout", "No Contacts", "no active conferences."]
)
def test_any_other_error_is_no_empty_set(text: str) -> None:
    answer = Answer("1", {"Response": "Error", "Message": text})
    for read in (lambda said: contacts(said, 0, 0), rooms, members, calls):
        with pytest.raises(UnknownError):
            read(answer)


def test_a_module_that_is_not_loaded_has_no_list() -> None:
    text = (
        "Invalid/unknown command: ConfbridgeListRooms. Use Action: ListCommands to show available commands."
    )
    assert rooms(Answer("1", {"Response": "Error", "Message": text})) is None


def test_the_announcer_is_no_member() -> None:
    """BridgeNumChannels was 2 with one person, and the bridge's own channel is no call."""
    first = next(event for event in RECORDING if event.get("Event") == "ConfbridgeJoin")
    assert first["BridgeNumChannels"] == "2"
    said = answers("ami-queries-conference.txt")
    assert rooms(said["Action: ConfbridgeListRooms"]) == ["700"]
    assert members(said["Action: ConfbridgeList;Conference: 700"]) == [
        Member("700", "1795456448.7", "PJSIP/1002-00000004")
    ]
    phone = next(event for event in RECORDING if event.get("Event") == "Newchannel")
    assert Asterisk().change({**phone, "Channel": "CBAnn/700-00000000;1"}) is None


def test_legs_are_told_apart_by_uniqueid() -> None:
    """1002 is in the room twice."""
    joined = [change.item for _, change in changes(RECORDING) if isinstance(change.item, Member)][:3]
    assert len({item.key for item in joined}) == 3
    assert [item.channel[:10] for item in joined].count("PJSIP/1002") == 2


def test_a_contact_of_the_configuration_registered_nowhere() -> None:
    aor = {
        "Event": "AorList",
        "ObjectName": "trunk",
        "MaxContacts": "0",
        "Contacts": "trunk/sip:trunk@192.0.2.1",
    }
    phone = {"Event": "AorList", "ObjectName": "1001", "MaxContacts": "2", "Contacts": ""}
    asterisk = Asterisk()
    asterisk.aors(Answer("1", {"Response": "Success"}, (aor, phone)))
    said = next(event for event in RECORDING if event.get("Event") == "ContactStatus")
    assert asterisk.change({**said, "AOR": "trunk"}) is None
    assert asterisk.change({**said, "AOR": "1001"}) is not None


def test_a_channel_that_ends_takes_its_leg_along() -> None:
    picture = Picture()
    picture.change(Present(Call("c1")))
    picture.change(Present(Member("700", "c1")))
    assert picture.change(Gone(Call("c1"))) == [Gone(Member("700", "c1")), Gone(Call("c1"))]


def test_what_is_no_utf_8_can_be_stored_and_shown() -> None:
    said = Connection()
    joined = (
        RECORDED.joinpath("ami-events.txt").read_bytes().replace(b"Conference: 700", b"Conference: \xff\x07")
    )
    (first, *_) = [
        change.item
        for event in said.receive(joined)
        if not isinstance(event, Answer) and (change := Asterisk().change(event)) is not None
        and isinstance(change.item, Member)
    ]  # fmt: skip
    assert (first.room, first.call) == ("\\xff\\x07", "1795456448.7")


def dialled(name: str) -> list[Message | Answer]:
    connection = Connection()
    action_id, _ = connection.ask("CoreShowChannels")
    said = (RECORDED / name).read_bytes().replace(b"ActionID: q0", b"ActionID: " + action_id.encode())
    return connection.receive(said if said.startswith(BANNER) else BANNER + said)


@pytest.mark.parametrize("name", ["ami-events-dialled-uniqueid.txt", "ami-events-dialled-hangup.txt"])
def test_line_breaks_that_were_dialled_end_no_call_of_others(name: str) -> None:
    """What such a caller does is not seen as an event; nothing is said of call 1.1, which is another's."""
    picture = Picture()
    picture.change(Present(Call("1.1")))
    picture.change(Present(Member("700", "1.1")))
    said = dialled(name)
    assert any("1.1" in str(event) or "Hangup" in str(event) for event in said)
    for event in said:
        change = None if isinstance(event, Answer) else Asterisk().change(event)
        assert change is None or change.item.key[0] != "1.1"
        if change is not None:
            picture.change(change)
    assert picture.has(Call("1.1"))
    assert picture.has(Member("700", "1.1"))


def test_a_list_with_line_breaks_that_were_dialled_is_no_answer() -> None:
    (answer,) = [said for said in dialled("ami-events-dialled-uniqueid.txt") if isinstance(said, Answer)]
    assert answer.ok
    with pytest.raises(
        UnknownError, match="without Uniqueid: is there a line break in what somebody dialled"
    ):
        calls(answer)


@pytest.mark.parametrize("kind", WHOLE)
def test_no_whole_event_has_room_in_what_can_be_dialled(kind: str) -> None:
    """Asterisk cuts an extension, and so a room, at 79 characters."""
    least = "7\r\n\r\n" + f"Event: {kind}\r\n" + "".join([f"{key}:\r\n" for key in WHOLE[kind]])
    assert len(least) + len("1795985320.0") > 79 or kind == "Newchannel", "that one adds, and ends nothing"
