"""What a message is before anything is decided: a repeat, an old one, a copy, or news to this store."""

import pytest

from licensing import administration
from licensing.codes import Code
from licensing.installation import Pbx, Settings
from licensing.ledger import CloneSuspected, HelloSaid, RecoveryStarted, replay
from licensing.lender.contact import ClonePolicy, Contact, Fresh, Rejected, Repeat, confirmed_contact, examine
from licensing.state import State
from licensing.wire import Sync
from tests.licensing.house import request
from tests.licensing.peers import Master, Peer

PBXS = (Pbx("hq", role="master"), Pbx("lyon"))


def enrolled() -> State:
    """hq under epoch 2, term 3 of the store "one"; lyon is configured and not enrolled."""
    master = Master.found(PBXS, Settings())
    for _ in range(2):
        master.commit(administration.enrol(master.state, "hq", "key"))
        master.commit(administration.raise_term(master.state))
    return master.state


STATE = enrolled()
CONTACT = Contact(
    epoch=2,
    seq=7,
    body_hash="h7",
    boot="b1",
    confirmed="n6",
    issued="n7",
    retired=("n4", "n5"),
    boots=("b0", "b1"),
)


def message(**changes: object) -> Sync:
    given: dict[str, object] = {"agent": "hq", "classes": {}, "seq": 8, "prev": "n7", "epoch": 2, "term": 3}
    return request(**{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "body", "hello", "expected"),
    [
        pytest.param({}, "h8", False, Fresh(), id="next"),
        pytest.param({"prev": "n6"}, "h8", False, Fresh(), id="the answer was lost"),
        pytest.param({"seq": 12}, "h8", False, Fresh(), id="content replaced before it was sent"),
        pytest.param({"term": 2}, "h8", False, Fresh(), id="the master has restarted"),
        pytest.param({"seq": 7, "prev": "n6"}, "h7", False, Repeat(), id="retry"),
        pytest.param({"seq": 7, "prev": "n6"}, "h7", True, Repeat(), id="retried hello"),
        pytest.param({}, "h8", True, Fresh(), id="hello after a restart"),
        pytest.param({"epoch": 1}, "h8", True, Fresh(), id="hello after a release"),
        pytest.param({"prev": "lost"}, "h8", True, Fresh(behind=True), id="the store was restored"),
        pytest.param({"term": 4}, "h8", True, Fresh(behind=True), id="an older term here"),
        pytest.param({"epoch": 3}, "h8", True, Fresh(behind=True), id="an older epoch here"),
        pytest.param({"instance": "two"}, "h8", True, Fresh(behind=True), id="another store"),
    ],
)
def test_what_is_answered(changes: dict[str, object], body: str, hello: bool, expected: object) -> None:
    assert examine(STATE, CONTACT, message(**changes), body, hello=hello) == expected


@pytest.mark.parametrize(
    ("changes", "body", "hello", "code"),
    [
        pytest.param({"agent": "nobody"}, "h", False, Code.UNKNOWN_AGENT, id="unknown agent"),
        pytest.param({"agent": "nobody"}, "h", True, Code.UNKNOWN_AGENT, id="unknown agent's hello"),
        pytest.param({"epoch": 1}, "h", False, Code.EPOCH_OLD, id="old epoch"),
        pytest.param({"epoch": 1, "seq": 7}, "h7", False, Code.EPOCH_OLD, id="old epoch, repeated"),
        pytest.param({"epoch": 3}, "h", False, Code.HELLO_NEEDED, id="newer epoch"),
        pytest.param({"instance": "two"}, "h", False, Code.HELLO_NEEDED, id="another store"),
        pytest.param({"term": 4}, "h", False, Code.HELLO_NEEDED, id="newer term"),
        pytest.param({"prev": "lost"}, "h", False, Code.HELLO_NEEDED, id="unknown nonce"),
        pytest.param({"seq": 6, "prev": "n5"}, "h6", False, Code.SEQ_OLD, id="late message"),
        pytest.param({"seq": 6, "boot": "b0"}, "h6", True, Code.SEQ_OLD, id="late message of a dead process"),
        pytest.param(
            {"seq": 7, "prev": "n6"}, "other", False, Code.CLONE_SUSPECTED, id="two bodies, one seq"
        ),
        pytest.param({"prev": "n5"}, "h8", False, Code.CLONE_SUSPECTED, id="a nonce confirmed before"),
    ],
)
def test_what_is_refused(changes: dict[str, object], body: str, hello: bool, code: Code) -> None:
    found = examine(STATE, CONTACT, message(**changes), body, hello=hello)
    assert isinstance(found, Rejected)
    assert found.refusal.code is code


@pytest.mark.parametrize(
    ("heard", "prev", "hello", "expected"),
    [
        pytest.param(False, "n7", False, Code.HELLO_NEEDED, id="no hello yet"),
        pytest.param(False, "n7", True, Fresh(), id="its hello"),
        pytest.param(True, "n7", False, Fresh(), id="it has applied the answer to its hello"),
        pytest.param(True, "n6", False, Code.HELLO_NEEDED, id="it has not"),
        pytest.param(True, "lost", False, Code.HELLO_NEEDED, id="it has applied others since"),
        pytest.param(True, "lost", True, Fresh(), id="another hello"),
    ],
)
def test_what_an_agent_may_say_that_a_recovery_waits_for(
    heard: bool, prev: str, hello: bool, expected: Code | Fresh
) -> None:
    state = replay([RecoveryStarted(("hq", "lyon"))], STATE)
    if heard:
        state = replay([HelloSaid("hq", 2)], state)
    found = examine(state, CONTACT, message(prev=prev), "h8", hello=hello)
    if isinstance(expected, Fresh):
        assert found == expected
    else:
        assert isinstance(found, Rejected)
        assert found.refusal.code is expected


def test_another_protocol_version() -> None:
    sync = Sync(**{name: getattr(message(), name) for name in Sync.__struct_fields__} | {"v": 2})
    found = examine(STATE, CONTACT, sync, "h", hello=False)
    assert isinstance(found, Rejected)
    assert found.refusal.code is Code.VERSION_UNSUPPORTED


@pytest.mark.parametrize(
    ("policy", "standing", "next_is"),
    [("alert", "alert", Fresh), ("freeze", "frozen", Fresh), ("quarantine", "quarantined", Rejected)],
)
def test_a_clone_is_marked_once_as_the_policy_says(
    policy: ClonePolicy, standing: str, next_is: type[object]
) -> None:
    copy = message(seq=7, prev="n6")
    found = examine(STATE, CONTACT, copy, "other", hello=False, clone=policy)
    assert isinstance(found, Rejected)
    state = replay(found.events, STATE)
    assert state.agents["hq"].standing == standing
    again = examine(state, CONTACT, copy, "other", hello=False, clone=policy)
    assert isinstance(again, Rejected)
    assert again.events == ()
    assert isinstance(examine(state, CONTACT, message(), "h8", hello=False, clone=policy), next_is)
    confirmed = administration.confirm_site(state, "hq")
    assert isinstance(confirmed, administration.Change)
    assert confirmed.state.agents["hq"].standing == "good"


def test_a_restored_snapshot_is_frozen_until_an_operator_confirms_it() -> None:
    first = examine(STATE, CONTACT, message(seq=3, prev="n2", boot="b9"), "x", hello=True)
    assert isinstance(first, Rejected)
    assert (first.refusal.code, first.events) == (Code.SEQ_OLD, ())
    assert first.contact is not None
    second = examine(STATE, first.contact, message(seq=4, prev="n2", boot="b9"), "y", hello=False)
    assert isinstance(second, Rejected)
    state = replay(second.events, STATE)
    assert state.agents["hq"].standing == "frozen"
    contact = confirmed_contact(2)
    assert examine(state, contact, message(seq=5, prev="n2", boot="b9"), "z", hello=True) == Fresh()


@pytest.mark.parametrize("hellos", [(False, True), (True, True), (False, False)])
def test_late_messages_of_a_process_that_died_unheard_are_no_copy(hellos: tuple[bool, bool]) -> None:
    """A sync and then a hello, two hellos, two syncs: what an agent sends that gets no answer from us."""
    contact = CONTACT
    for seq, hello in zip((3, 4), hellos, strict=True):
        found = examine(STATE, contact, message(seq=seq, prev="n2", boot="b9"), f"x{seq}", hello=hello)
        assert isinstance(found, Rejected)
        assert (found.refusal.code, found.events) == (Code.SEQ_OLD, ())
        contact = found.contact or contact


def test_two_copies_of_one_agent_are_found_at_the_second_message() -> None:
    master = Master.found(PBXS, Settings())
    honest, copy = Peer("hq"), Peer("hq")
    honest.enrol(master)
    honest.exchange(master, {"seat": (1, 0)})
    for name in ("epoch", "instance", "term", "seq", "prev", "applied"):
        setattr(copy, name, getattr(honest, name))
    assert not isinstance(honest.exchange(master, {"seat": (2, 0)}), Code)
    assert copy.exchange(master, {"seat": (3, 0)}) is Code.CLONE_SUSPECTED
    assert master.state.agents["hq"].standing == "alert"


def test_a_copy_that_goes_on_from_a_nonce_confirmed_before_is_found() -> None:
    master = Master.found(PBXS, Settings())
    honest = Peer("hq")
    honest.enrol(master)
    honest.exchange(master, {"seat": (1, 0)})
    stale = honest.prev
    for need in (2, 3):
        honest.exchange(master, {"seat": (need, 0)})
    copy = message(epoch=1, term=1, seq=honest.seq + 1, prev=stale, boot="hq0")
    assert master.receive(copy) is Code.CLONE_SUSPECTED


def test_after_the_store_was_answered_a_released_site_comes_back_with_nothing() -> None:
    master = Master.found(PBXS, Settings())
    peer = Peer("hq")
    peer.enrol(master)
    peer.exchange(master, {"seat": (1, 0)})
    master.commit(administration.release_site(master.state, "hq"))
    late = peer.sent[-1]
    assert master.receive(late) is Code.EPOCH_OLD
    assert peer.exchange(master, {"seat": (1, 0)}) is not Code.EPOCH_OLD
    assert peer.epoch == master.state.agents["hq"].epoch


def examined(contact: Contact, hello: bool, /, **changes: object) -> object:
    """What this message of a process that was never answered is."""
    return examine(STATE, contact, message(boot="old", **changes), "other", hello=hello)


@pytest.mark.parametrize(
    "changes", [{"seq": 6}, {"seq": 7}, {"seq": 8, "prev": "n4"}, {"seq": 9, "prev": "gone"}]
)
def test_an_older_store_is_known_by_its_process_wherever_its_seq_is_by_now(
    changes: dict[str, object],
) -> None:
    """Also while the other copy is answered in between; else its seq would have to catch up first."""
    first = examined(CONTACT, True, seq=5)
    assert isinstance(first, Rejected)
    assert first.contact is not None
    between = first.contact.answered(message(seq=7, boot="b1", prev="n6"), "h7", "n7", 2)
    found = examined(between, False, **changes)
    assert isinstance(found, Rejected)
    assert [event.standing for event in found.events if isinstance(event, CloneSuspected)] == ["frozen"]
    assert found.refusal.code is Code.SEQ_OLD
