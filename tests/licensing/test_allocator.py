"""What a sync decision says, one situation at a time."""

from dataclasses import replace

import pytest

from licensing import administration
from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.ledger import CloneSuspected, ShareChanged, evolve
from licensing.lender import allocator
from licensing.lender.allocator import Outcome
from licensing.wire import ClassDemand
from tests.licensing.house import CATALOGUE, request
from tests.licensing.peers import Master

PBXS = (Pbx("hq", role="master"), Pbx("ann", platform="ipva"), Pbx("bob"), Pbx("cid"))


def house(*rows: tuple[int, str], pbxs: tuple[Pbx, ...] = PBXS, settings: Settings | None = None) -> Master:
    master = Master.found(pbxs, settings or Settings())
    items = [Item(type_, count) for count, type_ in rows]
    assert master.commit(inventory.install(master.state, CATALOGUE, items)) is None
    for pbx in pbxs:
        master.commit(administration.enrol(master.state, pbx.name, "key"))
    return master


def say(
    master: Master, agent: str, used: int, want: int, idle: int = 0, class_: str = "seat", software: int = 13
) -> Outcome:
    """One sync of an agent, decided and kept."""
    demand = ClassDemand(used=used, want=want, idle=idle)
    sync = request(agent, {class_: demand}, software=software)
    outcome = allocator.sync(master.state, master.demands, sync, silent=master.silent)
    master.state, master.demands = outcome.state, outcome.claims.demands
    return outcome


def test_everything_that_is_wanted_is_lent_while_there_is_plenty() -> None:
    outcome = say(house((100, "PBX-Port13")), "hq", used=0, want=12, idle=2)
    grant = outcome.shares["seat"]
    assert (grant.granted, grant.recall_to, grant.state, grant.max_software) == (12, None, "open", 13)
    assert outcome.denials == {}


def test_a_flood_of_reports_that_change_no_share_is_no_event() -> None:
    master = house((100, "PBX-Port13"))
    say(master, "hq", used=0, want=12, idle=2)
    assert say(master, "hq", used=9, want=12, idle=2).events == ()


def test_in_a_short_pool_needs_are_met_and_preferences_are_not() -> None:
    master = house((5, "PBX-Port13"))
    say(master, "bob", used=2, want=2)
    outcome = say(master, "hq", used=0, want=4, idle=2)
    grant = outcome.shares["seat"]
    assert (grant.granted, grant.state) == (2, "short")
    assert outcome.denials == {}


def test_the_pool_stays_short_when_everyone_has_obeyed() -> None:
    master = house((5, "PBX-Port13"))
    for _ in range(3):
        assert say(master, "bob", used=2, want=2).shares["seat"].state in ("open", "short")
        assert say(master, "hq", used=2, want=2).shares["seat"].state == "short"
    assert say(master, "bob", used=2, want=2).shares["seat"].state == "short"


def test_a_need_recalls_what_others_hold_idle_and_tells_the_asker_to_wait() -> None:
    master = house((3, "PBX-Port13"))
    assert say(master, "hq", used=1, want=3, idle=2).shares["seat"].granted == 3
    asked = say(master, "bob", used=0, want=1)
    denial = asked.denials["seat"]
    assert (denial.code, denial.recalling, denial.asked, denial.granted) == ("no_free_licence", 1, 1, 0)
    assert (denial.capacity, denial.used, denial.reserved, denial.stranded) == (3, 1, 2, 0)
    assert asked.wake == {"hq"}
    told = say(master, "hq", used=1, want=3, idle=2).shares["seat"]
    assert (told.recall_to, told.state) == (2, "short")
    back = say(master, "hq", used=1, want=2, idle=1)
    assert back.wake == {"bob"}
    assert say(master, "bob", used=0, want=1).shares["seat"].granted == 1


def test_what_a_silent_site_holds_idle_is_stranded_and_nobody_waits_for_it() -> None:
    master = house((3, "PBX-Port13"))
    say(master, "hq", used=1, want=3, idle=2)
    master.silent = frozenset({"hq"})
    asked = say(master, "bob", used=0, want=1)
    denial = asked.denials["seat"]
    assert (denial.recalling, denial.stranded) == (0, 2)
    assert asked.wake == frozenset()
    change = administration.release_site(master.state, "hq", demands=master.demands)
    assert isinstance(change, administration.Change)
    assert change.wake == {"bob"}


def test_after_a_start_a_site_that_was_not_heard_yet_may_have_idle_units() -> None:
    """Who asks meanwhile waits, as for a recall; a site that stays away ends that."""
    master = house((3, "PBX-Port13"))
    say(master, "hq", used=3, want=3)
    master.demands = {}  # what each uses is not in the ledger
    asked = say(master, "bob", used=0, want=1).denials["seat"]
    assert (asked.code, asked.recalling) == ("no_free_licence", 1)
    master.silent = frozenset({"hq"})
    assert say(master, "bob", used=0, want=1).denials["seat"].recalling == 0
    master.silent = frozenset()
    outcome = say(master, "hq", used=2, want=2)
    assert "bob" in outcome.wake
    say(master, "hq", used=2, want=2)
    assert say(master, "bob", used=0, want=1).denials == {}


def test_a_revoked_agents_units_are_stranded_until_its_site_is_released() -> None:
    master = house((3, "PBX-Port13"))
    say(master, "hq", used=1, want=3, idle=2)
    master.commit(administration.revoke(master.state, "hq"))
    denial = say(master, "bob", used=0, want=1).denials["seat"]
    assert (denial.recalling, denial.stranded) == (0, 2)


def test_nothing_is_recalled_for_an_agent_whose_bundle_could_not_be_completed() -> None:
    master = house((3, "PBX-Port13"), (0 + 1, "PBX-IPVA12"))
    say(master, "hq", used=1, want=3, idle=2)
    asked = say(master, "ann", used=0, want=1, class_="virtual_seat")
    assert asked.denials["virtual_seat"].recalling == 0
    assert say(master, "hq", used=1, want=3, idle=2).shares["seat"].recall_to is None


def test_bye_gives_everything_back_and_wakes_who_waits() -> None:
    master = house((3, "PBX-Port13"))
    say(master, "hq", used=3, want=3)
    say(master, "bob", used=0, want=1)
    outcome = allocator.bye(master.state, master.demands, "hq")
    assert outcome.shares["seat"].granted == 0
    assert not outcome.state.holds_share("hq")
    assert outcome.wake == {"bob"}


def test_a_frozen_agent_keeps_what_it_has_and_gets_nothing_new() -> None:
    master = house((9, "PBX-Port13"))
    say(master, "hq", used=2, want=2)
    master.state = evolve(master.state, CloneSuspected("hq", "old_seq", "frozen"))
    outcome = say(master, "hq", used=2, want=4)
    assert (outcome.shares["seat"].granted, outcome.shares["seat"].state) == (2, "frozen")
    assert outcome.denials["seat"].code == "frozen"
    assert say(master, "hq", used=1, want=1).shares["seat"].granted == 1


def test_a_class_of_another_platform_is_not_lent_whatever_the_agent_says() -> None:
    outcome = say(house((9, "PBX-Port13")), "ann", used=0, want=1)
    assert outcome.shares["seat"].granted == 0
    assert outcome.denials["seat"].code == "not_licensed"
    assert "platform" in outcome.denials["seat"].hint


def test_a_class_that_this_master_does_not_know_is_denied_by_name() -> None:
    outcome = say(house((9, "PBX-Port13")), "hq", used=0, want=1, class_="hologram")
    assert outcome.denials["hologram"].code == "not_licensed"
    assert not outcome.state.holds_share("hq")
    assert outcome.demand == {}


@pytest.mark.parametrize("told", [(-5, 2, 0), (0, -3, 9), (9, 2, 5), (1, 1, 1)])
def test_numbers_that_cannot_be_change_nothing_for_others(told: tuple[int, int, int]) -> None:
    used, want, idle = told
    outcome = say(house((9, "PBX-Port13")), "hq", used=used, want=want, idle=idle)
    assert 0 <= outcome.shares["seat"].granted <= max(0, want)


def test_a_share_carries_the_release_that_its_units_serve() -> None:
    master = house((9, "PBX-Port13"))
    assert say(master, "hq", used=0, want=1, software=11).shares["seat"].max_software == 13
    lower = house((9, "PBX-Port13"), (9, "PBX-Port12"))
    assert say(lower, "hq", used=0, want=1, software=11).shares["seat"].max_software == 12


def test_units_given_back_are_the_newest_so_the_oldest_stay_old() -> None:
    master = house((15, "PBX-Port13"))
    say(master, "hq", used=5, want=5)
    say(master, "bob", used=5, want=5)
    say(master, "hq", used=10, want=10)
    say(master, "hq", used=5, want=5)
    master.commit(inventory.remove(master.state, CATALOGUE, [Item("PBX-Port13", 8)]))
    assert say(master, "hq", used=5, want=5).shares["seat"].recall_to is None
    assert say(master, "bob", used=5, want=5).shares["seat"].recall_to == 2


def test_preferences_leave_what_others_wait_for() -> None:
    master = house((2, "PBX-Port13"))
    say(master, "bob", used=2, want=6)
    master.commit(inventory.install(master.state, CATALOGUE, [Item("PBX-Port13", 18)]))
    assert say(master, "hq", used=1, want=18, idle=17).shares["seat"].granted == 14
    assert say(master, "bob", used=2, want=6).shares["seat"].granted == 6


def test_a_class_with_surplus_gets_nothing_new_from_its_other_pool() -> None:
    master = house((4, "PBX-Channels13"), (4, "Relay-Channels"))
    say(master, "hq", used=4, want=4, class_="conference_leg")
    master.commit(inventory.remove(master.state, CATALOGUE, [Item("PBX-Channels13", 1)]))
    outcome = say(master, "hq", used=4, want=5, class_="conference_leg")
    assert (outcome.shares["conference_leg"].granted, outcome.shares["conference_leg"].recall_to) == (4, 3)
    outcome = say(master, "hq", used=3, want=4, class_="conference_leg")
    assert outcome.shares["conference_leg"].granted == 4


def test_lenient_an_upgraded_site_is_served_again_once_all_of_its_share_fits() -> None:
    master = house((2, "PBX-Port11"), (2, "PBX-Port13"), settings=Settings(mixed_versions="lenient"))
    assert say(master, "hq", used=1, want=3, idle=2, software=11).shares["seat"].max_software == 11
    say(master, "bob", used=1, want=1, software=13)
    after = say(master, "hq", used=1, want=3, idle=2, software=13).shares["seat"]
    assert (after.granted, after.max_software, after.recall_to) == (3, 11, 1)
    again = say(master, "hq", used=1, want=1, software=13).shares["seat"]
    assert (again.granted, again.max_software, again.recall_to) == (1, 13, None)


def test_lenient_low_units_left_over_are_too_low_and_none_left_is_none_free() -> None:
    master = house((1, "PBX-Port11"), (1, "PBX-Port13"), settings=Settings(mixed_versions="lenient"))
    say(master, "hq", used=1, want=1, software=13)
    assert say(master, "bob", used=0, want=1).denials["seat"].code == "licence_version_too_low"
    say(master, "cid", used=1, want=1, software=11)
    assert say(master, "bob", used=0, want=1).denials["seat"].code == "no_free_licence"


def test_a_new_platform_of_a_pbx_moves_its_phones_to_the_other_class() -> None:
    master = house((9, "PBX-Port13"), (9, "PBX-IPVA13"))
    say(master, "bob", used=2, want=2)
    virtual = tuple(replace_platform(pbx) if pbx.name == "bob" else pbx for pbx in PBXS)
    master.commit(administration.configure(master.state, Settings(), virtual, {}))
    assert say(master, "bob", used=2, want=2).shares["seat"].recall_to == 0
    outcome = say(master, "bob", used=2, want=2, class_="virtual_seat")
    assert outcome.shares["virtual_seat"].granted == 2
    assert outcome.shares["seat"].granted == 0


def replace_platform(pbx: Pbx) -> Pbx:
    return Pbx(pbx.name, role=pbx.role, platform="ipva")


def test_the_event_of_a_share_says_which_pools_it_draws_from() -> None:
    outcome = say(house((9, "PBX-Port13"), (9, "PBX-IPVA13")), "ann", 0, 2, class_="virtual_seat")
    changed = [event for event in outcome.events if isinstance(event, ShareChanged)]
    assert changed == [ShareChanged("ann", "virtual_seat", 2, 13, {"port": 2, "ipva": 2})]
    share = outcome.state.share("ann", "virtual_seat")
    assert replace(share, layers=()).granted == 2
