"""Lots, rent, reminders and SSA beyond the cases: properties, long stops, wrong clocks."""

import copy
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing import snapshot
from licensing.administration import Change
from licensing.codes import Code
from licensing.files import conversion, inventory
from licensing.files.document import Document
from licensing.files.inventory import Item
from licensing.installation import Pbx
from licensing.ledger import AnyEvent, decode, encode, replay
from licensing.terms import agreeing, crediting, ending, registering, renting, term_events, upgrading
from licensing.terms.agreeing import Wanted
from licensing.terms.book import Offer
from licensing.terms.day import MS, shown
from licensing.terms.lot import Lot, Lots, Owned, Ssa, family, settled
from licensing.terms.release import Release
from licensing.terms.rental import Rental, Rented, paid_until, rent
from licensing.terms.warranty import Device
from tests.licensing.agreements import Agreements, on
from tests.licensing.house import CATALOGUE

HQ = Pbx("hq", role="master")
EVENTS: list[AnyEvent] = [
    term_events.LotsSettled((Lot(1, "PBX-Port13", 5, 20_000, Ssa(20_364, 1, 3, auto=True)),), (2,)),
    term_events.SsaAgreed(1, 20_000, Ssa(20_364, 1, 3)),
    term_events.SsaProlonged(1, 20_729),
    term_events.SsaLapsed(1),
    term_events.SsaEnded(1),
    term_events.Credited("ssc", 5, "why", "anna", 20_000),
    term_events.Debited("isc", 5, "why", "anna", 20_000),
    term_events.Adjusted("ssc", 5, "why", "anna", 20_000),
    term_events.RentTaken(5, 20_000, 20_001),
    term_events.Offered(Offer(7, "PBX-UC13", 3, "why", 20_000, "lyon")),
    term_events.OfferTaken(7),
    term_events.DeviceRegistered(Device("009033010203", "IP3011", "S1", 20_000, 20_001)),
    term_events.WarrantyExtended("009033010203"),
    term_events.DeviceDropped("009033010203"),
    term_events.Reminded("ssa", 20_364, 90, 20_274, "text"),
]


def test_every_event_of_the_terms_is_read_as_it_was_written() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(term_events.TermEvent))
    assert [decode(encode(event)) for event in EVENTS] == EVENTS


# ---- lots, against units one by one
TYPES = ("PBX-Port12", "PBX-Port13", "PBX-Port13%500", "PBX-UC13")
counts = st.dictionaries(st.sampled_from(TYPES), st.tuples(st.integers(0, 6), st.integers(0, 6)))


def days_of(lots: Lots) -> Counter[tuple[str, int]]:
    found: Counter[tuple[str, int]] = Counter()
    for lot in lots.values():
        found[lot.type, lot.since_day] += lot.count
    return found


def one_by_one(units: list[tuple[str, int]], owned: dict[str, Owned], today: int) -> list[tuple[str, int]]:
    """The same rule with one row for each unit: (type, day)."""
    left, loose = list(units), []
    for type_ in TYPES:
        while sum(t == type_ for t, _ in left) > owned.get(type_, Owned(0, 0)).all:
            newest = max((u for u in left if u[0] == type_), key=lambda u: u[1])
            left.remove(newest)
            loose.append(newest)
    for type_ in TYPES:
        while sum(t == type_ for t, _ in left) < owned.get(type_, Owned(0, 0)).assigned:
            akin = [u for u in loose if family(u[0]) == family(type_)]
            if akin:
                oldest = min(akin, key=lambda u: u[1])
                loose.remove(oldest)
                left.append((type_, oldest[1]))
            else:
                left.append((type_, today))
    return left


@given(st.lists(counts, max_size=8))
def test_lots_are_what_units_one_by_one_would_be(steps: list[dict[str, tuple[int, int]]]) -> None:
    lots: Lots = {}
    units: list[tuple[str, int]] = []
    for today, step in enumerate(steps):
        owned = {type_: Owned(idle + busy, busy) for type_, (idle, busy) in step.items()}
        lots, units = settled(lots, owned, today), one_by_one(units, owned, today)
        assert days_of(lots) == Counter(units)
        assert all(number == lot.number and lot.count > 0 for number, lot in lots.items())
        assert settled(lots, owned, today + 1) == lots, "settled is settled"


def test_a_file_that_takes_the_place_of_another_keeps_day_and_ssa() -> None:
    ssa = Ssa(400, 1, 3)
    before = {1: Lot(1, "PBX-Port12", 10, 5, ssa)}
    assert settled(before, {"PBX-Port13": Owned(15, 15)}, 100) == {
        1: Lot(1, "PBX-Port13", 10, 5, ssa),
        2: Lot(2, "PBX-Port13", 5, 100),
    }


def test_converted_units_keep_their_day() -> None:
    at = Agreements((HQ,), today="2026-01-01")
    at.stock("PBX-Port13$20", 12)
    at.today = "2026-05-01"
    at.stock("PBX-Port13$$", 12)
    made = conversion.convert(at.state, CATALOGUE, "smb-port")
    assert isinstance(made, Change)
    assert at.order(list(made.events)) is None
    assert days_of(at.state.book.lots) == Counter({("PBX-Port13", on("2026-01-01")): 12})


def test_a_snapshot_has_the_whole_book() -> None:
    at = ssa_house()
    at.today = "2027-01-01"
    mac = "00-90-33-00-00-01"
    at.order(registering.register(at.state, mac, "IP222", "S1", on("2026-01-20"), at.day))
    at.order([term_events.Offered(Offer(7, "PBX-UC13", 3, "why", at.day))])
    at.order(crediting.credit(at.state, "isc", 100, "order", at.day, "anna"))
    at.order(renting.start(at.state, CATALOGUE, Item("PBX-Fax13", 5), 1, 1, at.day))
    at.follow()
    assert min(len(part) for part in (at.state.book.reminders, at.state.book.bookings, at.state.book.offers))
    assert snapshot.decode(snapshot.encode(at.state)) == at.state
    again = replay(at.events)
    assert snapshot.digest(again, b"x") == snapshot.digest(at.state, b"x")


# ---- rent
rentals = st.builds(
    Rented, st.integers(1, 50), st.builds(Rental, st.integers(1, 40), st.integers(1, 400), st.integers(0, 60))
)


@given(st.lists(rentals, max_size=4), st.integers(0, 60), st.integers(-1, 90), st.integers(-1, 90))
def test_rent_is_the_same_however_the_days_are_taken_together(
    rented: list[Rented], first: int, one: int, two: int
) -> None:
    middle, last = first + min(one, two), first + max(one, two)
    assert rent(rented, first, middle) + rent(rented, middle + 1, last) == rent(rented, first, last)


@given(rentals, st.integers(1, 5))
def test_each_period_costs_what_it_says(each: Rented, periods: int) -> None:
    begin = each.rental.since_day
    assert rent([each], 0, begin + periods * each.rental.days - 1) == periods * each.count * each.rental.isc


@given(st.lists(rentals, min_size=1, max_size=4), st.integers(1, 3_000), st.integers(0, 60))
def test_the_end_that_is_foretold_is_the_day_that_takes_the_rest(
    rented: list[Rented], balance: int, first: int
) -> None:
    foretold = paid_until(rented, balance, first)
    assert foretold is None or (rent(rented, first, foretold) >= balance > rent(rented, first, foretold - 1))
    assert foretold is not None or rent(rented, first, first + 36_525) < balance


def renting_house(isc: int, today: str = "2026-01-01") -> Agreements:
    at = Agreements((HQ,), today=today)
    assert at.order(crediting.credit(at.state, "isc", isc, "order", at.day, "anna")) is None
    assert at.order(renting.start(at.state, CATALOGUE, Item("PBX-Port13", 5), 1, 1, at.day)) is None
    return at


def test_after_a_long_stop_what_is_there_is_taken_and_no_more() -> None:
    at = renting_house(50)
    at.today = "2026-12-24"
    assert at.follow() == ["-1 rental"]
    assert (at.state.book.isc, at.usable("port")) == (0, 0)
    assert [event.isc for event in at.events if isinstance(event, term_events.RentTaken)] == [50]


def test_a_balance_set_to_0_stops_at_once_and_a_credit_goes_on_at_once() -> None:
    at = renting_house(50)
    at.order(crediting.adjust(at.state, "isc", 0, "portal", at.day, "anna"))
    assert at.usable("port") == 0
    at.order(crediting.credit(at.state, "isc", 5, "order", at.day, "anna"))
    assert at.usable("port") == 5
    at.until("2026-01-02")
    assert (at.state.book.isc, at.usable("port")) == (0, 0)


def test_rent_that_a_wrong_clock_took_is_given_back_and_goes_on() -> None:
    at = renting_house(5_000)
    at.today = "2026-12-31"
    at.follow()
    assert at.state.book.isc == 5_000 - 364 * 5
    at.today = "2026-01-03"
    at.follow()  # nothing is taken twice
    at.order(crediting.adjust(at.state, "isc", 4_990, "the clock was wrong", at.day, "anna"))
    at.until("2026-01-05")
    assert at.state.book.isc == 4_980


def test_rented_units_are_given_back() -> None:
    at = renting_house(5_000)
    (number,) = at.state.entitlements
    at.today = "2026-01-03"
    assert at.order(renting.end(at.state, number, 2, at.day)) is None
    assert (at.usable("port"), at.state.book.isc) == (3, 4_990)
    refused = [renting.end(at.state, number, 4, at.day), renting.end(at.state, 99, None, at.day)]
    assert [getattr(each, "code", None) for each in refused] == [Code.NOT_FOUND] * 2
    assert at.order(renting.end(at.state, number, None, at.day)) is None
    assert at.usable("port") == 0


# ---- SSA
def ssa_house(years: int = 1, ssc: int = 2, balance: int = 100, *, auto: bool = True) -> Agreements:
    at = Agreements((HQ,), today="2026-03-10")
    at.stock("PBX-Port13", 5)
    at.order(crediting.credit(at.state, "ssc", balance, "order", at.day, "anna"))
    wanted = Wanted("PBX-Port13", years=years, ssc=ssc, auto=auto)
    assert at.order(agreeing.agree(at.state, CATALOGUE, wanted, at.day, "anna")) is None
    return at


def test_a_master_that_was_off_for_years_prolongs_without_a_gap_and_says_the_latest_only() -> None:
    at = ssa_house(balance=30)
    at.today = "2028-06-01"
    assert at.follow() == []  # 2029-03-09 is far away
    assert (shown(at.lot().ssa.until_day), at.state.book.ssc) == ("2029-03-09", 0)  # type: ignore[union-attr]
    at.today = "2029-03-05"
    assert at.follow() == ["7 ssa"]
    at.today = "2031-01-01"
    assert at.follow() == ["-1 ssa"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (Wanted("9", 1, 0), Code.NOT_FOUND),
        (Wanted("PBX-Fax13", 1, 0), Code.NOT_FOUND),
        (Wanted("PBX-Prt13", 1, 0), Code.INVALID_TYPE),
        (Wanted("1", 1, 0), Code.ALREADY_AGREED),
        (Wanted("2", 1, 0, since_day=on("2026-03-11")), Code.INVALID_REQUEST),
        (Wanted("2", 1, 0, since_day=on("2024-03-10")), Code.INVALID_REQUEST),  # would be over
        (Wanted("PBX-UC13", 1, 91), Code.CREDIT_SHORT),
    ],
)
def test_an_ssa_that_is_refused(wanted: Wanted, code: Code) -> None:
    at = ssa_house()
    at.stock("PBX-UC13", 1)
    refused = agreeing.agree(at.state, CATALOGUE, wanted, at.day, "anna")
    assert getattr(refused, "code", None) is code


def test_an_earlier_first_assignment_and_an_end_may_be_stated() -> None:
    at = ssa_house()
    at.stock("PBX-UC13", 1)
    wanted = Wanted("2", 1, 0, since_day=on("2025-11-05"), until_day=on("2027-01-31"))
    assert at.order(agreeing.agree(at.state, CATALOGUE, wanted, at.day, "anna")) is None
    lot = at.lot(2)
    assert (shown(lot.since_day), lot.ssa) == ("2025-11-05", Ssa(on("2027-01-31"), 1, 0))


def test_auto_is_turned_on_and_off_and_an_ssa_is_ended() -> None:
    at = ssa_house(auto=False)
    assert agreeing.set_auto(at.state, CATALOGUE, "1", auto=False) == []
    at.order(agreeing.set_auto(at.state, CATALOGUE, "1", auto=True))
    assert at.until("2027-03-09")[-1] == "30 ssa"
    assert shown(at.lot().ssa.until_day) == "2028-03-09"  # type: ignore[union-attr]
    at.order(agreeing.end(at.state, CATALOGUE, "PBX-Port13"))
    assert at.lot().ssa is None
    assert getattr(agreeing.prolong(at.state, CATALOGUE, "1", at.day, "a"), "code", None) is Code.NOT_FOUND


def test_only_units_under_ssa_are_upgraded_and_a_row_is_split() -> None:
    at = ssa_house()  # 5 under SSA
    at.today = "2026-05-01"
    at.stock("PBX-Port13", 5)
    v14 = Release(14, on("2026-04-01"))

    def upgraded(count: int) -> Code | None:
        refused = at.order(upgrading.upgrade(at.state, CATALOGUE, Item("PBX-Port13", count), v14, at.day))
        return refused.code if refused else None

    assert upgraded(6) is Code.NOT_INCLUDED
    assert upgraded(3) is None
    assert upgraded(3) is Code.NOT_INCLUDED  # the two that are left, and five without SSA
    assert upgraded(2) is None
    held = Counter[str]()
    for each in at.state.entitlements.values():
        held[each.type] += each.count
    assert held == {"PBX-Port14": 5, "PBX-Port13": 5}
    under = Counter[tuple[str, bool]]()
    for lot in at.state.book.lots.values():
        under[lot.type, lot.ssa is not None] += lot.count
    assert under == {("PBX-Port14", True): 5, ("PBX-Port13", False): 5}
    later = upgrading.upgrade(at.state, CATALOGUE, Item("PBX-Port14", 1), Release(15, at.day + 1), at.day)
    assert getattr(later, "code", None) is Code.NOT_INCLUDED
    same = upgrading.upgrade(at.state, CATALOGUE, Item("PBX-Port14", 1), v14, at.day)
    assert getattr(same, "code", None) is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("published", "included"),
    [("2026-03-09", False), ("2026-03-10", True), ("2027-03-09", True), ("2027-03-10", False)],
)
def test_the_first_and_the_last_day_of_a_term_belong_to_it(published: str, included: bool) -> None:
    at = ssa_house()
    assert [right.included for right in upgrading.rights(at.state, Release(14, on(published)))] == [included]


def test_sscs_that_come_on_the_last_day_prolong_and_the_next_day_nothing_does() -> None:
    at = ssa_house(balance=10)
    at.until("2027-03-09")
    late = copy.deepcopy(at)
    for house, today, until in ((at, "2027-03-09", "2028-03-09"), (late, "2027-03-10", "2027-03-09")):
        house.today = today
        house.follow()
        house.order(crediting.credit(house.state, "ssc", 10, "order", house.day, "anna"))
        house.follow()
        assert shown(house.lot().ssa.until_day) == until  # type: ignore[union-attr]


def test_operator_brings_an_offer_when_it_passes_13_and_never_later() -> None:
    at = Agreements((HQ,), today="2026-03-10")
    at.stock("PBX-Operator13", 1)
    at.stock("PBX-Operator12", 1)
    for lot in ("1", "2"):
        assert at.order(agreeing.agree(at.state, CATALOGUE, Wanted(lot, 1, 0), at.day, "anna")) is None
    v14 = Release(14, at.day)
    for type_ in ("PBX-Operator13", "PBX-Operator12"):
        assert at.order(upgrading.upgrade(at.state, CATALOGUE, Item(type_, 1), v14, at.day)) is None
    assert [offer.why for offer in at.state.book.offers.values()] == [
        "1 PBX-Operator12 updated to 14 under SSA"
    ]


def test_rented_units_are_not_upgraded_and_lie_in_no_lot() -> None:
    at = Agreements((HQ,), today="2026-03-10")
    at.order(crediting.credit(at.state, "isc", 9, "order", at.day, "anna"))
    assert at.order(renting.start(at.state, CATALOGUE, Item("PBX-Port13", 4), 1, 1, at.day)) is None
    at.stock("PBX-Port13", 5)
    assert at.order(agreeing.agree(at.state, CATALOGUE, Wanted("1", 1, 0), at.day, "anna")) is None
    v14 = Release(14, at.day)
    assert [(right.count, right.included) for right in upgrading.rights(at.state, v14)] == [
        (5, True),
        (4, False),
    ]
    assert at.order(upgrading.upgrade(at.state, CATALOGUE, Item("PBX-Port13", 5), v14, at.day)) is None
    held = {(e.type, e.count, e.rental is None) for e in at.state.entitlements.values()}
    assert held == {("PBX-Port14", 5, True), ("PBX-Port13", 4, False)}


def test_a_pbx_whose_own_units_are_rented_stays_in_local_mode_without_iscs() -> None:
    at = Agreements((HQ, Pbx("lyon")), today="2026-01-01")
    at.stock("PBX-Port13", 5)
    at.order(crediting.credit(at.state, "isc", 9, "order", at.day, "anna"))
    assert at.order(renting.start(at.state, CATALOGUE, Item("PBX-Port13", 4, "lyon"), 1, 1, at.day)) is None
    at.order(crediting.adjust(at.state, "isc", 0, "portal", at.day, "anna"))
    assert at.register("u1", "lyon") == "local_mode"


# ---- reminders
def test_licences_of_a_file_with_an_end_are_reminded_of_by_their_last_day() -> None:
    at = Agreements((HQ,), today="2026-01-01")
    file = Document(
        "f", "signed", issuer="Example", project="main", issue_no=3, until_ms=on("2026-05-01") * MS
    )
    assert at.order(inventory.stocked(at.state, CATALOGUE, [Item("PBX-Port13", 5)], file)) is None
    assert at.until("2026-04-30") == [f"{n} licence" for n in (90, 60, 30, 7, 1)]
    text = at.state.book.reminders["licence", on("2026-04-30")].text
    assert text == "validity ends tomorrow, on 2026-04-30: 5 units of issue 3 of Example for main"


def test_one_reminder_names_all_that_ends_on_a_day() -> None:
    at = Agreements((HQ,), today="2026-01-01")
    for n in range(12):
        mac = f"00-90-33-00-00-{n:02x}"
        at.order(registering.register(at.state, mac, "IP222", f"S{n}", on("2025-02-01"), at.day))
    assert at.follow() == ["60 warranty"]
    text = at.state.book.reminders["warranty", on("2026-02-01")].text
    assert text.startswith("warranty ends in 31 days, on 2026-02-01: IP222 00-90-33-00-00-00, ")
    assert text.endswith("and 2 more")


def test_a_new_end_is_reminded_of_anew_and_what_was_over_before_it_was_known_never() -> None:
    at = Agreements((HQ,), today="2026-01-01")
    mac = "00-90-33-00-00-01"
    at.order(registering.register(at.state, mac, "", "", on("2025-01-03"), at.day))
    assert at.follow() == ["7 warranty"]
    at.order(registering.register(at.state, mac, "", "", on("2025-01-05"), at.day))  # it was typed wrongly
    assert at.follow() == ["7 warranty"]
    at.order(registering.register(at.state, "00-90-33-00-00-02", "", "", on("2010-01-01"), at.day))
    assert at.follow() == []
    assert [shown(e.ends_day) for e in ending.endings(at.state, at.day)] == ["2011-01-01", "2026-01-05"]
    at.order(registering.drop(at.state, mac))
    assert at.until("2026-02-01") == []


@given(st.lists(st.integers(0, 40), max_size=30))
def test_however_often_a_master_looks_each_moment_is_said_once_and_in_order(steps: list[int]) -> None:
    at = Agreements((HQ,), today="2026-01-01")
    at.order(registering.register(at.state, "00-90-33-00-00-01", "", "", on("2025-06-15"), at.day))
    said: list[int] = []
    for step in steps:
        at.today = shown(at.day + step)
        said += [int(each.split()[0]) for each in at.follow()]
        left = on("2026-06-15") - at.day
        due = [moment for moment in (90, 60, 30, 7, 1) if left <= moment]
        latest = -1 if left < 0 else min(due, default=None)
        assert (said[-1] if said else None) == latest
    assert said == sorted(set(said), reverse=True)
