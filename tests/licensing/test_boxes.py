"""What becomes of Relay and IPVA licences with the MAC of their box: the live agents, the real ledger."""

import pytest

from licensing.box.sighting import DOUBTS, Sighting
from licensing.codes import Code
from licensing.demand import PoolKey
from licensing.installation import Pbx, Settings
from licensing.ledger import decode, encode, replay
from licensing.lender.box_events import MacDoubted, MacProven
from licensing.site import lines
from licensing.site.use import LineCall
from licensing.snapshot import decode as read_snapshot
from licensing.snapshot import encode as write_snapshot
from tests.licensing.exchange import Exchange

A, B, C = "009033010203", "0090330a0b0c", "0090330c0c0c"
HQ = Pbx("hq", role="master", model="IP3011", mac=A, interfaces=("pri1",))
LYON = Pbx("lyon", model="IP3011", mac=B, interfaces=("pri1",))
PROVEN = Sighting(
    A, "proven", "neighbour", (A,), place="here", why="neighbour 10.0.0.2 on eth0 answers with it"
)
CHANGED = Sighting(
    A, "changed", seen=(C,), place="here", why="10.0.0.2 on eth0 answers with 00-90-33-0c-0c-0c"
)
UNSEEN = Sighting(A, "unseen", place="here", why="10.0.0.2 has not answered on eth0")
ROUTED = Sighting(A, "unprovable", place="here", why="10.0.0.2 is behind the router 10.1.0.1")
ELSEWHERE = Sighting(B, "changed", seen=(A,), place="there", why="10.7.0.2 on eth1 answers with …")
AT_HOME = Sighting(B, "proven", "neighbour", (B,), place="there", why="neighbour 10.7.0.2 answers with it")


def exchange(*more: str, **changes: object) -> Exchange:
    """hq with a Relay-PRIs and two Relay-Channels of its box, and lyon with a Relay-PRIs of its own."""
    hq = Pbx(**{**{name: getattr(HQ, name) for name in HQ.__struct_fields__}, **changes})
    made = Exchange("1 Relay-PRIs", "2 Relay-Channels", *more, pbxs=(hq, LYON))
    assert made.house.install("1 Relay-PRIs", place="lyon") is None
    made.settle()
    return made


def held(made: Exchange, at: str = "hq") -> tuple[str, bool]:
    """The code that the agent is told of its box, and whether what is bound to it counts."""
    box = made.branches[at].record.policy.box
    assert box is not None
    return box.code, box.counts


def channels(made: Exchange) -> int | None:
    return lines.channels(made.branches["hq"].record.policy, "pri1")


def test_l_r36_before_anything_was_seen_licences_count_and_that_is_said() -> None:
    """Never a silent yes: the code is there from the first answer on, and `enforce` waits for a proof."""
    made = exchange()
    assert (held(made), channels(made)) == (("mac_unprovable", True), 30)
    strict = exchange(tolerates=())
    assert (held(strict), channels(strict)) == (("mac_unprovable", False), 0)
    assert strict.call("c1", "pri1") == "mac_unprovable"
    (event,) = strict.see("hq", PROVEN)
    assert isinstance(event, MacProven)
    assert (held(strict), channels(strict)) == (("", True), 30)
    assert strict.call("c1", "pri1") is None


def test_l_r36_a_gateway_whose_mac_changed_counts_no_more_and_its_call_goes_on() -> None:
    made = exchange()
    made.see("hq", PROVEN)
    assert made.call("c1", "pri1") is None
    (event,) = made.see("hq", CHANGED)
    assert isinstance(event, MacDoubted)
    assert (event.state, event.seen, event.why) == ("changed", (C,), CHANGED.why)
    assert made.call("c2", "pri1") == "mac_mismatch"
    assert made.call("c3") == "mac_mismatch"  # nobody knows over which interface: no channel either
    assert made.join("room1", "c1", prefer_local=True) == "mac_mismatch"
    assert [use.call for use in made.branches["hq"].uses.all().values() if isinstance(use, LineCall)] == [
        "c1"
    ]
    assert made.branches["hq"].seats.beyond() == ["call:c1"]  # the next to go, and not cut (L.r31)
    pool = made.house.state.pool(PoolKey("hq", "relay-channel"))
    assert (pool.installed, pool.usable(0), pool.why_unusable(0)) == (2, 0, Code.MAC_MISMATCH)
    assert made.see("hq", CHANGED) == []  # said once
    (event,) = made.see("hq", PROVEN)
    assert isinstance(event, MacProven)
    assert made.branches["hq"].seats.beyond() == []
    assert made.call("c2", "pri1") is None


def test_l_r36_a_box_that_is_switched_off_changes_nothing() -> None:
    made = exchange(tolerates=())
    made.see("hq", PROVEN)
    assert made.see("hq", UNSEEN) == []
    assert channels(made) == 30
    made.see("hq", CHANGED)
    assert made.see("hq", UNSEEN) == []
    assert channels(made) == 0


def test_l_r36_the_same_mac_at_two_pbxs_is_a_clone_and_both_hear_of_it() -> None:
    made = exchange()
    made.see("hq", PROVEN)
    made.see("lyon", AT_HOME)
    found = {event.pbx: event for event in made.see("lyon", ELSEWHERE)}
    assert (found["hq"].state, found["hq"].elsewhere) == ("cloned", ("lyon",))
    assert found["hq"].why == f"00-90-33-01-02-03 is at lyon too; here {PROVEN.why}"
    assert found["lyon"].state == "changed"
    assert held(made) == ("mac_cloned", False)  # it was woken: no sync of its own was due
    assert held(made, "lyon") == ("mac_mismatch", False)
    assert made.call("c1", "pri1") == "mac_cloned"
    found = {event.pbx: event for event in made.see("lyon", AT_HOME)}
    assert {event.state for event in found.values()} == {"proven"}
    assert made.call("c1", "pri1") is None


def test_l_r36_a_box_that_stands_elsewhere_has_moved() -> None:
    made = exchange()
    made.see("hq", PROVEN)
    made.see("hq", UNSEEN)  # taken away
    found = {event.pbx: event for event in made.see("lyon", ELSEWHERE)}
    assert (found["hq"].state, found["hq"].elsewhere) == ("moved", ("lyon",))
    assert made.call("c1", "pri1") == "mac_moved"


def test_two_pbxs_of_one_box_are_no_clone() -> None:
    made = exchange()
    made.see("hq", PROVEN)
    shared = Sighting(B, "changed", seen=(A,), place=PROVEN.place, why="one box for both")
    assert [event.pbx for event in made.see("lyon", shared)] == ["lyon"]
    assert held(made) == ("", True)


def test_two_agents_in_front_of_one_box_are_no_clone_where_its_mac_is_written_beside_both() -> None:
    made = Exchange("2 Relay-Channels", pbxs=(HQ, Pbx("office", mac=A)))
    made.settle()
    made.see("hq", PROVEN)
    assert made.see("office", Sighting(A, "proven", "neighbour", (A,), place="there", why="…")) == []
    assert held(made) == ("", True)


def test_l_r36_a_gateway_behind_a_router_is_unprovable_and_no_clone() -> None:
    made = exchange()
    made.see("lyon", AT_HOME)
    (event,) = made.see("hq", ROUTED)
    assert (event.state, event.elsewhere) == ("unprovable", ())
    assert (held(made), channels(made)) == (("mac_unprovable", True), 30)
    strict = exchange(tolerates=())
    strict.see("hq", ROUTED)
    assert strict.call("c1", "pri1") == "mac_unprovable"
    stated = Sighting(A, "stated", "statement", place="here", why="the administrator's statement: …")
    strict.see("hq", stated)
    assert (held(strict), strict.call("c1", "pri1")) == (("", True), None)


@pytest.mark.parametrize("doubt", DOUBTS)
def test_l_r36_each_state_may_be_tolerated_with_an_alarm(doubt: str) -> None:
    made = exchange(tolerates=(doubt,))
    made.see("hq", PROVEN if doubt in ("moved", "cloned") else Sighting(A, doubt, place="here", why="…"))  # type: ignore[arg-type]
    if doubt == "moved":
        made.see("hq", UNSEEN)
    if doubt in ("moved", "cloned"):
        made.see("lyon", ELSEWHERE)
    code, counts = held(made)
    assert code.startswith("mac_")
    assert (counts, made.call("c1", "pri1")) == (True, None)


def test_l_r36_ipva_units_that_name_a_mac_count_with_it() -> None:
    """3.3: registered phones go on, a newcomer hears why (L.r31)."""
    box = Pbx("hq", role="master", platform="ipva", mac=A)
    made = Exchange("9 PBX-Port13", pbxs=(box,), settings=Settings())
    assert made.house.install("2 PBX-IPVA13", mac=A) is None
    made.settle()
    seats = made.branches["hq"].seats
    assert seats.commit("201", "user", made.now)
    made.see("hq", Sighting(A, "spoofed", place="here", why="eth0 shows it, …"))
    assert seats.state_of("201").name in ("HELD", "SURPLUS")
    assert made.house.state.pool(PoolKey("", "ipva")).why_unusable(13) is Code.MAC_SPOOFED
    seats.decide("202", "user", made.now)
    made.settle()
    seats.expire(made.now)
    assert ("202", "refused", "mac_spoofed") in made.told()


def test_nothing_is_looked_at_where_nothing_is_bound() -> None:
    made = Exchange("9 PBX-Port13", pbxs=(HQ, LYON))
    assert made.branches["hq"].record.policy.box is None
    assert made.see("hq", PROVEN) == []


def test_every_agent_looks_once_something_is_bound_somewhere() -> None:
    """Else nobody would see a copy that stands where no licence is bound."""
    made = Exchange("2 Relay-Channels", pbxs=(HQ, Pbx("lyon")))
    made.settle()
    made.see("hq", PROVEN)
    copy = Sighting("", "unprovable", seen=(A,), place="there", why="master.yaml names no MAC of this PBX")
    (event,) = made.see("lyon", copy)
    assert (event.pbx, event.state) == ("hq", "cloned")


def test_the_ledger_remembers_what_is_held_of_a_mac() -> None:
    made = exchange()
    made.see("hq", PROVEN)
    made.see("lyon", ELSEWHERE)
    again = replay(decode(encode(event)) for event in made.house.events)
    assert again == made.house.state == read_snapshot(write_snapshot(again))
    made.sightings.clear()  # the master starts again: what agents see is heard anew, one after the other
    assert made.see("hq", PROVEN) == []
    assert {event.state for event in made.see("lyon", AT_HOME)} == {"proven"}
    assert held(made) == ("", True)
