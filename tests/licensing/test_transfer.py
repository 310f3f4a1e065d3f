"""Licences move to another place, or are bound to their box (1.4; L.r21, L.r23, L.r31)."""

import pytest

from licensing.codes import Code, Refusal
from licensing.files import delivery, inventory, transfer
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.terms import agreeing, renting
from licensing.terms.agreeing import Wanted
from tests.licensing.house import CATALOGUE, House
from tests.licensing.office import Office

HQ = Pbx("hq", role="master", mac="009033010203")
LYON = Pbx("lyon", mac="0090330a0b0c")


def refusal(house: House, item: Item, to: str | None) -> Refusal:
    found = transfer.transfer(house.state, CATALOGUE, item, to)
    assert isinstance(found, Refusal), found
    return found


def test_l_t9_a_part_of_the_units_moves_and_the_other_pbx_is_in_local_mode() -> None:
    house = House((HQ, LYON))
    house.install("10 PBX-Port13")
    house.install("1 Relay-PRIs", mac="00-90-33-01-02-03")
    assert house.transfer("4 PBX-Port13", "lyon") is None
    assert (house.usable("port"), house.usable("port@lyon")) == (6, 4)
    assert house.state.local == {"lyon"}
    assert [house.register(f"u{n}", "lyon") for n in range(5)] == [None] * 4 + ["local_mode"]
    assert house.transfer("1 Relay-PRIs", "lyon") == "hardware_bound"
    assert house.transfer("4 PBX-Port13", None, place="lyon") is None
    assert (house.usable("port"), house.state.local) == (10, frozenset())


def test_l_h5_each_way_to_part_hardware_from_its_box_is_refused_in_its_own_words() -> None:
    house = House((HQ, LYON))
    house.install("1 Relay-PRIs", mac="00-90-33-01-02-03")
    item, bound_to_lyon = Item("Relay-PRIs", 1), Item("Relay-PRIs", 1, mac="00-90-33-0a-0b-0c")
    tried = {
        "transferred": transfer.transfer(house.state, CATALOGUE, item, "lyon"),
        "deleted": inventory.remove(house.state, CATALOGUE, [item]),
        "rented": renting.start(house.state, CATALOGUE, item, 1, 30, 0),
        "not to hq": inventory.install(house.state, CATALOGUE, [bound_to_lyon]),
        "under SSA": agreeing.agree(house.state, CATALOGUE, Wanted("Relay-PRIs", 3, 1), 0, "anna"),
    }
    for word, found in tried.items():
        refused = found[0] if isinstance(found, tuple) else found
        assert isinstance(refused, Refusal), word
        assert refused.code is Code.HARDWARE_BOUND
        assert [each for each in tried if each in refused.detail] == [word]


def test_l_h5_hardware_that_is_assigned_to_no_box_is_put_into_one() -> None:
    house = House((HQ, LYON))
    house.install("2 Relay-PRIs", place="-")
    assert house.transfer("1 Relay-PRIs", "lyon", place="-") is None
    assert house.usable("relay-pri@lyon") == 1
    assert [e.mac for e in house.state.entitlements.values()] == ["", LYON.mac]
    assert house.transfer("1 Relay-PRIs", "-", place="lyon") == "hardware_bound"


def test_l_c7_not_into_the_cloud_either() -> None:
    house = House((HQ, Pbx("cloud", platform="ipva", cloud=True)))
    house.install("2 Relay-Channels", place="-")
    assert house.transfer("2 Relay-Channels", "cloud", place="-") == "hardware_bound"


def test_nobody_is_cut_when_the_units_under_a_phone_move_away() -> None:
    house = House((HQ, LYON))
    house.install("3 PBX-Port13")
    assert [house.register(f"u{n}", "hq") for n in range(3)] == [None] * 3
    assert house.transfer("2 PBX-Port13", "lyon") is None
    house.sync("hq")
    assert (house.shares["hq"]["seat"].granted, house.shares["hq"]["seat"].recall_to) == (3, 1)
    assert house.register("v1", "lyon") is None
    house.release("u0", "hq")
    house.release("u1", "hq")
    assert (house.used("port"), house.used("port@lyon")) == (1, 1)


def test_the_phones_of_a_pbx_that_gets_its_own_units_move_to_them() -> None:
    house = House((HQ, LYON))
    house.install("5 PBX-Port13")
    assert [house.register(f"u{n}", "lyon") for n in range(3)] == [None] * 3
    assert house.transfer("2 PBX-Port13", "lyon") is None
    house.sync("lyon")
    assert (house.used("port@lyon"), house.used("port")) == (2, 1)
    assert house.shares["lyon"]["seat"].recall_to == 2


@pytest.mark.parametrize(
    ("row", "place", "to", "code"),
    [
        pytest.param("5 PBX-Port13", None, "lyon", "not_found", id="more than there are"),
        pytest.param("1 PBX-Port13", None, "mars", "not_found", id="no such place"),
        pytest.param("1 PBX-Port13", "lyon", None, "not_found", id="none there"),
        pytest.param("1 PBX-Port13", None, "hq", "invalid_request", id="where they are"),
        pytest.param("1 Prt13", None, "lyon", "invalid_type", id="no type"),
        pytest.param("1 PBX-Standby13", None, "lyon", "master_only", id="Standby"),
    ],
)
def test_what_is_refused_changes_nothing(row: str, place: str | None, to: str, code: str) -> None:
    house = House((HQ, LYON))
    house.install("4 PBX-Port13", "4 PBX-Standby13")
    before = house.state
    assert house.transfer(row, to, place=place) == code
    assert house.state == before


def test_ipva_units_that_name_a_box_stay_there_unless_they_follow_the_consumer() -> None:
    virtual = Pbx("lyon", platform="ipva", mac="0090330a0b0c")
    for binding, code in (("holder", "mac_mismatch"), ("consumer", None)):
        house = House((HQ, virtual), Settings(ipva_binding=binding))  # type: ignore[arg-type] # one of two
        assert house.install("2 PBX-IPVA13", mac="0090330a0b0c" if code is None else HQ.mac) is None
        assert house.transfer("1 PBX-IPVA13", "lyon") == code


def test_a_file_bound_to_boxes_does_not_leave_them() -> None:
    house, office = House((HQ, LYON)), Office()
    file = office.file("3 PBX-Port13", macs=("00-90-33-01-02-03",))
    house.apply(delivery.install(house.state, CATALOGUE, file, delivery.Here("", 0)))
    found = refusal(house, Item("PBX-Port13", 1), "lyon")
    assert found.code is Code.MAC_MISMATCH
    assert "00-90-33-01-02-03" in found.detail
    assert house.transfer("1 PBX-Port13", "-") is None, "to no PBX they may"
    assert house.transfer("1 PBX-Port13", "lyon", place="-") == "mac_mismatch"


def test_units_of_several_files_move_together_and_keep_what_they_are() -> None:
    house = House((HQ, LYON))
    house.apply(inventory.install(house.state, CATALOGUE, [Item("PBX-Port13", 2, project="north")]))
    house.apply(inventory.install(house.state, CATALOGUE, [Item("PBX-Port13", 3, project="south")]))
    assert house.transfer("4 PBX-Port13", "lyon") is None
    rows = sorted((e.place, e.project, e.count) for e in house.state.entitlements.values())
    assert rows == [("", "north", 1), ("lyon", "north", 1), ("lyon", "south", 3)]


def test_what_is_assigned_to_no_pbx_counts_once_it_is_transferred() -> None:
    house = House((HQ,))
    house.install("5 PBX-Port13", place="-")
    house.install("3 PBX-Port13$20")
    assert house.transfer("5 PBX-Port13", None, place="-") == "smb_exclusion"
    house.remove("3 PBX-Port13$20")
    assert house.usable("port") == 0
    assert house.transfer("5 PBX-Port13", None, place="-") is None
    assert house.usable("port") == 5
    assert house.transfer("2 PBX-Port13", "-") is None
    assert house.usable("port") == 3
