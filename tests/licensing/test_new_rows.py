"""A new licence type of a known mode is a new row and no code (issue 5): rows of each mode, played through.

The rows of `new_rows` stand in no program. Shares, seats, ledger and allocator are the live ones.
"""

from typing import Any

import pytest

from licensing.catalogue import Catalogue, CatalogueError
from licensing.codes import Refusal
from licensing.demand import PoolKey, kinds
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.ledger import decode as decoded
from licensing.ledger import replay
from licensing.lender import allocator
from licensing.named import assigning
from licensing.offers import PER_LOGIN, chosen, offered, uses
from licensing.scenario.play import play
from licensing.scenario.scenario import (
    Assign,
    Join,
    Leave,
    Licence,
    Login,
    Logout,
    Member,
    Monitor,
    ObjectName,
    PbxName,
    Register,
    Release,
    Scenario,
    Units,
    Unmonitor,
)
from licensing.site import use as stored_use
from licensing.site.use import Login as LoginUse
from licensing.snapshot import decode, encode
from tests.licensing.exchange import Exchange
from tests.licensing.house import CATALOGUE as SHIPPED
from tests.licensing.house import House
from tests.licensing.new_rows import CATALOGUE, ROWS, document
from tests.licensing.staff import Staff

HQ = Pbx("hq", role="master", model="IP3011", interfaces=("pri1",))
LYON = Pbx("lyon", platform="ipva", mac="0090330a0b0c")


def exchange(*rows: str, **more: Any) -> Exchange:
    return Exchange(*rows, pbxs=(HQ, LYON), catalogue=CATALOGUE, **more)


# ---- each mode: installed, lent, drawn, refused, given back
def test_per_login_the_client_is_compared() -> None:
    there = exchange("2 PBX-Attendant13", "1 PBX-Operator13", software={"hq": 14})
    assert there.login("anna", licence="attendant") is None
    assert there.login("anna") is None  # as Operator too: a seat of its own
    assert there.login("bob", at="lyon", licence="attendant") is None
    assert there.login("cora", licence="attendant") == "no_free_licence"
    assert there.login("dora", 14, licence="attendant") == "licence_version_too_low"
    assert (there.used("attendant"), there.used("operator")) == (2, 1)
    assert there.logout("bob", "lyon", licence="attendant")
    assert there.login("cora", licence="attendant") is None  # the unit comes over from lyon
    assert not there.logout("bob", "lyon", licence="attendant")
    assert there.logout("anna")
    assert (there.used("attendant"), there.used("operator")) == (2, 0)


def test_per_login_the_pbx_is_compared_and_a_pair_is_taken_whole() -> None:
    there = exchange("2 PBX-Kiosk13", "1 PBX-Speech13", software={"hq": 13, "lyon": 12})
    assert there.login("anna", 99, licence="kiosk") is None  # whatever the client runs
    assert (there.used("kiosk"), there.used("speech")) == (1, 1)
    assert there.login("bob", licence="kiosk") == "no_free_licence"  # a kiosk without speech
    assert there.used("kiosk") == 1
    assert there.login("bob", at="lyon", licence="kiosk") == "min_software"


def test_per_queue_as_many_as_the_row_says() -> None:
    there = exchange("4 PBX-Wallboard13")
    asked = [there.monitor(f"q{n}", "pc1", licence="wallboard") for n in range(4)]
    assert asked == [None, None, None, "queues_per_client"]
    assert there.monitor("q0", "pc2", licence="wallboard") is None
    assert there.monitor("q3", "pc2", 14, licence="wallboard") == "licence_version_too_low"
    assert there.used("wallboard") == 3
    assert there.monitor("q0", "pc1") == "no_free_licence"  # no Queue Monitor is installed
    assert there.unmonitor("q0", "pc1", licence="wallboard")
    assert there.used("wallboard") == 3
    assert there.unmonitor("q0", "pc2", licence="wallboard")
    assert there.used("wallboard") == 2


def test_per_call_of_a_licence_that_is_no_channel() -> None:
    there = exchange("1 PBX-Announcer13", "5 PBX-Channels13", "5 Relay-Channels")
    assert there.join("room1", "c1", licence="announcer") is None
    assert there.join("room1", "c1") is None  # the leg itself
    assert there.join("room1", "c2", licence="announcer") == "no_free_licence"  # no channel in its place
    assert (there.used("announcer"), there.used("pbx-channels")) == (1, 1)
    assert there.hangup("c1")
    assert (there.used("announcer"), there.used("pbx-channels")) == (0, 0)


def test_bound_units_of_another_box_row_open_calls() -> None:
    there = exchange("1 Relay-DSPs", "1 Relay-PRIs", "1 Relay-Channels")
    assert [there.call(f"c{n}", "pri1") for n in range(3)] == [None, None, "relay_channels_exhausted"]


def test_per_port_and_its_tier_and_what_is_paired_with_ports() -> None:
    house = House((HQ, LYON), catalogue=CATALOGUE)
    assert house.install("1 PBX-Port13", "1 PBX-Port13%10000", "1 PBX-GuestPort13", "1 PBX-IPVA13") is None
    assert [house.register(f"u{n}", "hq") for n in range(3)] == [None] * 3
    assert house.register("u3", "hq") == "no_free_licence"
    assert (house.used("port"), house.used("guest-port")) == (2, 1)
    house.release("u0", "hq")
    assert house.register("v1", "lyon") is None  # with one IPVA, as every port there
    assert house.used("ipva") == 1


def test_per_user_and_per_object() -> None:
    staff = Staff((HQ,), catalogue=CATALOGUE)
    assert staff.install("1 PBX-Dictation13", "2 PBX-Archive13", "2 PBX-App(phone)13") is None
    assert staff.assign("anna", "app-phone", "dictation", "archive") == [None, None, None]
    assert staff.assign("bob", "dictation", "app-phone") == ["requires_licence", None]
    assert staff.code("bob", "dictation") == "not_licensed"
    assert staff.assign("q1", "archive", kind="waiting_queue") == [None]
    assert staff.unassign("anna", "dictation") is None
    assert staff.code("bob", "dictation") is None


# ---- simulate, restart, versions
def test_simulate_answers_for_each_of_them() -> None:
    """As the scenario file would say it; every pool comes out as it went in."""
    u1, u2, q1, room = (ObjectName(name) for name in ("u1", "u2", "q1", "room1"))
    attendant, wallboard, announcer = (Licence(name) for name in ("attendant", "wallboard", "announcer"))
    hq = PbxName("hq")
    types = ("Attendant", "Wallboard", "Announcer", "GuestPort", "Dictation", "App(phone)")
    found = play(
        Scenario(
            Settings(),
            (HQ,),
            tuple(Units(Item(f"PBX-{type_}13", 1)) for type_ in types),
            (Member(u1, "user", hq), Member(u2, "user", hq), Member(q1, "waiting_queue", hq),
             Member(room, "conference", hq)),
            (
                Register(u1), Assign(u1, "app-phone"), Assign(u1, "dictation"),
                Login(attendant, u1), Login(attendant, u2), Login(attendant, u2, Release(14)),
                Monitor(q1, "pc1", licence=wallboard),
                Join(room, "c1", announcer), Join(room, "c2", announcer),
                Logout(attendant, u1), Unmonitor(q1, "pc1", wallboard), Leave(room, "c1", announcer),
            ),
        ),
        CATALOGUE,
    )  # fmt: skip
    codes = [str(each.code) if each.code else None for each in found.steps]
    assert codes == [
        None, None, None, None, "no_free_licence", "licence_version_too_low", None, None, "no_free_licence",
        None, None, None,
    ]  # fmt: skip
    assert [dict(each.drew) for each in found.steps[3:4] + found.steps[6:8]] == [
        {"attendant": 1}, {"wallboard": 1}, {"announcer": 1},
    ]  # fmt: skip
    used = {name: pool.used for name, pool in found.pools.items()}
    assert used == {
        "app-phone": 1, "dictation": 1, "guest-port": 1, "attendant": 0, "wallboard": 0, "announcer": 0,
    }  # fmt: skip


def test_what_was_taken_goes_on_after_a_crash() -> None:
    there = exchange("1 PBX-Attendant13", "1 PBX-Wallboard13")
    there.login("anna", licence="attendant")
    there.monitor("q1", "pc1", licence="wallboard")
    rows = {key: stored_use.encode(each) for key, each in there.branches["hq"].stored.items()}
    assert {key: stored_use.decode(row) for key, row in rows.items()} == there.branches["hq"].stored
    assert stored_use.encode(LoginUse("anna", 13)) == b'{"type":"login","user":"anna","software":13}'
    there.restart()
    assert (there.used("attendant"), there.used("wallboard")) == (1, 1)
    assert there.login("bob", licence="attendant") == "no_free_licence"
    assert there.logout("anna", licence="attendant")
    assert there.login("bob", licence="attendant") is None


def test_an_agent_of_before_asks_for_nothing_of_them_and_draws_what_it_did() -> None:
    """It knows the rows of `kinds` alone: none of them names a class that it has never heard of."""
    shipped = {each.name for each in SHIPPED.lent}
    for pbx in (HQ, LYON):
        assert {class_ for class_ in kinds(pbx).values() if class_ is not None} <= shipped
    there = exchange("9 PBX-Attendant13", "1 PBX-Operator13", uses={})  # an agent that reads no `uses`
    there.settle()
    assert "attendant" not in there.house.demands["hq"]
    assert there.login("anna") is None


def test_a_master_of_before_lends_none_and_is_not_over_used() -> None:
    there = Exchange("9 PBX-Operator13", pbxs=(HQ, LYON), uses={})
    assert there.login("anna", licence="attendant") == "not_licensed"
    assert there.login("anna") is None
    assert there.used("operator") == 1


def test_a_mode_that_this_agent_does_not_know_is_not_for_it() -> None:
    later = {"operator": {"mode": "floating_login", "class": "operator_login"},
             "hologram": {"mode": "per_minute", "class": "hologram"}}  # fmt: skip
    there = exchange("1 PBX-Operator13", uses=later)
    known = uses(there.branches["hq"].seats.policy)
    for name, meant in (("hologram", ""), ("opertor", "; did you mean operator?")):
        refused = chosen(known, PER_LOGIN, name)
        assert isinstance(refused, Refusal)
        wanted = "expected a licence that is taken per login (operator)"
        assert refused.detail == f'{wanted}, found "{name}"{meant}'


def test_a_row_that_is_gone_stays_until_its_units_are_back() -> None:
    there = exchange("2 PBX-Attendant13")
    there.login("anna", licence="attendant")
    house = there.house
    house.apply(assigning.learn(house.state, SHIPPED))
    there.settle()
    assert there.used("attendant") == 1
    assert there.logout("anna", licence="attendant")
    there.settle()
    done = allocator.bye(house.state, house.demands, "hq")
    assert done.state.classes["attendant"].licence == "attendant"
    assert not done.state.holds_share("hq")
    assert tuple(assigning.learn(done.state, SHIPPED).state.classes.values()) == SHIPPED.lent


def test_a_class_of_another_name_takes_over_and_cuts_nobody() -> None:
    there = exchange("2 PBX-Attendant13")
    there.login("anna", licence="attendant")
    rows = [row | {"demand": "attendant_login"} if row["id"] == "attendant" else row for row in ROWS]
    there.house.apply(assigning.learn(there.house.state, Catalogue.from_rows(document(*rows))))
    assert offered(there.house.state.classes.values())["attendant"].class_ == "attendant_login"
    for _ in range(3):
        there.settle()
    counts = there.branches["hq"].seats.counts()
    assert (counts["attendant"].used, counts["attendant_login"].used) == (0, 1)
    assert counts["attendant_login"].surplus == 0
    assert there.logout("anna", licence="attendant")


def test_the_classes_are_in_the_ledger_and_in_every_snapshot() -> None:
    there = exchange("2 PBX-Attendant13")
    there.login("anna", licence="attendant")
    state = there.house.state
    assert replay(there.house.events) == state == decode(encode(state))
    assert state.software_at(PoolKey("", "attendant")) == 0
    assert not assigning.learn(state, CATALOGUE).events


def test_a_ledger_of_before_learns_the_classes_at_the_next_start() -> None:
    """What was cached while it knew none is forgotten with it."""
    before = decoded(b'{"event":"CatalogueLearned","licences":[]}')
    there = exchange("2 PBX-Attendant13")
    old = replay([before], there.house.state)
    assert (old.classes, old.bundle("hq", "seat")) == ({}, None)
    learned = assigning.learn(old, CATALOGUE).state
    assert learned.bundle("hq", "attendant") == ((PoolKey("", "attendant"),),)
    assert learned.reach(PoolKey("", "attendant")) == {("hq", "attendant"), ("lyon", "attendant")}


# ---- what is wrong with a row is said when it is read
@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ({"mode": "bound", "type": "Relay-Novels", "class": "hardware"}, "nothing would draw novel"),
        ({"mode": "floating_paired"}, "paired_with belongs to the mode floating_paired"),
        ({"mode": "floating_paired", "paired_with": ["uc"]}, "uc is no pool that is lent by itself"),
        (
            {"mode": "floating_paired", "paired_with": ["operator"], "platform": "ipva"},
            "operator is the same on all platforms",
        ),
        ({"mode": "floating_login", "platform": "ipva"}, "platform belongs to the mode floating_paired"),
        ({"mode": "floating_login", "queues_per_client": 2}, "belongs to the mode per_queue"),
        ({"mode": "floating_login", "min_software": 13}, "min_pbx_software, not min_software"),
        ({"mode": "floating_login", "pool": None}, "novel: a licence that is lent needs a pool"),
        ({"mode": "floating_login", "pool": "operator"}, "its pool operator is taken otherwise by operator"),
        ({"mode": "floating_login", "pool": "uc"}, "rows of several modes feed its pool uc"),
        ({"mode": "floating_login", "demand": "seat"}, "demand seat is also that of the pool port"),
        ({"mode": "floating_port", "demand": "novel"}, "demand belongs to the modes"),
        ({"mode": "floating_call", "version_compared_with": "it"}, "only a login or a watched queue"),
        ({"mode": "per_queue", "pool": "My_Pool"}, "expected small letters, digits and hyphens"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_row_that_fits_no_mode_is_named(row: dict[str, Any], wrong: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        Catalogue.from_rows(document({"id": "novel", **row}))
    assert wrong in str(caught.value)
