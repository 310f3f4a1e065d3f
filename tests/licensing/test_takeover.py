"""A standby PBX takes the objects of a failed one over (3.2, L.r15, L.r16)."""

from typing import Literal

import pytest

from licensing import administration
from licensing.demand import kinds
from licensing.installation import Pbx
from licensing.lender import allocator, takeover
from licensing.wire import ClassDemand
from tests.licensing.house import House, request

HQ = Pbx("hq", role="master")
LYON = Pbx("lyon")


def failed(*rows: str, platform: Literal["gateway", "ipva"] = "gateway", virtual_lyon: bool = False) -> House:
    """lyon has u1 and u2 registered, and fails; spare stands by for it."""
    lyon = Pbx("lyon", platform="ipva" if virtual_lyon else "gateway")
    house = House((HQ, lyon, Pbx("spare", platform=platform, standby_for=("lyon",))))
    house.install(*rows)
    assert [house.register(name, "lyon") for name in ("u1", "u2")] == [None, None]
    assert house.fail("lyon") is None
    return house


def taken_over(house: House, *names: str) -> list[str | None]:
    return [house.register(name, "spare", "user@lyon") for name in names]


def test_l_s7_the_objects_of_the_failed_pbx_take_standby_and_its_ports_stay_reserved() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13")
    assert taken_over(house, "u1", "u2") == [None, None]
    assert (house.used("standby"), house.used("port")) == (2, 2)
    assert [house.register(f"v{n}", "hq") for n in (1, 2)] == [None, "no_free_licence"]


def test_l_s8_one_standby_too_few_and_nobody_is_taken_over() -> None:
    house = failed("3 PBX-Port13", "2 PBX-Standby13")
    assert taken_over(house, "u1") == ["standby_short"]
    assert "1 missing" in house.sync("spare", {"standby_seat": 1})["standby_seat"].hint


def test_l_r16_its_ports_stay_reserved_though_its_agent_lives_and_gives_them_back() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13")
    house.release("u1", "lyon")  # the PBX is dead, and the registrations at its agent end
    house.release("u2", "lyon")
    assert house.shares["lyon"]["seat"].granted == 0, "the agent has what it wants, and no more"
    assert house.used("port") == 2
    assert [house.register(f"v{n}", "hq") for n in (1, 2)] == [None, "no_free_licence"]
    assert [house.register(name, "lyon") for name in ("u1", "u2")] == [None, None], "and there they are"
    house.release("u1", "lyon")
    assert house.recover("lyon") is None
    house.sync("lyon")
    assert house.used("port") == 2
    assert house.register("v2", "hq") is None


def test_l_r16_a_bye_of_its_agent_gives_nothing_back_while_it_is_failed() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13")
    house.holding[("lyon", "seat")].clear()
    house.sync("lyon")
    assert house.used("port") == 2
    assert house.demands["lyon"]["seat"] == ClassDemand(used=2, want=2)


def test_l_r16_what_was_only_spare_is_not_reserved() -> None:
    house = House((HQ, LYON, Pbx("spare", standby_for=("lyon",))))
    house.install("5 PBX-Port13", "5 PBX-Standby13")
    told = {"seat": ClassDemand(used=1, want=4, idle=3)}
    outcome = allocator.sync(house.state, house.demands, request("lyon", told))
    house.events += outcome.events
    house.state, house.demands["lyon"] = outcome.state, dict(outcome.demand)
    assert house.fail("lyon") is None
    assert house.state.failed == {"lyon": {"seat": 1}}
    house.sync("lyon")
    assert house.used("port") == 1


def test_l_r16_a_virtual_standby_pbx_takes_an_ipva_with_each_standby_or_neither() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13", "1 PBX-IPVA13", platform="ipva")
    assert taken_over(house, "u1", "u2") == [None, "ipva_missing"]
    assert (house.used("standby"), house.used("ipva"), house.used("port")) == (1, 1, 2)


def test_l_r16_the_ipva_units_of_the_failed_pbx_stay_reserved_too() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13", "3 PBX-IPVA13", platform="ipva", virtual_lyon=True)
    house.release("u1", "lyon")
    assert taken_over(house, "u1", "u2") == [None, "ipva_missing"]
    assert (house.used("ipva"), house.used("port"), house.used("standby")) == (3, 2, 1)


def test_l_r16_the_unit_goes_back_when_the_object_leaves_the_standby_pbx() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13")
    taken_over(house, "u1", "u2")
    assert house.recover("lyon") is None
    house.sync("spare")
    assert (house.used("standby"), house.shares["spare"]["standby_seat"].recall_to) == (2, None)
    house.release("u1", "spare")
    assert house.used("standby") == 1


def test_l_r16_in_local_mode_there_is_no_standby() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13")
    house.install("1 PBX-Port13", place="spare")
    assert taken_over(house, "u1") == ["local_mode"]


def test_l_r10_before_it_fails_and_after_an_object_at_two_pbxs_draws_at_each() -> None:
    house = House((HQ, LYON, Pbx("spare", standby_for=("lyon",))))
    house.install("9 PBX-Port13", "9 PBX-Standby13")
    house.register("u1", "lyon")
    assert taken_over(house, "u1") == [None]
    assert (house.used("port"), house.used("standby")) == (2, 0)
    house.fail("lyon")
    house.recover("lyon")
    assert taken_over(house, "u2") == [None]
    assert (house.used("port"), house.used("standby")) == (3, 0)


def test_l_r16_own_objects_of_the_standby_pbx_and_groups_draw_as_ever() -> None:
    pbx = Pbx("spare", standby_for=("lyon", "nice"))
    by_kind = kinds(pbx, {"lyon"})
    assert (by_kind["user"], by_kind["user@lyon"], by_kind["user@nice"]) == ("seat", "standby_seat", "seat")
    assert (by_kind["group@lyon"], by_kind["*@lyon"]) == (None, "standby_seat")


@pytest.mark.parametrize("name", ["mars", "hq"])
def test_only_a_pbx_that_somebody_stands_by_for_fails(name: str) -> None:
    house = House((HQ, LYON, Pbx("spare", standby_for=("lyon",))))
    assert house.fail(name) == "not_found"
    assert house.recover("lyon") == "not_found"


def test_failing_twice_is_one_event_and_keeps_what_was_reserved_first() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13")
    house.release("u1", "lyon")
    before = house.state
    assert house.fail("lyon") is None
    assert house.state == before


def test_a_released_site_has_nothing_reserved() -> None:
    house = failed("3 PBX-Port13", "3 PBX-Standby13")
    house.demands.pop("lyon")
    house.apply(administration.release_site(house.state, "lyon", demands=house.demands))
    assert (house.used("port"), house.state.failed) == (0, {"lyon": {}})
    gone = administration.configure(house.state, house.settings, (HQ, Pbx("spare")), {})
    assert house.apply(gone).state.failed == {}


def test_standby_is_lent_in_advance_in_equal_parts_to_those_who_stand_by() -> None:
    spares = [Pbx(name, standby_for=("lyon",)) for name in ("nice", "metz")]
    house = House((HQ, LYON, *spares))
    assert takeover.ahead(house.state, spares[0]) == {}
    house.install("5 PBX-Port13", "5 PBX-Standby13")
    assert [takeover.ahead(house.state, pbx) for pbx in spares] == [{"standby_seat": 3}] * 2
    assert takeover.ahead(house.state, LYON) == {}
    house.install("1 PBX-Port13", place="metz")
    assert [takeover.ahead(house.state, pbx) for pbx in spares] == [{"standby_seat": 5}, {}]
    house.install("1 PBX-Port13")
    assert takeover.ahead(house.state, spares[0]) == {}, "the feature is off"


def test_what_is_lent_in_advance_comes_back_for_whoever_needs_it() -> None:
    house = House((HQ, LYON, *(Pbx(name, standby_for=("lyon",)) for name in ("nice", "metz"))))
    house.install("2 PBX-Port13", "2 PBX-Standby13")
    told = {"standby_seat": ClassDemand(used=0, want=2, idle=2)}
    outcome = allocator.sync(house.state, house.demands, request("nice", told))
    house.events += outcome.events
    house.state, house.demands["nice"] = outcome.state, dict(outcome.demand)
    assert house.used("standby") == 2
    house.fail("lyon")
    house.holding["metz", "standby_seat"] = []
    denied = house.sync("metz", {"standby_seat": 1})
    assert denied["standby_seat"].recalling == 1


def test_what_is_in_the_way_of_a_takeover_is_said_when_it_begins() -> None:
    house = House((HQ, LYON, *(Pbx(name, standby_for=("lyon",)) for name in ("nice", "metz"))))
    house.install("2 PBX-Port13", "1 PBX-Standby13")
    house.install("1 PBX-Port13", place="metz")
    said = [house.apply(takeover.fail(house.state, "lyon", demands=house.demands)).warnings for _ in range(2)]
    assert [(w.code, w.type) for w in said[0]] == [("standby_short", "lyon"), ("local_mode", "metz")]
    assert said[1] == said[0]
    house.install("1 PBX-Standby13")
    (warning,) = house.apply(takeover.fail(house.state, "lyon", demands=house.demands)).warnings
    assert warning.code == "local_mode"
