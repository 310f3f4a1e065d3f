"""SMB-Port becomes Port (3.4, L.r17, L.r18): all of it or nothing, and nobody notices who is registered."""

import pytest

from licensing import administration
from licensing.administration import Change
from licensing.codes import Code, Refusal
from licensing.files import conversion, delivery, inventory
from licensing.files.document import Document
from licensing.files.inventory import Item
from licensing.installation import Pbx
from licensing.terms import renting
from licensing.terms.term_events import Credited
from tests.licensing.house import CATALOGUE, House
from tests.licensing.office import Office

HQ = Pbx("hq", role="master", mac="009033010203")


def refusal(house: House) -> Refusal:
    found = conversion.convert(house.state, CATALOGUE, "smb-port")
    assert isinstance(found, Refusal), found
    return found


def types(house: House) -> list[tuple[str, int]]:
    return [(e.type, e.count) for e in sorted(house.state.entitlements.values(), key=lambda e: e.number)]


def test_l_b7_converted_they_are_ports_and_the_exclusions_end() -> None:
    house = House((HQ,))
    house.install("20 PBX-Port13$20", "20 PBX-Port13$$")
    assert house.usable("smb-port") == 20
    assert house.convert() is None
    assert (house.usable("port"), house.usable("smb-port")) == (20, 0)
    assert types(house) == [("PBX-Port13", 20)]
    assert house.install("5 PBX-Port13", "25 PBX-Standby13") is None
    assert house.usable("standby") == 25
    lyon = administration.configure(house.state, house.settings, (HQ, Pbx("lyon")), {})
    assert isinstance(lyon, Change), "a slave may be added"


def test_l_b5_after_the_conversion_smb_is_what_is_excluded() -> None:
    house = House((HQ,))
    house.install("20 PBX-Port13$20", "20 PBX-Port13$$")
    house.convert()
    assert house.install("5 PBX-Port13$20") == "smb_exclusion"


def test_l_r18_one_upgrade_too_few_and_nothing_changes() -> None:
    house = House((HQ,))
    house.install("20 PBX-Port13$20", "19 PBX-Port13$$")
    before = house.state
    assert house.convert() == "conversion_short"
    assert house.state == before
    found = refusal(house)
    assert "20 PBX-Port13$$ (or newer) are needed" in found.detail
    assert "19 are installed" in found.detail
    assert found.hint == "Install 1 more PBX-Port13$$."


def test_l_r18_upgrades_must_be_as_new_as_every_unit_and_the_lowest_that_will_do_go_first() -> None:
    house = House((HQ,))
    house.install("2 PBX-Port11$20", "3 PBX-Port12$20", "5 PBX-Port11$$", "4 PBX-Port13$$", "3 PBX-Port12$$")
    assert house.convert() is None
    assert types(house) == [
        ("PBX-Port11", 2),  # each of its own release
        ("PBX-Port12", 3),
        ("PBX-Port11$$", 5),  # too old for the units of release 12
        ("PBX-Port13$$", 2),  # the surplus stays
    ]


def test_l_r18_upgrades_alone_have_no_capacity_and_exclude_nothing() -> None:
    house = House((HQ, Pbx("lyon")))
    assert house.install("5 PBX-Port13$$") is None
    assert house.state.pools == {}
    assert house.install("5 PBX-Port13") is None
    assert house.convert() == "not_found"
    assert house.convert("port") == "invalid_type"


def test_l_r18_registrations_go_on_and_nothing_is_recalled() -> None:
    house = House((HQ,))
    house.install("3 PBX-Port13$20", "3 PBX-Port13$$")
    assert [house.register(f"u{n}", "hq") for n in range(3)] == [None] * 3
    assert house.convert() is None
    assert (house.used("port"), house.used("smb-port")) == (3, 0), "at once, and not at the next sync"
    house.sync("hq")
    grant = house.shares["hq"]["seat"]
    assert (grant.granted, grant.recall_to, grant.max_software) == (3, None, 13)
    assert house.register("u3", "hq") == "no_free_licence"
    assert house.install("1 PBX-Port13") is None
    assert house.register("u3", "hq") is None


def test_l_r18_what_is_surplus_stays_surplus() -> None:
    """Units in use beyond what is installed are still recalled after the conversion, and are not lost."""
    house = House((HQ,))
    house.install("3 PBX-Port13$20", "3 PBX-Port13$$")
    for n in range(3):
        house.register(f"u{n}", "hq")
    house.remove("1 PBX-Port13$20")
    assert house.convert() is None
    house.sync("hq")
    assert (house.shares["hq"]["seat"].granted, house.shares["hq"]["seat"].recall_to) == (3, 2)
    assert types(house) == [("PBX-Port13", 2), ("PBX-Port13$$", 1)]


def test_l_r18_a_virtual_pbx_keeps_its_ipva_units() -> None:
    house = House((Pbx("hq", role="master", platform="ipva"),))
    house.install("2 PBX-Port13$20", "2 PBX-IPVA13", "2 PBX-Port13$$")
    assert [house.register(f"u{n}", "hq") for n in range(2)] == [None] * 2
    house.convert()
    house.sync("hq")
    assert (house.used("port"), house.used("ipva")) == (2, 2)
    assert house.shares["hq"]["virtual_seat"].recall_to is None


@pytest.mark.parametrize("used", [3, 5])
def test_a_file_whose_upgrades_were_used_is_not_installed_a_second_time(used: int) -> None:
    house, office = House((HQ,)), Office()
    here = delivery.Here("", 0)
    upgrades = office.file("5 PBX-Port13$$")
    house.install(f"{used} PBX-Port13$20")
    house.apply(delivery.install(house.state, CATALOGUE, upgrades, here))
    assert house.convert() is None
    again = delivery.install(house.state, CATALOGUE, upgrades, here)
    assert isinstance(again, tuple)
    assert again[0].code is Code.ALREADY_INSTALLED


def test_a_statement_of_upgrades_that_were_used_comes_again_only_when_it_is_meant() -> None:
    house = House((HQ,))
    items, document = [Item("PBX-Port13$$", 2)], Document("digest")
    house.install("2 PBX-Port13$20")
    house.apply(inventory.install(house.state, CATALOGUE, items, document=document))
    house.convert()
    again = inventory.install(house.state, CATALOGUE, items, document=document)
    assert isinstance(again, tuple)
    assert again[0].code is Code.ALREADY_INSTALLED
    house.apply(inventory.install(house.state, CATALOGUE, items, document=document, again=True))


def test_converted_units_leave_with_the_file_that_brought_them() -> None:
    house, office = House((HQ,)), Office()
    here = delivery.Here("", 0)
    house.apply(delivery.install(house.state, CATALOGUE, office.file("4 PBX-Port13$20"), here))
    house.install("4 PBX-Port13$$")
    house.convert()
    (document,) = {each.document for each in house.state.entitlements.values()}
    newer = office.file("9 PBX-Port13", issue_no=2, supersedes=(document,))
    house.apply(delivery.install(house.state, CATALOGUE, newer, here))
    assert types(house) == [("PBX-Port13", 9)]


def test_rented_upgrades_convert_nothing_and_rented_units_stay_rented() -> None:
    house = House((HQ,))
    house.apply(crediting_of(house, 100))
    for type_ in ("PBX-Port13$20", "PBX-Port13$$"):
        rented = renting.start(house.state, CATALOGUE, Item(type_, 2), 1, 30, 0)
        assert isinstance(rented, list)
        house.apply(administration.change(house.state, rented))
    assert house.convert() == "conversion_short"
    house.install("2 PBX-Port13$$")
    assert house.convert() is None
    assert [(e.type, e.rental is not None) for e in house.state.entitlements.values()] == [
        ("PBX-Port13", True),
        ("PBX-Port13$$", True),
    ]


def crediting_of(house: House, units: int) -> Change:
    return administration.change(house.state, [Credited("isc", units, "bought", "anna", 0)])


def test_l_r31_a_phone_on_a_removed_smb_port_leaves_no_port_unused() -> None:
    house = House((HQ,))
    house.install("1 PBX-Port13$20")
    assert house.register("trunk", "hq", "trunk") is None
    house.remove("1 PBX-Port13$20")
    assert house.install("2 PBX-Port13") is None
    assert house.register("dora", "hq") is None, "one of the two serves the trunk"
    assert (house.used("port"), house.used("smb-port")) == (2, 0)
    assert house.register("carl", "hq") == "no_free_licence"
