"""The disk is nearly full: nothing grows at the master or at a site, all else goes on (decision 0021)."""

import pytest

from licensing.codes import Code
from licensing.lender import allocator
from licensing.site.decision import ADMITTED, RESERVED, Refused
from licensing.site.record import Limit
from licensing.site.seat import Seats
from licensing.wire import ClassDemand, Policy
from tests.licensing.house import House, request


def test_the_master_lends_nothing_more_and_takes_back_as_ever() -> None:
    house = House()
    house.install("10 PBX-Port13")
    first = allocator.sync(house.state, {}, request("hq", {"seat": ClassDemand(used=4, want=4)}))
    grown = allocator.sync(
        first.state, {"hq": first.demand}, request("hq", {"seat": ClassDemand(used=4, want=9)}), no_room=True
    )
    assert grown.shares["seat"].granted == 4
    denial = grown.denials["seat"]
    assert (denial.code, denial.recalling, "Free space" in denial.hint) == (Code.DISK_FULL, 0, True)
    fallen = allocator.sync(
        grown.state, {"hq": grown.demand}, request("hq", {"seat": ClassDemand(used=1, want=1)}), no_room=True
    )
    assert (fallen.shares["seat"].granted, dict(fallen.denials)) == (1, {})
    assert not fallen.wake, "nobody could be served"


def seats(enforcement: str) -> Seats:
    policy = Policy(etag="", kinds={"user": "seat"}, enforcement=enforcement, linger_s={"user": 60})  # type: ignore[arg-type] # one of two words
    made = Seats(policy)
    made.lend({"seat": Limit(lent=9, usable=9)}, 0)
    for name in ("held", "lingers"):
        made.decide(name, "user", 0)
        made.commit(name, "user", 0)
    made.release("lingers", 0)
    made.hold_back(True)
    return made


def test_a_site_refuses_newcomers_and_nobody_else() -> None:
    site = seats("enforce")
    assert site.decide("held", "user", 1) == ADMITTED
    assert site.decide("lingers", "user", 1) == RESERVED
    refused = site.decide("new", "user", 1)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.status) == (Code.DISK_FULL, 503)
    assert refused.retry_after_s
    site.hold_back(False)
    assert site.decide("new", "user", 2) == RESERVED


@pytest.mark.parametrize("way", ["report", "bypass"])
def test_where_nothing_is_refused_nobody_is(way: str) -> None:
    site = seats("report" if way == "report" else "enforce")
    if way == "bypass":
        site.bypass(10_000, 1)
    assert site.decide("new", "user", 2) == RESERVED
