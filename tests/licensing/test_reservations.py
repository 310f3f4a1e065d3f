"""L.r35: units of the master's pools that are kept for a PBX. Cases L.Q1 to L.Q8 of docs/licence-rules.md."""

import msgspec

from licensing import administration
from licensing.administration import Change
from licensing.demand import PoolKey
from licensing.installation import Pbx, Settings
from licensing.lender import allocator
from licensing.wire import ClassDemand
from tests.licensing.house import House, request

PORT = PoolKey("", "port")


def house(*rows: str, hq: int = 0, lyon: int = 0, ipva: int = 0, settings: Settings | None = None) -> House:
    """A master and two sites, with so many Ports kept for them and IPVA units for the virtual one."""
    pbxs = (
        Pbx("hq", role="master", reserve=(("port", hq),) if hq else ()),
        Pbx("lyon", reserve=(("port", lyon),) if lyon else ()),
        Pbx("nice", platform="ipva", reserve=(("ipva", ipva),) if ipva else ()),
    )
    made = House(pbxs, settings or Settings())
    assert made.install(*rows) is None
    return made


def ask(made: House, pbx: str, need: int, idle: int = 0, class_: str = "seat") -> allocator.Outcome:
    """A sync that says what is needed and what is only preferred; committed."""
    demand = {class_: ClassDemand(used=min(need, _granted(made, pbx, class_)), want=need + idle, idle=idle)}
    outcome = allocator.sync(made.state, made.demands, request(pbx, demand))
    made.events += outcome.events
    made.state = outcome.state
    made.demands[pbx] = dict(outcome.demand)
    return outcome


def _granted(made: House, pbx: str, class_: str) -> int:
    return made.state.share(pbx, class_).granted


def test_l_q1_units_kept_for_a_site_are_lent_to_nobody_else() -> None:
    made = house("5 PBX-Port13", lyon=2)
    assert [made.register(f"u{n}", "hq") for n in range(5)] == [None, None, None, "reserved", "reserved"]
    assert [made.register(f"v{n}", "lyon") for n in range(3)] == [None, None, "no_free_licence"]


def test_l_q2_the_refusal_names_the_reservation() -> None:
    made = house("5 PBX-Port13", lyon=2)
    denial = ask(made, "hq", 4).denials["seat"]
    assert (denial.code, denial.granted) == ("reserved", 3)
    assert denial.hint.startswith("Reserved and not in use: 2 for lyon. Lower the reserve of that PBX")
    ask(made, "lyon", 1, idle=1)
    assert "1 for lyon" in ask(made, "hq", 4).denials["seat"].hint, "an idle unit of its share is kept too"
    ask(made, "lyon", 2)
    assert ask(made, "hq", 4).denials["seat"].code == "no_free_licence", "all of it is in use"


def test_l_q3_idle_units_within_a_reservation_are_not_recalled_for_others() -> None:
    made = house("5 PBX-Port13", lyon=2)
    ask(made, "lyon", 0, idle=4)
    outcome = ask(made, "hq", 4)
    assert "lyon" in outcome.wake
    assert ask(made, "lyon", 0, idle=4).shares["seat"].recall_to == 2, "two of the four are its own"


def test_l_q4_what_the_site_needs_comes_back_from_others_idle_units_only() -> None:
    made = house("5 PBX-Port13")
    ask(made, "hq", 5)
    ask(made, "hq", 4, idle=1)
    reserve(made, "lyon", 3)
    assert ask(made, "hq", 4, idle=1).shares["seat"].recall_to is None, "nobody waits"
    outcome = ask(made, "lyon", 2)
    assert outcome.denials["seat"].recalling == 1
    assert ask(made, "hq", 4, idle=1).shares["seat"].recall_to == 4, "who is registered stays"


def test_l_q5_nothing_new_goes_to_others_until_the_reservation_is_met() -> None:
    made = house("5 PBX-Port13")
    ask(made, "hq", 4)
    reserve(made, "lyon", 3)
    assert ask(made, "hq", 5).denials["seat"].code == "reserved"
    ask(made, "hq", 3)
    assert ask(made, "hq", 4).shares["seat"].granted == 3
    assert ask(made, "lyon", 2).shares["seat"].granted == 2


def test_l_q6_a_pool_that_shrinks_keeps_for_the_first_of_the_configuration() -> None:
    made = house("6 PBX-Port13", hq=3, lyon=3)
    assert dict(made.state.reserved(PORT)) == {"hq": 3, "lyon": 3}
    ask(made, "lyon", 3)
    assert made.remove("2 PBX-Port13") is None
    assert dict(made.state.reserved(PORT)) == {"hq": 3, "lyon": 1}
    assert ask(made, "lyon", 3).shares["seat"].granted == 3, "L.r31: nobody loses a registration"
    assert ask(made, "hq", 3).shares["seat"].granted == 1
    ask(made, "lyon", 1)
    assert ask(made, "hq", 3).shares["seat"].granted == 3


def test_l_q7_a_reservation_of_ipva_units_and_one_in_local_mode() -> None:
    made = house("5 PBX-Port13", "2 PBX-IPVA13", ipva=2)
    assert ask(made, "nice", 2, class_="virtual_seat").shares["virtual_seat"].granted == 2
    local = house("5 PBX-Port13", lyon=2)
    assert local.install("1 PBX-Port13", place="lyon") is None
    assert dict(local.state.reserved(PORT)) == {}, "it uses its own units only (L.r23)"
    assert ask(local, "hq", 5).shares["seat"].granted == 5


def test_l_q8_units_too_old_for_the_site_are_not_kept_for_it() -> None:
    made = house("5 PBX-Port12", lyon=2, settings=Settings(software=13))
    assert dict(made.state.reserved(PORT)) == {}


def test_a_lower_reservation_wakes_who_waits() -> None:
    made = house("5 PBX-Port13", lyon=2)
    ask(made, "hq", 5)
    assert "hq" in reserve(made, "lyon", 0).wake


def reserve(made: House, pbx: str, units: int) -> Change:
    state = made.state
    pbxs = [
        msgspec.structs.replace(each, reserve=(("port", units),)) if each.name == pbx else each
        for each in state.pbxs.values()
    ]
    done = administration.configure(state, state.settings, pbxs, {})
    assert isinstance(done, Change)
    change = administration.change(state, done.events, made.demands)
    return made.apply(change)
