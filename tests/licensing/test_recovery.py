"""A store that lost history lends nothing new until it knows what everyone holds (protocol rule 3)."""

import msgspec
import pytest

from licensing import administration
from licensing.codes import Code
from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.wire import Answer, Hello
from tests.licensing.house import CATALOGUE
from tests.licensing.peers import Master, Peer

PBXS = (Pbx("hq", role="master"), Pbx("lyon"), Pbx("nancy", platform="ipva"))


def install(master: Master, *rows: tuple[int, str]) -> None:
    items = [Item(type_, count) for count, type_ in rows]
    assert master.commit(inventory.install(master.state, CATALOGUE, items)) is None


def running() -> tuple[Master, dict[str, Peer]]:
    """Three sites that hold 3, 2 and 1 of 10 ports."""
    master = Master.found(PBXS, Settings())
    install(master, (10, "PBX-Port13"), (5, "PBX-IPVA13"))
    peers = {pbx.name: Peer(pbx.name) for pbx in PBXS}
    for peer in peers.values():
        peer.enrol(master)
    for name, class_, need in (("hq", "seat", 3), ("lyon", "seat", 2), ("nancy", "virtual_seat", 1)):
        assert isinstance(peers[name].exchange(master, {class_: (need, 0)}), Answer)
    for peer in peers.values():
        peer.exchange(master, {name: (want, 0) for name, want in peer.cap.items()})
    return master, peers


def made_anew() -> Master:
    return Master.found(PBXS, Settings(), instance="two", recovery=True)


def asked(peer: Peer, master: Master, class_: str, need: int) -> Answer:
    reply = peer.exchange(master, {class_: (need, 0)})
    assert isinstance(reply, Answer), reply
    return reply


def accounted(peer: Peer, master: Master, class_: str, need: int) -> Answer:
    """Hello, and the message after it, which shows that the hello was not an old one."""
    asked(peer, master, class_, need)
    assert master.woken >= {peer.name}
    return asked(peer, master, class_, need)


def test_a_lost_store_learns_the_shares_and_lends_nothing_before_it_knows_all() -> None:
    _, peers = running()
    master = made_anew()
    first = asked(peers["hq"], master, "seat", 9)
    assert (first.shares["seat"].granted, first.shares["seat"].state) == (3, "recovering")
    assert first.denials["seat"].code == "recovering"
    assert first.shares["seat"].recall_to is None
    assert (first.instance, first.term) == ("two", 2)
    install(master, (10, "PBX-Port13"), (5, "PBX-IPVA13"))
    assert accounted(peers["lyon"], master, "seat", 9).shares["seat"].granted == 2
    assert accounted(peers["nancy"], master, "virtual_seat", 1).shares["virtual_seat"].granted == 1
    assert master.state.waiting == {"hq"}
    assert asked(peers["hq"], master, "seat", 3).shares["seat"].granted == 3
    assert not master.state.recovering
    assert master.woken == {"lyon"}
    assert master.state.lent_from(next(key for key in master.state.lent if key.pool == "port")) == 6
    assert asked(peers["hq"], master, "seat", 9).shares["seat"].granted == 7


def test_without_its_licences_a_new_store_recalls_nothing_and_the_phones_go_on() -> None:
    _, peers = running()
    master = made_anew()
    for name, class_, need in (("hq", "seat", 3), ("lyon", "seat", 2), ("nancy", "virtual_seat", 1)):
        grant = accounted(peers[name], master, class_, need).shares[class_]
        assert (grant.granted, grant.recall_to, grant.max_software) == (need, None, 13)
    assert asked(peers["hq"], master, "seat", 4).denials["seat"].code == "no_free_licence"


def test_the_roster_in_a_proof_names_whom_else_to_wait_for() -> None:
    old, peers = running()
    master = Master.found(PBXS[:2], Settings(), instance="two", recovery=True)
    accounted(peers["hq"], master, "seat", 3)
    assert master.state.waiting == {"lyon", "nancy"}
    assert master.state.roster == old.state.roster


def test_an_unknown_agent_without_proof_is_not_believed() -> None:
    master = made_anew()
    stranger = Peer("lyon", must_hello=True)
    assert stranger.exchange(master, {"seat": (5, 0)}) is Code.UNKNOWN_AGENT
    assert master.state.waiting == {"hq", "lyon", "nancy"}


def test_an_agent_that_a_newer_roster_leaves_out_is_not_believed() -> None:
    old, peers = running()
    old.commit(administration.revoke(old.state, "lyon"))
    peers["hq"].exchange(old, {"seat": (3, 0)})
    master = made_anew()
    asked(peers["hq"], master, "seat", 3)
    assert peers["lyon"].exchange(master, {"seat": (2, 0)}) is Code.UNKNOWN_AGENT


def test_who_does_not_come_is_released_by_name_and_returns_with_share_0() -> None:
    _, peers = running()
    master = made_anew()
    install(master, (10, "PBX-Port13"), (5, "PBX-IPVA13"))
    accounted(peers["hq"], master, "seat", 3)
    accounted(peers["lyon"], master, "seat", 2)
    assert master.commit(administration.release_site(master.state, "nancy")) is None
    assert not master.state.recovering
    back = peers["nancy"]
    before = back.epoch
    grant = asked(back, master, "virtual_seat", 0)
    assert back.epoch > before
    assert grant.shares.get("virtual_seat") is None or grant.shares["virtual_seat"].granted == 0
    assert not master.state.recovering


def test_a_site_released_in_a_recovery_does_not_start_it_anew() -> None:
    master, peers = running()
    backup = master.copy()
    for need in (4, 5):
        asked(peers["lyon"], master, "seat", need)
    backup.commit(administration.start_recovery(backup.state))
    for name in ("hq", "lyon", "nancy"):
        assert backup.commit(administration.release_site(backup.state, name)) is None
    reply = asked(peers["lyon"], backup, "seat", 2)
    assert not backup.state.recovering
    assert (reply.shares["seat"].granted, reply.epoch) == (2, 2)


def test_a_store_put_back_by_hand_is_found_out_by_the_first_message() -> None:
    master, peers = running()
    backup = master.copy()
    term = master.state.term
    for need in (4, 5):
        asked(peers["hq"], master, "seat", need)
    reply = asked(peers["hq"], backup, "seat", 6)
    assert backup.state.recovering
    assert backup.state.term > term
    assert reply.shares["seat"].granted == 5  # what it proved, not what it wants
    assert peers["lyon"].exchange(backup, {"seat": (5, 0)}) is not Code.HELLO_NEEDED
    assert backup.state.share("lyon", "seat").granted == 2


@pytest.mark.parametrize("answered", [True, False])
def test_a_store_set_back_lends_nobody_more_than_he_holds(answered: bool) -> None:
    """What hq gave back after the backup is lyon's now, although the backup says that it is hq's."""
    master, peers = running()
    backup = master.copy()
    if answered:
        asked(peers["hq"], master, "seat", 1)
    else:
        master.receive(peers["hq"].write({"seat": (1, 0)}))  # its answer is lost
    assert asked(peers["lyon"], master, "seat", 8).shares["seat"].granted == 8
    backup.commit(administration.start_recovery(backup.state))
    assert asked(peers["hq"], backup, "seat", 3).shares["seat"].granted == 1
    assert asked(peers["lyon"], backup, "seat", 8).shares["seat"].granted == 8
    assert backup.state.share("hq", "seat").granted == 1


def test_a_recovery_waits_again_for_nobody_who_has_been_heard() -> None:
    _, peers = running()
    master = made_anew()
    accounted(peers["hq"], master, "seat", 3)
    peers["hq"].restart()
    asked(peers["hq"], master, "seat", 3)
    assert master.state.waiting == {"lyon", "nancy"}
    assert sum(type(event).__name__ == "RecoveryStarted" for event in master.events) == 1


@pytest.mark.parametrize("command", ["invite", "take out of the configuration"])
def test_nobody_is_replaced_while_it_is_unknown_what_he_holds(command: str) -> None:
    master = made_anew()
    if command == "invite":
        assert master.commit(administration.enrol(master.state, "lyon", "new key")) is Code.RECOVERING
    else:
        change = administration.configure(master.state, Settings(), PBXS[:1], {})
        assert master.commit(change) is Code.SHARE_HELD


def test_a_pbx_that_holds_a_share_is_neither_invited_again_nor_taken_out() -> None:
    master, _ = running()
    assert master.commit(administration.enrol(master.state, "lyon", "new key")) is Code.SHARE_HELD
    assert master.commit(administration.configure(master.state, Settings(), PBXS[:1], {})) is Code.SHARE_HELD
    assert master.commit(administration.release_site(master.state, "lyon")) is None
    assert master.commit(administration.enrol(master.state, "lyon", "new key")) is None


def test_a_hello_that_was_late_on_the_wire_accounts_for_nobody() -> None:
    old, peers = running()
    peers["hq"].restart()
    asked(peers["hq"], old, "seat", 3)
    late = peers["hq"].sent[-1]
    assert asked(peers["hq"], old, "seat", 6).shares["seat"].granted == 6
    master = made_anew()
    install(master, (10, "PBX-Port13"), (5, "PBX-IPVA13"))
    assert isinstance(master.receive(late), Answer)
    for name, class_, need in (("lyon", "seat", 9), ("nancy", "virtual_seat", 1)):
        accounted(peers[name], master, class_, need)
    assert master.state.waiting == {"hq"}
    assert asked(peers["hq"], master, "seat", 6).shares["seat"].granted == 6
    assert master.state.share("hq", "seat").granted == 6
    assert master.receive(late) is Code.SEQ_OLD
    asked(peers["hq"], master, "seat", 6)
    assert asked(peers["lyon"], master, "seat", 9).shares["seat"].granted == 3


def lost_after_a_return() -> tuple[Master, dict[str, Peer]]:
    """hq gave its 3 units back in a sync whose answer never came; lyon got them; then the store was lost."""
    old, peers = running()
    old.receive(peers["hq"].write({"seat": (0, 0)}))
    assert asked(peers["lyon"], old, "seat", 9).shares["seat"].granted == 9
    master = made_anew()
    install(master, (10, "PBX-Port13"), (5, "PBX-IPVA13"))
    return master, peers


def test_units_given_back_before_the_store_was_lost_are_not_believed_a_second_time() -> None:
    master, peers = lost_after_a_return()
    assert asked(peers["hq"], master, "seat", 3).shares["seat"].granted == 0
    accounted(peers["lyon"], master, "seat", 9)
    accounted(peers["nancy"], master, "virtual_seat", 1)
    assert asked(peers["hq"], master, "seat", 3).shares["seat"].granted == 0
    assert master.state.lent_from(next(key for key in master.state.lent if key.pool == "port")) == 10


def test_an_agent_that_does_not_say_what_it_holds_is_believed_by_its_proof() -> None:
    _, peers = running()
    master = made_anew()
    peers["hq"].must_hello = True
    hello = peers["hq"].write({"seat": (3, 0)})
    assert isinstance(hello, Hello)
    reply = master.receive(msgspec.structs.replace(hello, held=None))
    assert isinstance(reply, Answer)
    assert reply.shares["seat"].granted == 3


def test_a_restored_store_lends_nobody_what_it_gave_back_since() -> None:
    """The record of the backup is old: units that moved since are in use elsewhere."""
    master, peers = running()
    backup = master.copy()
    for need in (0, 2):
        asked(peers["lyon"], master, "seat", 0)
        asked(peers["hq"], master, "seat", 9 - need)
    assert (peers["hq"].usable("seat"), peers["lyon"].usable("seat")) == (7, 0)
    peers["hq"].used["seat"] = 7
    backup.commit(administration.start_recovery(backup.state, instance="two", term=master.state.term))
    assert (backup.state.instance, backup.state.term) == ("two", master.state.term + 1)
    assert asked(peers["lyon"], backup, "seat", 2).shares["seat"].granted == 0
    assert backup.state.share("lyon", "seat").granted == 0
    accounted(peers["hq"], backup, "seat", 7)
    assert backup.state.share("hq", "seat").granted == 7
    accounted(peers["nancy"], backup, "virtual_seat", 1)
    assert asked(peers["lyon"], backup, "seat", 2).shares["seat"].granted == 2
    assert not backup.state.recovering
