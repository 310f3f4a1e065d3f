"""The cases on SSA, credits, rent and warranty, each under its id (docs/licence-rules.md).

L.T and L.U15 are those of the licence model, B.H1 to B.H6 those of service credits.
"""

import re
from pathlib import Path

import pytest

from licensing.codes import Code, Refusal
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.terms import agreeing, crediting, ending, registering, renting, upgrading
from licensing.terms.agreeing import Wanted
from licensing.terms.credit import Unit
from licensing.terms.day import shown
from licensing.terms.release import Release
from licensing.terms.term_events import Reminded
from tests.licensing.agreements import Agreements, on
from tests.licensing.house import CATALOGUE

HQ = Pbx("hq", role="master", mac="009033010203")
LYON = Pbx("lyon")
V14_EARLY = Release(14, on("2027-03-08"), ("PBX-App(innovaphone-news)14",))
V14_LATE = Release(14, on("2027-03-10"))


def house(today: str = "2026-03-10", *pbxs: Pbx) -> Agreements:
    return Agreements(pbxs or (HQ,), Settings(), today=today)


def bought(at: Agreements, unit: Unit, amount: int) -> None:
    assert at.order(crediting.credit(at.state, unit, amount, "order 4711", at.day, "anna")) is None


def agreed(at: Agreements, wanted: Wanted) -> Refusal | None:
    return at.order(agreeing.agree(at.state, CATALOGUE, wanted, at.day, "anna"))


def until(at: Agreements, lot: int = 1) -> str:
    ssa = at.lot(lot).ssa
    assert ssa is not None
    return shown(ssa.until_day)


# ---- SSA
def test_l_t1_b_h2_an_ssa_begins_with_the_first_assignment_and_keeps_that_day() -> None:
    at = house("2026-01-01", HQ, LYON)
    at.stock("PBX-Port13", 10, "-")
    assert at.state.book.lots == {}  # bought, and at no device yet
    at.until("2026-03-09")
    at.today = "2026-03-10"
    at.move("PBX-Port13", 10, "-", "lyon")
    assert shown(at.lot().since_day) == "2026-03-10"
    assert agreed(at, Wanted("PBX-Port13", years=1, ssc=0)) is None
    assert until(at) == "2027-03-09"
    at.today = "2026-07-01"
    at.move("PBX-Port13", 4, "lyon", None)  # B.H2: moved later
    assert [(shown(lot.since_day), lot.count) for lot in at.state.book.lots.values()] == [("2026-03-10", 10)]
    assert until(at) == "2027-03-09"


@pytest.mark.parametrize(("release", "included"), [(V14_EARLY, True), (V14_LATE, False)])
def test_l_t3_an_upgrade_is_included_when_it_was_published_in_the_term(
    release: Release, included: bool
) -> None:
    at = house()
    at.stock("PBX-Port13", 5)
    assert agreed(at, Wanted("1", years=1, ssc=0)) is None
    assert until(at) == "2027-03-09"
    at.today = "2027-03-10"
    right = upgrading.rights(at.state, release)[0]
    assert (right.included, right.count) == (included, 5)
    assert shown(release.day) in right.why
    refused = at.order(upgrading.upgrade(at.state, CATALOGUE, Item("PBX-Port13", 5), release, at.day))
    assert refused is None if included else refused is not None and refused.code is Code.NOT_INCLUDED
    assert {e.type for e in at.state.entitlements.values()} == {f"PBX-Port{14 if included else 13}"}
    assert [lot.since_day for lot in at.state.book.lots.values()] == [on("2026-03-10")]


def test_l_t4_a_new_feature_with_a_licence_of_its_own_is_not_included() -> None:
    at = house()
    at.stock("PBX-Port13", 5)
    assert agreed(at, Wanted("1", years=1, ssc=0)) is None
    rights = {right.type: right for right in upgrading.rights(at.state, V14_EARLY)}
    new = rights["PBX-App(innovaphone-news)14"]
    assert (rights["PBX-Port13"].included, new.included) == (True, False)
    assert "licence of its own" in new.why


def test_l_t5_b_h5_hardware_is_neither_put_under_ssa_nor_rented() -> None:
    at = house()
    at.stock("Relay-PRIs", 2)
    bought(at, "ssc", 100)
    bought(at, "isc", 100)
    ssa = agreed(at, Wanted("Relay-PRIs", years=1, ssc=0))
    rent = at.order(renting.start(at.state, CATALOGUE, Item("Relay-PRIs", 1), 1, 30, at.day))
    assert ssa is not None
    assert rent is not None
    assert (ssa.code, rent.code) == (Code.HARDWARE_BOUND, Code.HARDWARE_BOUND)
    assert "SSA" in ssa.detail
    assert "rented" in rent.detail
    assert at.state.book.lots == {}


def test_l_u15_updating_operator_under_ssa_offers_switchboard_and_gives_none() -> None:
    at = house("2022-05-01")
    at.stock("PBX-Operator12", 2)
    v13 = Release(13, on("2022-06-01"))
    assert agreed(at, Wanted("PBX-Operator12", years=1, ssc=0)) is None
    at.today = "2022-06-01"
    assert at.order(upgrading.upgrade(at.state, CATALOGUE, Item("PBX-Operator12", 2), v13, at.day)) is None
    assert at.usable("operator") == 2
    (offer,) = at.state.book.offers.values()
    assert (offer.type, offer.count) == ("PBX-App(innovaphone-switchboard)13", 6)
    assert at.usable("app-switchboard") == 0  # none before confirmation
    assert at.order(upgrading.confirm(at.state, CATALOGUE, offer.number)) is None
    assert at.usable("app-switchboard") == 6
    again = at.order(upgrading.confirm(at.state, CATALOGUE, offer.number))
    assert again is not None
    assert (again.code, at.usable("app-switchboard")) == (Code.NOT_FOUND, 6)


# ---- warranty
def test_l_t6_the_warranty_ends_with_the_last_day_of_the_month_and_is_extended_once() -> None:
    at = house("2020-03-01")
    mac, day_ = "00-90-33-01-02-03", on("2020-02-29")
    assert at.order(registering.register(at.state, mac, "IP3011", "S1", day_, at.day)) is None
    device = at.state.book.devices["009033010203"]
    assert shown(device.warranty_day) == "2021-02-28"
    assert at.order(registering.extend(at.state, mac)) is None
    assert shown(at.state.book.devices["009033010203"].warranty_day) == "2025-02-28"
    second = at.order(registering.extend(at.state, mac))
    assert second is not None
    assert second.code is Code.ALREADY_AGREED
    assert shown(at.state.book.devices["009033010203"].warranty_day) == "2025-02-28"


# ---- rent
def test_l_t7_when_the_balance_reaches_0_rented_units_stop_and_nobody_is_cut() -> None:
    at = house("2026-01-01")
    at.stock("PBX-Port13", 5)
    bought(at, "isc", 500)
    assert at.order(renting.start(at.state, CATALOGUE, Item("PBX-Port13", 5), 1, 1, at.day)) is None
    assert at.usable("port") == 10
    assert [at.register(f"u{n}", "hq") for n in range(10)] == [None] * 10
    # 5 a day: the 100th day takes the last, 2026-04-10
    assert at.until("2026-04-10") == [
        "90 rental",
        "60 rental",
        "49 rental",
        "30 rental",
        "7 rental",
        "1 rental",
    ]
    alarms = [e.alarm(on("2026-02-20")) for e in ending.endings(at.state, at.day)]
    assert alarms == [True]  # from 7 weeks before
    assert not ending.endings(at.state, at.day)[0].alarm(on("2026-02-19"))
    assert (at.usable("port"), at.state.book.isc) == (10, 5)
    assert at.until("2026-04-11") == ["-1 rental"]
    assert (at.usable("port"), at.state.book.isc) == (5, 0)
    assert len(at.holding["hq", "seat"]) == 10  # no registration was cut
    at.sync("hq")
    assert at.shares["hq"]["seat"].recall_to == 5  # five are surplus (L.r31)
    assert at.register("u10", "hq") == "no_free_licence"
    assert at.state.local == frozenset()
    at.today = "2026-06-01"
    bought(at, "isc", 10)  # the days in between cost nothing
    assert (at.usable("port"), at.state.book.isc) == (10, 10)
    at.until("2026-06-02")
    assert at.state.book.isc == 5


def test_b_h6_software_is_rented_from_a_ledger_of_its_own() -> None:
    at = house("2026-01-01")
    bought(at, "ssc", 500)
    short = at.order(renting.start(at.state, CATALOGUE, Item("PBX-Port13", 5), 3, 30, at.day))
    assert short is not None
    assert short.code is Code.CREDIT_SHORT  # SSC pay no rent
    bought(at, "isc", 100)
    assert at.order(renting.start(at.state, CATALOGUE, Item("PBX-Port13", 5), 3, 30, at.day)) is None
    at.until("2026-01-31")
    assert (at.state.book.ssc, at.state.book.isc) == (500, 85)
    at.stock("PBX-UC13", 1)
    assert agreed(at, Wanted("PBX-UC13", years=1, ssc=40)) is None
    assert (at.state.book.ssc, at.state.book.isc) == (460, 85)
    at.order(crediting.adjust(at.state, "ssc", 0, "portal", at.day, "anna"))
    iscs = agreed(at, Wanted("PBX-Port13", years=1, ssc=1))
    assert iscs is not None  # rented units have no lot, and iSC pay no SSA
    assert at.state.book.isc == 85


# ---- credits
def test_b_h1_credits_are_bought_and_adjusted_at_any_time() -> None:
    at = house()
    bought(at, "ssc", 500)
    assert (at.state.book.ssc, at.state.book.isc) == (500, 0)
    assert at.order(crediting.adjust(at.state, "ssc", 480, "portal says so", at.day, "bert")) is None
    assert at.order(crediting.debit(at.state, "ssc", 80, "SSA of another box", at.day, "bert")) is None
    assert at.state.book.ssc == 400
    told = [(row.amount, row.balance, row.why, row.by) for row in at.state.book.bookings]
    assert told == [
        (500, 500, "order 4711", "anna"),
        (-20, 480, "portal says so", "bert"),
        (-80, 400, "SSA of another box", "bert"),
    ]
    short = at.order(crediting.debit(at.state, "ssc", 401, "too much", at.day, "bert"))
    assert short is not None
    assert (short.code, at.state.book.ssc) == (Code.CREDIT_SHORT, 400)


def test_b_h3_an_ssa_that_ends_is_said_once_each_time() -> None:
    at = house()
    at.stock("PBX-Port13", 5)
    assert agreed(at, Wanted("1", years=1, ssc=0)) is None
    assert at.until("2027-03-20") == ["90 ssa", "60 ssa", "30 ssa", "7 ssa", "1 ssa", "-1 ssa"]
    days = [shown(event.day) for event in at.events if isinstance(event, Reminded)]
    assert days == ["2026-12-09", "2027-01-08", "2027-02-07", "2027-03-02", "2027-03-08", "2027-03-10"]


def test_b_h4_an_ssa_goes_on_by_itself_while_the_balance_is_enough() -> None:
    at = house()
    at.stock("PBX-Port13", 5)
    bought(at, "ssc", 25)
    assert agreed(at, Wanted("1", years=1, ssc=2, auto=True)) is None
    assert at.state.book.ssc == 15
    said = at.until("2027-03-10")
    assert said == ["90 ssa", "60 ssa", "30 ssa"]  # then it was prolonged
    assert (until(at), at.state.book.ssc) == ("2028-03-09", 5)
    assert at.until("2028-03-09") == ["90 ssa", "60 ssa", "30 ssa", "7 ssa", "1 ssa"]
    text = at.state.book.reminders["ssa", on("2028-03-09")].text
    assert "will not be prolonged: that takes 10 SSC, 5 are there" in text
    assert at.until("2028-03-10") == ["-1 ssa"]
    assert (until(at), at.state.book.ssc) == ("2028-03-09", 5)  # not prolonged, nothing taken
    bought(at, "ssc", 100)
    at.until("2028-03-12")
    assert until(at) == "2028-03-09"  # it has lapsed: from here on by hand
    assert at.order(agreeing.prolong(at.state, CATALOGUE, "1", at.day, "anna")) is None
    assert (until(at), at.state.book.ssc) == ("2029-03-09", 95)


def test_every_case_of_service_credits_is_here() -> None:
    page = (Path(__file__).parents[2] / "docs" / "licence-rules.md").read_text()
    wanted = {f"b_h{number}" for number in re.findall(r"^\| B\.H(\d+) \|", page, re.MULTILINE)}
    carried = {word for name in globals() for word in re.findall(r"b_h\d+", name)}
    assert carried == wanted
    assert len(wanted) == 6
