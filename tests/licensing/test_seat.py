"""Seats by example: who uses a unit, who waits, who is refused and why."""

import hashlib

import msgspec
import pytest

from licensing.codes import Code
from licensing.site.record import Limit
from licensing.site.seat import Admitted, Refused, Seats, State, Waiting
from licensing.wire import Denial, Policy

POLICY = Policy(
    etag="p1",
    kinds={"user": "seat", "trunk": "seat", "group": None},
    linger_s={"user": 120, "trunk": 0},
)
PASSED = Admitted(reserved=False)
RESERVED = Admitted(reserved=True)
SHORT = Denial(asked=1, granted=0, code="no_free_licence", capacity=3, used=3)


def lending(units: int, *, software: Code | None = None, **policy: object) -> Seats:
    """Seats that know their objects and have been lent so many units."""
    seats = Seats(msgspec.structs.replace(POLICY, **policy), proven=[f"u{n}" for n in range(100)])
    seats.lend({"seat": Limit(units, units)}, 0)
    return seats


def held(seats: Seats, *names: str, now_ms: int = 0) -> None:
    for name in names:
        assert seats.decide(name, "user", now_ms) == RESERVED
        assert seats.commit(name, "user", now_ms)


def synced(seats: Seats, units: int, now_ms: int, denial: Denial | None = None, **limit: object) -> None:
    """One sync there and back."""
    seats.ask()
    lent = msgspec_limit(units, **limit)
    seats.answer({"seat": lent}, {"seat": denial} if denial else {}, now_ms)


def msgspec_limit(units: int, **limit: object) -> Limit:
    recall_to = limit.get("recall_to")
    assert recall_to is None or isinstance(recall_to, int)
    state = "short" if limit.get("short") else "open"
    return Limit(units, units, "short" if state == "short" else "open", recall_to)


def used(seats: Seats) -> tuple[int, int, int, int, int]:
    counts = seats.counts()["seat"]
    return counts.used, counts.reserved, counts.waiting, counts.lingering, counts.surplus


def test_reserve_then_commit() -> None:
    seats = lending(3)
    assert seats.decide("u1", "user", 0) == RESERVED
    assert used(seats) == (0, 1, 0, 0, 0)
    assert seats.commit("u1", "user", 0) is True
    assert used(seats) == (1, 0, 0, 0, 0)


def test_a_failed_registration_gives_its_unit_back() -> None:
    seats = lending(1)
    seats.decide("u1", "user", 0)
    seats.release("u1", 0)
    assert used(seats) == (0, 0, 0, 0, 0)
    assert seats.decide("u2", "user", 0) == RESERVED


def test_further_devices_and_refreshes_draw_nothing() -> None:
    seats = lending(1)
    assert seats.decide("u1", "user", 0) == RESERVED
    assert seats.decide("u1", "user", 0) == PASSED
    seats.commit("u1", "user", 0)
    assert seats.decide("u1", "user", 0) == PASSED
    assert seats.commit("u1", "user", 0) is True
    assert used(seats) == (1, 0, 0, 0, 0)


def test_a_kind_without_a_class_draws_nothing_and_leaves_nothing() -> None:
    seats = lending(0)
    assert seats.decide("11", "group", 0) == PASSED
    assert seats.commit("11", "group", 0) is True
    seats.release("11", 0)
    assert seats.drain_events() == []


def test_any_other_kind_draws_like_a_user() -> None:
    assert lending(1).decide("u1", "fax", 0) == RESERVED


def test_a_shortage_waits_until_the_master_lends() -> None:
    seats = lending(0)
    seats.ask()
    assert seats.decide("u1", "user", 0) == Waiting()
    assert seats.urgent
    demand = seats.ask()["seat"]
    assert (demand.want, demand.idle) == (2, 1)
    assert not seats.urgent
    seats.answer({"seat": Limit(2, 2)}, {}, 30)
    assert seats.settle(30) == [("u1", RESERVED)]
    assert seats.commit("u1", "user", 40) is True


def test_only_a_denial_of_a_later_sync_refuses() -> None:
    seats = lending(0)
    seats.ask()
    seats.decide("u1", "user", 0)
    seats.answer({"seat": Limit(0, 0)}, {"seat": SHORT}, 10)
    assert seats.settle(10) == []
    synced(seats, 0, 20, SHORT)
    ((name, refusal),) = seats.settle(20)
    assert (name, refusal) == (
        "u1",
        Refused(403, Code.NO_FREE_LICENCE, "No free licence"),
    )
    assert seats.state_of("u1") is State.FREE
    assert seats.demand()["seat"].refused == 1


def test_a_denial_with_units_on_their_way_is_waited_for() -> None:
    seats = lending(0)
    seats.decide("u1", "user", 0)
    seats.decide("u2", "user", 0)
    recalling = msgspec.structs.replace(SHORT, recalling=1)
    synced(seats, 0, 20, recalling)
    assert seats.settle(20) == []
    synced(seats, 1, 300, recalling)
    assert seats.settle(300) == [("u1", RESERVED)]
    assert seats.settle(1_999) == []
    ((name, refusal),) = seats.settle(2_000)
    assert name == "u2"
    assert isinstance(refusal, Refused)
    assert refusal.code is Code.NO_FREE_LICENCE


def test_without_a_master_the_away_policy_decides_after_two_seconds() -> None:
    seats = lending(0)
    seats.decide("u1", "user", 0)
    seats.ask()
    assert seats.settle(1_999) == []
    assert seats.next_expiry() == 2_000
    assert seats.settle(2_000) == [
        ("u1", Refused(403, Code.MASTER_AWAY, "The licence master cannot be reached"))
    ]


def test_never_synced_is_503_with_a_spread_retry_after() -> None:
    seats = Seats(POLICY)
    seats.lend({}, 0, synced=False)
    delays = set()
    for name in ("a", "b", "c", "d", "e"):
        seats.decide(name, "user", 0)
    for _, refusal in seats.settle(2_000):
        assert isinstance(refusal, Refused)
        assert (refusal.status, refusal.code) == (503, Code.MASTER_AWAY)
        assert refusal.retry_after_s is not None
        assert 30 <= refusal.retry_after_s <= 60
        delays.add(refusal.retry_after_s)
    assert len(delays) > 1


def test_refuse_503_says_when_to_retry() -> None:
    seats = lending(0, refuse=503)
    seats.decide("u1", "user", 0)
    synced(seats, 0, 20, SHORT)
    ((_, refusal),) = seats.settle(20)
    assert isinstance(refusal, Refused)
    assert (refusal.status, refusal.retry_after_s is None) == (503, False)


def test_away_report_admits_and_reports() -> None:
    seats = lending(0, away="report")
    seats.decide("u1", "user", 0)
    assert seats.settle(2_000) == [("u1", RESERVED)]
    assert seats.commit("u1", "user", 2_010) is False
    assert seats.may_call("u1") is None
    assert [(event.event, event.code) for event in seats.drain_events()] == [
        ("reported", Code.MASTER_AWAY),
        ("surplus", None),
    ]
    synced(seats, 0, 3_000, SHORT)
    refusal = seats.may_call("u1")
    assert refusal is not None
    assert refusal.code is Code.NO_FREE_LICENCE


def test_report_mode_admits_what_it_would_have_refused() -> None:
    seats = lending(0, enforcement="report")
    seats.decide("u1", "user", 0)
    synced(seats, 0, 20, SHORT)
    assert seats.settle(20) == [("u1", RESERVED)]
    assert seats.commit("u1", "user", 30) is False
    assert seats.may_call("u1") is None
    told = [(event.event, event.code) for event in seats.drain_events()]
    assert told == [("reported", Code.NO_FREE_LICENCE), ("surplus", None)]


def test_a_bypass_admits_at_once_and_ends() -> None:
    seats = lending(0)
    seats.decide("u1", "user", 0)
    seats.bypass(10_000, 0)
    assert seats.settle(0) == [("u1", RESERVED)]
    assert seats.decide("u2", "user", 5) == RESERVED
    assert seats.commit("u2", "user", 5) is False
    assert seats.may_call("u2") is None
    assert seats.next_expiry() == 10_000
    assert seats.decide("u3", "user", 10_000) == Waiting()


def test_a_2xx_nobody_asked_for_takes_a_unit_or_is_surplus() -> None:
    seats = lending(1)
    assert seats.commit("u1", "user", 0) is True
    assert seats.commit("u2", "user", 0) is False
    assert used(seats) == (1, 0, 0, 0, 1)
    refusal = seats.may_call("u2")
    assert refusal is not None
    assert seats.decide("u2", "user", 0) == PASSED
    assert seats.demand()["seat"].want == 4


def test_surplus_takes_the_next_unit_before_those_who_wait() -> None:
    seats = lending(1, linger_s={"user": 0})
    held(seats, "u1")
    seats.commit("u2", "user", 0)
    assert seats.decide("u3", "user", 0) == Waiting()
    seats.release("u1", 10)
    assert seats.state_of("u2") is State.HELD
    assert seats.state_of("u3") is State.WAITING
    assert seats.may_call("u2") is None


def test_a_lingering_unit_is_kept_for_its_object_until_its_time_is_over() -> None:
    seats = lending(1)
    held(seats, "u1")
    seats.release("u1", 1_000)
    assert used(seats) == (0, 0, 0, 1, 0)
    assert seats.next_expiry() == 121_000
    assert seats.decide("u1", "user", 120_999) == RESERVED
    seats.commit("u1", "user", 121_000)
    assert used(seats) == (1, 0, 0, 0, 0)
    seats.release("u1", 121_000)
    seats.expire(241_000)
    assert used(seats) == (0, 0, 0, 0, 0)


def test_a_lingering_unit_never_causes_a_refusal() -> None:
    seats = lending(1)
    held(seats, "u1")
    seats.release("u1", 0)
    assert seats.decide("u2", "user", 1) == RESERVED
    assert seats.state_of("u1") is State.FREE


def test_a_failed_try_does_not_cost_the_lingering_unit() -> None:
    seats = lending(1)
    held(seats, "u1")
    seats.release("u1", 0)
    seats.decide("u1", "user", 50_000)
    seats.release("u1", 50_001)
    assert seats.state_of("u1") is State.LINGERING
    assert seats.next_expiry() == 120_000
    seats.decide("u1", "user", 119_000)
    seats.release("u1", 120_000)
    assert seats.state_of("u1") is State.FREE


def test_kinds_linger_differently() -> None:
    seats = lending(2)
    seats.commit("carrier", "trunk", 0)
    seats.release("carrier", 0)
    assert used(seats) == (0, 0, 0, 0, 0)


def test_unproven_reservations_hold_a_tenth_of_what_is_free() -> None:
    seats = lending(30)
    answers = [seats.decide(f"x{n}", "user", 0) for n in range(5)]
    assert answers == [RESERVED] * 3 + [Waiting()] * 2
    assert seats.decide("u1", "user", 0) == RESERVED
    seats.commit("x0", "user", 1)
    assert seats.settle(1) == []
    seats.commit("x1", "user", 1)
    assert seats.settle(1) == [("x3", RESERVED)]


def test_one_unproven_may_always_try() -> None:
    seats = lending(1)
    assert seats.decide("x1", "user", 0) == RESERVED
    seats.release("x1", 0)
    assert seats.decide("x2", "user", 0) == RESERVED


def test_unproven_ones_whose_turn_does_not_come_are_asked_to_try_later() -> None:
    seats = lending(5)
    seats.decide("x1", "user", 0)
    assert seats.decide("x2", "user", 0) == Waiting()
    seats.ask()
    assert not seats.urgent
    synced(seats, 5, 100, SHORT)
    for now in (100, 2_000, 4_000, 6_000, 8_000):
        assert seats.settle(now) == []  # units are there: it only waits for its turn
    ((name, refusal),) = seats.settle(10_000)
    assert name == "x2"
    assert isinstance(refusal, Refused)
    assert (refusal.status, refusal.code) == (503, Code.RATE_LIMITED)


def test_who_waits_for_its_turn_does_not_delay_the_end_of_others() -> None:
    seats = lending(5)
    seats.decide("x1", "user", 0)
    seats.decide("x2", "user", 0)
    seats.ask()
    synced(seats, 5, 0, SHORT)
    assert seats.settle(2_000) == []
    assert seats.next_expiry() == 4_000
    assert seats.decide("x3", "user", 2_500) == Waiting()
    seats.answer({"seat": Limit(2, 2)}, {}, 3_000)
    assert [name for name, _ in seats.settle(4_500)] == ["x3"]
    seats.release("x1", 5_000)
    assert seats.settle(5_000) == [("x2", RESERVED)]


def test_want_is_steady_while_phones_come_and_go() -> None:
    seats = lending(0)
    assert seats.ask()["seat"].want == 2
    wants = []
    seats.answer({"seat": Limit(2, 2)}, {}, 0)
    for number in range(8):
        seats.commit(f"u{number}", "user", 0)
        want = seats.ask()["seat"].want
        seats.answer({"seat": Limit(want, want)}, {}, 0)
        wants.append(want)
    assert wants == [2, 4, 4, 6, 6, 8, 8, 10]


def test_spare_is_a_twentieth_rounded_up() -> None:
    seats = Seats(POLICY, proven=[f"u{n}" for n in range(100)])
    seats.lend({"seat": Limit(61, 61)}, 0)
    held(seats, *(f"u{n}" for n in range(61)))
    assert seats.demand()["seat"].want == 61 + 4


def test_a_short_pool_keeps_no_spare_and_hears_of_units_at_once() -> None:
    seats = lending(3)
    held(seats, "u1", "u2")
    synced(seats, 2, 0, short=True)
    seats.ask()
    assert seats.demand()["seat"].want == 2
    assert not seats.urgent
    seats.release("u2", 10)
    assert seats.urgent
    demand = seats.ask()["seat"]
    assert (demand.want, demand.idle, demand.used) == (2, 1, 1)


def test_a_recall_takes_the_idle_first_and_then_whatever_leaves() -> None:
    seats = lending(10)
    held(seats, "u1", "u2", "u3", "u4")
    seats.release("u4", 0)
    synced(seats, 10, 0, recall_to=2)
    assert seats.state_of("u4") is State.FREE
    assert seats.urgent
    assert seats.ask()["seat"].want == 3
    assert seats.counts()["seat"].marked == 1
    assert seats.may_call("u3") is None
    assert seats.decide("u9", "user", 0) == Waiting()
    seats.release("u9", 0)
    seats.release("u1", 0)
    assert seats.ask()["seat"].want == 2
    seats.release("u2", 0)
    assert used(seats) == (1, 0, 0, 1, 0)
    assert seats.decide("u9", "user", 0) == RESERVED


def test_who_came_without_a_unit_keeps_none_of_what_is_asked_back() -> None:
    """A PBX that challenges nobody: its 2xx came to a request that had drawn nothing."""
    seats = lending(2)
    held(seats, "u1")
    synced(seats, 2, 0, recall_to=1)
    assert not seats.commit("u2", "user", 0)
    assert seats.may_call("u2") is not None
    assert seats.ask()["seat"].want == 1


def test_who_is_found_registered_takes_what_its_need_keeps_lent() -> None:
    """It came while no agent was here (seed 3494 of the simulation): a unit beside it would serve nobody."""
    seats = lending(2)
    held(seats, "u1")
    synced(seats, 2, 0, recall_to=1)
    seats.snapshot([("u1", "user"), ("u2", "user"), ("u3", "user")], 0, 10)
    assert [seats.state_of(name) for name in ("u2", "u3")] == [State.HELD, State.SURPLUS]
    demand = seats.ask()["seat"]
    assert (demand.used, demand.surplus, demand.want) == (2, 1, 3)
    seats.release("u2", 20)
    assert seats.state_of("u3") is State.HELD


def test_the_newest_are_marked_when_the_share_is_gone_and_go_on_calling() -> None:
    seats = lending(3)
    held(seats, "u1", "u2", "u3")
    seats.lend({"seat": Limit(1, 1)}, 10)
    assert [seats.state_of(name) for name in ("u1", "u2", "u3")] == [
        State.HELD,
        State.SURPLUS,
        State.SURPLUS,
    ]
    assert seats.may_call("u3") is None
    seats.lend({"seat": Limit(2, 2)}, 20)
    assert seats.state_of("u2") is State.HELD
    assert seats.state_of("u3") is State.SURPLUS


def test_a_want_caps_at_once() -> None:
    seats = lending(20)
    held(seats, "u1")
    assert seats.ask()["seat"].want == 3
    decisions = [seats.decide(name, "user", 0) for name in ("u2", "u3", "u4")]
    assert decisions == [RESERVED, RESERVED, Waiting()]


def test_after_an_unclean_stop_no_want_falls() -> None:
    seats = Seats(POLICY)
    seats.lend({"seat": Limit(20, 20)}, 0)
    seats.restore([("u1", "user"), ("u1", "user"), ("u2", "user")], 0, unclean_until_ms=3_600_000)
    assert used(seats) == (2, 0, 0, 0, 0)
    demand = seats.ask()["seat"]
    assert (demand.want, demand.idle) == (20, 0)
    seats.answer({"seat": Limit(20, 20, "short", recall_to=2)}, {}, 10)
    assert seats.ask()["seat"].want == 20
    assert seats.next_expiry() == 3_600_000
    seats.expire(3_600_000)
    assert seats.ask()["seat"].want == 2


def test_a_start_tells_who_is_registered_without_a_unit() -> None:
    """Digests cover those that hold one, and a crash may have lost what was told before."""
    seats = lending(1)
    seats.restore([("u1", "user"), ("u2", "user")], 0)
    assert [(event.object, event.event) for event in seats.drain_events()] == [("u2", "surplus")]


def test_a_snapshot_ends_the_doubt_and_tells_who_is_there() -> None:
    seats = Seats(POLICY)
    seats.lend({"seat": Limit(20, 20)}, 0)
    seats.restore([("u1", "user"), ("u2", "user")], 0, unclean_until_ms=3_600_000)
    seats.commit("u9", "user", 60)
    seats.snapshot([("u2", "user"), ("u3", "user"), ("11", "group")], asked_ms=50, now_ms=100)
    assert not seats.recovering
    states = [seats.state_of(name) for name in ("u1", "u2", "u3", "u9")]
    assert states == [State.LINGERING, State.HELD, State.HELD, State.HELD]


def test_after_the_grace_period_only_seat_holders_are_served() -> None:
    seats = lending(5)
    held(seats, "u1", "u2")
    seats.release("u2", 0)
    seats.lend({"seat": Limit(5, 5)}, 0, closed=True)
    assert seats.decide("u1", "user", 0) == PASSED
    assert seats.decide("u2", "user", 0) == RESERVED
    assert seats.decide("u3", "user", 0) == Waiting()
    ((_, refusal),) = seats.settle(2_000)
    assert isinstance(refusal, Refused)
    assert refusal.code is Code.MASTER_AWAY


def test_a_policy_that_changes_the_class_cuts_nobody() -> None:
    seats = lending(2)
    held(seats, "u1")
    virtual = msgspec.structs.replace(POLICY, kinds={"user": "virtual_seat"})
    seats.adopt(virtual, 0)
    assert seats.state_of("u1") is State.SURPLUS
    assert seats.may_call("u1") is None
    assert seats.demand()["virtual_seat"].surplus == 1
    seats.lend({"virtual_seat": Limit(3, 3)}, 0)
    assert seats.state_of("u1") is State.HELD


def test_holders_have_a_digest_and_pages() -> None:
    seats = lending(5)
    held(seats, "u2", "u1", "u3")
    seats.release("u3", 0)
    digest = seats.holders()["seat"]
    both = (int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) for name in ("u1", "u2"))
    first, second = both
    assert (digest.count, digest.digest) == (2, f"{first ^ second:016x}")
    page = seats.holder_page("seat")
    assert (page.names, page.last) == (("u1", "u2"), True)
    assert seats.holder_page("seat", after="u1").names == ("u2",)


def test_history_tells_each_thing_once() -> None:
    seats = lending(1)
    held(seats, "u1")
    seats.release("u1", 5)
    seats.decide("u2", "user", 6)
    seats.commit("u2", "user", 7)
    told = [(event.now_ms, event.object, event.event, event.until_ms) for event in seats.drain_events()]
    assert told == [
        (0, "u1", "held", None),
        (5, "u1", "lingering", 120_005),
        (6, "u1", "released", None),
        (7, "u2", "held", None),
    ]
    assert seats.drain_events() == []


def test_four_hundred_phones_after_a_power_cut_and_no_refusal() -> None:
    seats = Seats(POLICY)
    seats.lend({}, 0)
    names = [f"phone{n}" for n in range(400)]
    waiting = [name for name in names if seats.decide(name, "user", 0) == Waiting()]
    assert waiting == names
    want = seats.ask()["seat"].want
    assert want >= 400
    seats.answer({"seat": Limit(want, want)}, {}, 50)
    registered: list[str] = []
    while batch := seats.settle(60):
        for name, decision in batch:
            assert decision == RESERVED
            assert seats.commit(name, "user", 60)
            registered.append(name)
    assert registered == names


@pytest.mark.parametrize("code", ["no_free_licence", "a_code_of_tomorrow"])
def test_a_code_this_agent_does_not_know_is_still_a_refusal(code: str) -> None:
    seats = lending(0)
    seats.decide("u1", "user", 0)
    synced(seats, 0, 20, msgspec.structs.replace(SHORT, code=code))
    ((_, refusal),) = seats.settle(20)
    assert isinstance(refusal, Refused)
    assert refusal.code is Code.NO_FREE_LICENCE


def test_half_of_an_odd_spare_is_rounded_up() -> None:
    seats = lending(42)
    held(seats, *(f"u{n}" for n in range(41)))
    assert seats.demand()["seat"].want == 41 + 3


def test_a_second_lingering_has_a_time_of_its_own() -> None:
    seats = lending(2)
    held(seats, "u1", "u2")
    seats.release("u1", 0)
    seats.decide("u1", "user", 10)
    seats.commit("u1", "user", 10)
    seats.release("u2", 10)
    seats.release("u1", 20)
    assert seats.next_expiry() == 120_010
    seats.expire(120_010)
    assert (seats.state_of("u1"), seats.state_of("u2")) == (State.LINGERING, State.FREE)


def test_an_object_once_accepted_is_not_unproven_again() -> None:
    seats = lending(3)
    seats.decide("x1", "user", 0)
    seats.commit("x1", "user", 0)
    seats.release("x1", 0)
    assert seats.decide("x1", "user", 1) == RESERVED
    assert seats.decide("x2", "user", 1) == RESERVED


def test_history_tells_nothing_of_a_try_that_changed_nothing() -> None:
    seats = lending(1)
    held(seats, "u1")
    seats.release("u1", 0)
    seats.drain_events()
    seats.decide("u1", "user", 10)
    seats.release("u1", 20)
    assert seats.drain_events() == []
    seats.decide("u1", "user", 30)
    seats.release("u1", 120_000)
    assert [event.event for event in seats.drain_events()] == ["released"]
