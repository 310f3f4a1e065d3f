"""The ledger: events survive being written, and the chain shows every change."""

import pytest

from licensing import administration, ledger
from licensing.codes import Code
from licensing.entitlement import Entitlement
from licensing.files import inventory
from licensing.files.document import Document
from licensing.files.inventory import Item
from licensing.files.stock_events import Converted, Transferred
from licensing.installation import Pbx, Settings, normal_mac, printed_mac
from licensing.ledger import AnyEvent
from licensing.lender.takeover_events import PbxFailed, PbxRecovered
from licensing.state import State
from tests.licensing.house import CATALOGUE, House

EVENTS: list[AnyEvent] = [
    ledger.Founded("one"),
    ledger.SettingsChanged(Settings(mixed_versions="lenient")),
    ledger.PbxAdded(Pbx("hq", role="master", mac="009033010203", standby_for=("lyon",))),
    ledger.PolicyChanged("hq", "{}"),
    ledger.Enrolled("hq", "key", 1),
    ledger.ShareChanged("hq", "seat", 2, 13, {"port": 2}),
    ledger.Restored("two", 7),
    ledger.RecoveryStarted(("hq",)),
    ledger.CloneSuspected("hq", "same_seq", "alert"),
    Converted((Entitlement(3, "PBX-Port13", 2, pool="port"),), {4: 2}, "smb-port", "port"),
    Transferred(3, Entitlement(9, "PBX-Port13", 1, place="lyon", pool="port")),
    PbxFailed("lyon", {"seat": 2}),
    PbxRecovered("lyon"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: AnyEvent) -> None:
    assert ledger.decode(ledger.encode(event)) == event


def test_the_chain_depends_on_every_part_of_a_row() -> None:
    rows = {
        ledger.link(previous, seq, term, at_ms, actor, body)
        for previous in (b"", b"x")
        for seq in (1, 2)
        for term in (1, 2)
        for at_ms in (1, 2)
        for actor in ("a", 'a"')
        for body in (b"{}", b"{ }")
    }
    assert len(rows) == 64
    assert {len(row) for row in rows} == {32}


def test_the_same_file_twice_changes_nothing_unless_it_is_meant() -> None:
    house = House()
    items = [Item("PBX-Port13", 5)]
    house.apply(inventory.install(house.state, CATALOGUE, items, document=Document("digest")))
    refused = inventory.install(house.state, CATALOGUE, items, document=Document("digest"))
    assert isinstance(refused, tuple)
    assert [refusal.code for refusal in refused] == [Code.ALREADY_INSTALLED]
    house.apply(inventory.install(house.state, CATALOGUE, items, document=Document("digest"), again=True))
    assert house.usable("port") == 10


def test_an_inventory_is_installed_as_a_whole_or_not_at_all_and_every_row_is_named() -> None:
    house = House()
    items = [Item("PBX-Port13", 5), Item("Prt13", 1), Item("PBX-Port13", 0), Item("PBX-Port13", 1, "mars")]
    items += [Item("PBX-IPVA13", 1, mac="zz")]
    refused = inventory.install(house.state, CATALOGUE, items)
    assert isinstance(refused, tuple)
    assert [refusal.code for refusal in refused] == [
        Code.INVALID_TYPE,
        Code.INVALID_REQUEST,
        Code.NOT_FOUND,
        Code.INVALID_REQUEST,
    ]


def test_more_than_is_installed_is_not_removed() -> None:
    house = House()
    house.install("5 PBX-Port13")
    assert house.remove("3 PBX-Port13", "3 PBX-Port13") == "not_found"
    assert house.remove("3 PBX-Port13", "2 PBX-Port13") is None
    assert house.state.entitlements == {}


def test_the_same_configuration_again_is_no_event() -> None:
    house = House()
    policies = {"hq": '{"away": "refuse"}'}
    first = administration.configure(house.state, house.settings, house.pbxs, policies)
    assert len(house.apply(first).events) == 1
    again = administration.configure(house.state, house.settings, house.pbxs, policies)
    assert house.apply(again).events == ()


@pytest.mark.parametrize("text", ["00:90:33:01:02:AB", "00-90-33-01-02-ab", "0090330102ab"])
def test_l_r14_spellings_of_a_mac(text: str) -> None:
    assert normal_mac(text) == "0090330102ab"
    assert printed_mac("0090330102ab") == "00-90-33-01-02-ab"


@pytest.mark.parametrize("text", ["", "00-90-33-01-02", "00-90-33-01-02-gg", "8041827010"])
def test_what_is_no_mac(text: str) -> None:
    assert normal_mac(text) is None


def test_a_state_is_a_value() -> None:
    assert State() == State()
