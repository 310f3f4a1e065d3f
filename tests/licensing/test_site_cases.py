"""The cases of docs/licence-rules.md that an agent answers alone: away from the master, and standing by."""

import msgspec

from licensing.codes import Code
from licensing.demand import kinds
from licensing.installation import Pbx
from licensing.site import record as records
from licensing.site.decision import Admitted, Refused, Waiting
from licensing.site.record import Limit, ShareRecord
from licensing.site.seat import Seats
from licensing.wire import Policy
from tests.licensing.test_share import synced

SPARE = Pbx("spare", standby_for=("lyon",))
BEFORE = Policy(etag="p1", kinds=kinds(SPARE), linger_s={"user": 0})
FAILED = Policy(etag="p2", kinds=kinds(SPARE, {"lyon"}), linger_s={"user": 0})
WAIT_ENDS_MS = 2_000


# ---- Away from the master
def opened(record: ShareRecord) -> Seats:
    """The seats of an agent that starts with what its store says."""
    seats = Seats(record.policy, [f"u{n}" for n in range(100)])
    seats.lend(records.limits(record, 13), 0)
    return seats


def register(seats: Seats, name: str) -> Code | None:
    """A REGISTER while no master answers: None when it is admitted."""
    decision = seats.decide(name, "user", 0)
    if isinstance(decision, Waiting):
        seats.expire(WAIT_ENDS_MS)
        decision = dict(seats.settle(WAIT_ENDS_MS))[name]
    if isinstance(decision, Refused):
        return decision.code
    assert isinstance(decision, Admitted)
    seats.commit(name, "user", 0)
    return None


def test_l_d5_without_the_master_a_site_serves_its_share_and_no_more() -> None:
    seats = opened(synced(40, 40))
    assert {register(seats, f"u{n}") for n in range(40)} == {None}
    assert register(seats, "u40") is Code.MASTER_AWAY
    assert register(seats, "u0") is None


def test_l_d6_a_restarted_agent_has_the_same_limit_from_its_store() -> None:
    stored = records.decode(records.encode(synced(40, 40)), 0)
    seats = opened(stored)
    seats.restore([(f"u{n}", "user") for n in range(30)], 0)
    assert {register(seats, f"u{n}") for n in range(30, 40)} == {None}
    assert register(seats, "u40") is Code.MASTER_AWAY
    assert seats.counts()["seat"].surplus == 0


# ---- Standing by
def standing_by(*lent: tuple[str, int]) -> Seats:
    seats = Seats(BEFORE, ["u1", "u2", "v1"])
    seats.lend({class_: Limit(units, units) for class_, units in lent}, 0)
    return seats


def held(seats: Seats, name: str, kind: str) -> bool:
    seats.decide(name, kind, 0)
    return seats.commit(name, kind, 0)


def used(seats: Seats) -> dict[str, tuple[int, int]]:
    return {c: (n.used, n.surplus) for c, n in seats.counts().items() if n.used or n.surplus}


def test_l_r16_the_policy_says_which_class_the_objects_of_another_pbx_draw() -> None:
    seats = standing_by(("seat", 2), ("standby_seat", 1))
    assert held(seats, "u1", "user@lyon")
    assert used(seats) == {"seat": (1, 0)}
    seats.adopt(FAILED, 0)
    assert used(seats) == {"standby_seat": (1, 0)}
    assert held(seats, "v1", "user")
    assert used(seats) == {"seat": (1, 0), "standby_seat": (1, 0)}


def test_l_r16_who_has_no_standby_unit_yet_when_its_pbx_fails_is_not_cut() -> None:
    seats = standing_by(("seat", 2))
    held(seats, "u1", "user@lyon")
    seats.adopt(FAILED, 0)
    assert used(seats) == {"standby_seat": (0, 1)}
    assert seats.may_call("u1") is None
    assert seats.urgent, "and the master hears of it at once"
    seats.lend({"seat": Limit(0, 0), "standby_seat": Limit(1, 1)}, 0)
    assert used(seats) == {"standby_seat": (1, 0)}


def test_l_r16_the_unit_goes_back_when_the_object_leaves_and_not_before() -> None:
    seats = standing_by(("seat", 2), ("standby_seat", 1))
    seats.adopt(FAILED, 0)
    held(seats, "u1", "user@lyon")
    seats.adopt(BEFORE, 0)
    assert used(seats) == {"standby_seat": (1, 0)}
    seats.release("u1", 0)
    assert used(seats) == {}
    assert held(seats, "u1", "user@lyon")
    assert used(seats) == {"seat": (1, 0)}


def test_an_object_of_a_pbx_that_this_one_does_not_stand_by_for_draws_as_its_own() -> None:
    seats = standing_by(("seat", 2))
    assert [seats.class_of(kind) for kind in ("user@nice", "group@nice", "fax@nice")] == [
        "seat",
        None,
        "seat",
    ]
    assert seats.class_of("fax@lyon") == "seat"
    seats.adopt(FAILED, 0)
    assert [seats.class_of(kind) for kind in ("fax@lyon", "group@lyon")] == ["standby_seat", None]


def test_the_objects_of_another_pbx_linger_like_their_kind() -> None:
    seats = standing_by(("seat", 2))
    held(seats, "u1", "user@lyon")
    seats.release("u1", 0)
    assert seats.counts()["seat"].lingering == 0
    seats.adopt(msgspec.structs.replace(BEFORE, linger_s={"user": 9}), 0)
    held(seats, "u1", "user@lyon")
    seats.release("u1", 0)
    assert seats.counts()["seat"].lingering == 1


def test_l_r16_without_a_master_somebody_here_says_that_the_other_pbx_failed() -> None:
    seats = standing_by(("seat", 2), ("standby_seat", 1))
    seats.adopt(msgspec.structs.replace(BEFORE, protected=("lyon",)), 0)
    held(seats, "u1", "user@lyon")
    seats.stand_in(["lyon", "mars"], 0)
    assert used(seats) == {"standby_seat": (1, 0)}
    assert [seats.class_of(kind) for kind in ("user@lyon", "group@lyon", "user@mars", "user")] == [
        "standby_seat",
        None,
        "seat",
        "seat",
    ]
    seats.adopt(BEFORE, 0)
    assert seats.class_of("user@lyon") == "seat", "the master protects lyon by another now"
    seats.adopt(msgspec.structs.replace(BEFORE, protected=("lyon",)), 0)
    seats.stand_in([], 0)
    assert seats.class_of("user@lyon") == "seat"


def test_l_r16_standby_is_asked_for_in_advance_and_is_idle() -> None:
    seats = Seats(msgspec.structs.replace(BEFORE, keep={"standby_seat": 9}), [])
    demand = seats.ask()["standby_seat"]
    assert (demand.want, demand.idle, demand.used) == (9, 9, 0)
    seats.answer({"standby_seat": Limit(9, 9)}, {}, 0)
    assert not seats.urgent
    seats.adopt(msgspec.structs.replace(FAILED, keep={"standby_seat": 9}), 0)
    assert held(seats, "u1", "user@lyon"), "with no word to the master"
    demand = seats.ask()["standby_seat"]
    assert (demand.want, demand.idle, demand.used) == (9, 8, 1)
    seats.adopt(FAILED, 0)
    assert seats.demand()["standby_seat"].want == 3, "one and its spare"
