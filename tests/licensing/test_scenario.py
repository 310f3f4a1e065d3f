"""What a scenario and what-if add to the rules: days, PBXs by MAC, who is named, what is left unchanged."""

from dataclasses import replace

from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.scenario.answer import Answer, Named, Surplus
from licensing.scenario.house import House
from licensing.scenario.play import play, tried
from licensing.scenario.scenario import (
    Assign,
    Day,
    Install,
    Member,
    Move,
    ObjectName,
    PbxName,
    Register,
    Release,
    Remove,
    Scenario,
    SetTime,
    Step,
    Units,
    Upgrade,
)
from licensing.scenario.what_if import AssignedThen, RowInTheWay, what_if
from tests.licensing.house import CATALOGUE

HQ, LYON = Pbx("hq", role="master", mac="009033010203"), Pbx("lyon", mac="0090330a0b0c")
U1, U2, U3 = (Member(ObjectName(f"u{n}"), "user", PbxName("hq")) for n in (1, 2, 3))


def answer(*steps: Step, software: int = 13) -> Answer:
    return play(scenario(*steps, software=software), CATALOGUE)


def scenario(*steps: Step, software: int = 13) -> Scenario:
    return Scenario(Settings(software), (HQ, LYON), members=(U1, U2, U3), steps=steps)


def codes(found: Answer) -> list[str | None]:
    return [each.code for each in found.steps]


def test_rented_licences_count_up_to_their_last_day_and_nobody_is_cut() -> None:
    found = answer(
        Install("PBX-Port13", until=Day(100)),
        Register(U1.name),
        SetTime(Day(100)),
        Register(U1.name, "dect"),
        SetTime(Day(101)),
        Register(U2.name),
        SetTime(Day(100)),
    )
    assert codes(found) == [None] * 5 + ["no_free_licence", "invalid_request"]
    assert found.surplus == (Surplus("u1", "hq"),)
    assert (found.pools["port"].installed, found.pools["port"].surplus) == (0, 1)


def test_hardware_is_not_rented() -> None:
    assert codes(answer(Install("Relay-PRIs", until=Day(100)))) == ["hardware_bound"]


def test_licences_move_to_a_pbx_by_its_mac() -> None:
    found = answer(Install("PBX-Port13", 3), Move("PBX-Port13", "00-90-33-0A-0B-0C", 2))
    assert {name: pool.installed for name, pool in found.pools.items()} == {"port": 1, "port@lyon": 2}
    assert codes(answer(Install("PBX-Port13"), Move("PBX-Port13", "00-90-33-0A-0B-0D"))) == [
        None,
        "not_found",
    ]


def test_the_newest_lose_first_and_are_named() -> None:
    found = answer(
        Install("PBX-UC13", 2),
        Assign(U1.name, "uc"),
        Assign(U2.name, "uc"),
        Install("PBX-Port13", 3),
        *(Register(member.name) for member in (U1, U2, U3)),
        Remove("PBX-UC13"),
        Remove("PBX-Port13", 2),
    )
    assert found.steps[7].lost == (Named("u2", "hq", "uc"),)
    assert found.steps[7].gave == {"uc": 1}
    assert found.surplus == (Surplus("u3", "hq"), Surplus("u2", "hq"))


def test_what_an_installation_begins_with_may_be_refused_and_the_rest_goes_on() -> None:
    begins = (Units(Item("PBX-Standby13", 1, "lyon")), Units(Item("PBX-Port13", 1)))
    found = play(replace(scenario(Register(U1.name)), licences=begins), CATALOGUE)
    assert [(each.licence, each.code) for each in found.refused] == [(1, "master_only")]
    assert codes(found) == [None]


def test_l_v13_an_upgrade_is_told_before_it_is_made() -> None:
    house = House.of(scenario(software=11), CATALOGUE)
    for type_ in ("PBX-Port11", "PBX-Port13", "PBX-UC11"):
        assert house.install(Units(Item(type_, 100))) is None
    house.register(U1.name, "phone", "hq")
    before = house.state
    asked = {each.pool: each for each in what_if(before, 13).pools}
    assert [(asked["port"].now, asked["port"].then, asked["port"].cleaned)] == [(200, 0, 100)]
    assert asked["port"].in_the_way == (RowInTheWay("PBX-Port11", 100, ""),)
    assert asked["uc"].in_the_way == ()  # without these there would be none
    assert house.state is before
    (same,) = [each for each in what_if(before, 11).pools if each.pool == "port"]
    assert (same.then, same.surplus) == (200, 0)


def test_what_if_names_who_would_lose_what_is_assigned() -> None:
    house = House.of(scenario(Install("PBX-UC12"), Assign(U1.name, "uc"), software=12), CATALOGUE)
    for step in (Install("PBX-UC12"), Assign(U1.name, "uc")):
        assert tried(house, step) is None
    assert what_if(house.state, 13).lost == (AssignedThen("u1", "hq", "uc"),)
    assert what_if(house.state, 13, "lyon").lost == ()


def test_what_if_of_one_pbx_counts_for_its_software() -> None:
    found = answer(Install("PBX-Port12", 2), Upgrade(Release(13), PbxName("lyon")), software=12)
    assert found.pools["port"].usable == 2  # for the software of the master, where they lie
    house = House.of(scenario(software=12), CATALOGUE)
    assert house.install(Units(Item("PBX-Port12", 2))) is None
    assert [(each.now, each.then) for each in what_if(house.state, 13, "lyon").pools] == [(2, 0)]
