"""The cases of docs/licence-rules.md about calls, logins and queues, each under its id, on live agents."""

import pytest

from licensing import hardware
from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.installation import Pbx
from licensing.offers import BEFORE, offered
from licensing.site.use import Leg
from tests.licensing.exchange import Exchange
from tests.licensing.house import CATALOGUE, DOCUMENT, House

HQ = Pbx("hq", role="master", model="IP3011", mac="009033010203", interfaces=("pri1",))
IP811 = Pbx("hq", role="master", model="IP811", interfaces=("bri1", "bri2"))
LYON = Pbx("lyon", platform="ipva", mac="0090330a0b0c")


# ---- Lines of carriers
def test_b_e21_the_5th_call_of_4_over_a_carrier_s_line_is_refused() -> None:
    exchange = Exchange("2 Relay-Channels", pbxs=(IP811,), channels={"0142": 4, "*": 1})
    line, other = "carrier/0142", "carrier/0143"
    assert {exchange.call(f"c{n}", line) for n in range(4)} == {None}
    assert exchange.call("c4", line) == "line_channels_exhausted"
    assert (exchange.call("d0", other), exchange.call("d1", other)) == (None, "line_channels_exhausted")
    assert exchange.used("relay-channel@hq") == 0
    assert exchange.hangup("c2")
    assert exchange.call("c4", line) is None


def test_b_e21_nobody_limits_a_carrier_s_line_without_a_row_and_0_closes_it() -> None:
    exchange = Exchange(pbxs=(IP811,), channels={"0142": 0})
    assert exchange.call("c0", "carrier/0142") == "line_channels_exhausted"
    assert {exchange.call(f"c{n}", "carrier/0143") for n in range(1, 50)} == {None}


# ---- Hardware
def test_l_h1_units_open_interfaces_in_configuration_order() -> None:
    exchange = Exchange("1 Relay-BRIs", "4 Relay-Channels", pbxs=(IP811,))
    assert exchange.call("c2", "bri2") == "relay_missing"  # also when it rings first
    assert exchange.call("c1", "bri1") is None
    assert (exchange.used("relay-bri@hq"), exchange.used("relay-channel@hq")) == (1, 1)
    assert exchange.call("c3", "bri1") is None
    assert exchange.call("c4", "bri1") == "relay_channels_exhausted"  # a BRI has two channels
    assert exchange.call("c5", "bri7") == "relay_missing"
    assert exchange.call("c6", "isdn") == "unknown_object"


def test_l_h1_only_the_ip811_needs_units_for_its_bri_interfaces() -> None:
    other = Pbx("hq", role="master", model="IP3011", interfaces=("bri1", "pri1"))
    exchange = Exchange("1 Relay-Channels", pbxs=(other,))
    assert exchange.call("c1", "pri1") == "relay_missing"
    assert exchange.call("c2", "bri1") is None


def test_l_h2_channels_of_a_full_interface() -> None:
    assert hardware.CHANNELS == {"bri": 2, "pri": 30}


def test_l_h3_the_21st_call_is_refused_and_the_20_go_on() -> None:
    exchange = Exchange("1 Relay-PRIs", "20 Relay-Channels", pbxs=(HQ,))
    assert {exchange.call(f"c{n}", "pri1") for n in range(20)} == {None}
    assert exchange.call("c20", "pri1") == "relay_channels_exhausted"
    assert exchange.used("relay-channel@hq") == 20
    assert exchange.hangup("c7")
    assert exchange.call("c20", "pri1") is None


def test_l_h3_channels_are_this_box_s_own_and_need_no_master() -> None:
    exchange = Exchange("1 Relay-PRIs", "20 Relay-Channels", pbxs=(HQ, LYON))
    exchange.away = True
    assert {exchange.call(f"c{n}", "pri1") for n in range(20)} == {None}
    assert exchange.call("c20", "pri1") == "relay_channels_exhausted"  # at once: there are no others
    assert exchange.now == 0


@pytest.mark.parametrize("model", ["IP311", "IP411", "IP511"])
def test_l_h4_these_gateways_include_everything(model: str) -> None:
    gateway = Pbx("hq", role="master", model=model, interfaces=("bri1", "bri2", "pri1"))
    exchange = Exchange(pbxs=(gateway,))
    calls = [exchange.call(f"{line}-{n}", line) for line in gateway.interfaces for n in range(2)]
    assert calls == [None] * 6
    assert exchange.call("bri1-2", "bri1") == "relay_channels_exhausted"  # a BRI has no third channel


def test_l_h8_relay_channels_of_an_ipva_open_seats_there() -> None:
    exchange = Exchange(pbxs=(HQ, LYON))
    assert exchange.house.install("1 Relay-Channels", place="lyon", mac="00-90-33-0A-0B-0C") is None
    exchange.settle()
    assert exchange.join("room1", "c1", at="lyon") is None
    assert exchange.used("relay-channel@lyon") == 1
    assert exchange.join("room1", "c1", at="hq") == "no_free_licence"  # it serves no other PBX
    assert exchange.house.state.local == frozenset()  # Relay units never cause local mode (L.r23)


def test_new_relay_licences_are_told_to_their_box_at_once() -> None:
    house = House((HQ, LYON))
    item = Item("Relay-Channels", 2, "lyon", "00-90-33-0A-0B-0C")
    found = inventory.install(house.state, CATALOGUE, [item])
    assert house.apply(found).wake == {"lyon"}


def test_newer_licences_are_told_at_once_to_who_compares_clients() -> None:
    exchange = Exchange("1 PBX-Operator12", pbxs=(HQ, LYON))
    assert exchange.login("anna", software=13) == "licence_version_too_low"
    house = exchange.house
    assert house.remove("1 PBX-Operator12") is None
    found = inventory.install(house.state, CATALOGUE, [Item("PBX-Operator13", 1)], demands=house.demands)
    assert house.apply(found).wake == {"hq"}  # lyon has never asked
    exchange.sync("hq")
    assert exchange.login("anna", software=13) is None


def test_a_newer_client_is_not_too_new_for_licences_that_are_gone() -> None:
    exchange = Exchange("2 PBX-Operator13", "2 PBX-QueueMonitor13")
    assert exchange.login("anna") is None
    assert exchange.monitor("q1", "pc1") is None
    assert exchange.login("bob", software=14) == "licence_version_too_low"
    assert exchange.house.remove("2 PBX-Operator13", "2 PBX-QueueMonitor13") is None
    exchange.settle()
    assert exchange.login("bob", software=14) == "no_free_licence"  # anna goes on
    assert exchange.login("cora", software=13) == "no_free_licence"
    assert exchange.monitor("q2", "pc1", software=14) == "no_free_licence"
    assert exchange.house.install("2 PBX-Operator13") is None
    exchange.settle()
    assert exchange.login("bob", software=14) == "licence_version_too_low"
    assert exchange.login("cora", software=13) is None


def test_the_models_are_those_of_the_catalogue() -> None:
    models = {model for row in DOCUMENT["hardware_included"] for model in row["models"]}
    assert models == hardware.INCLUDED
    assert set(CATALOGUE.rows["relay-bri"].models_needing_it) == hardware.BRI_BY_LICENCE


def test_an_older_master_offers_what_the_catalogue_did_then() -> None:
    assert offered(CATALOGUE.lent) == BEFORE


# ---- Conference channels
def test_l_c1_c2_a_leg_takes_a_channel_until_it_leaves() -> None:
    exchange = Exchange("8 PBX-Channels13")
    assert exchange.used("pbx-channels") == 0
    assert [exchange.join("room1", f"c{n}") for n in range(5)] == [None] * 5
    assert exchange.used("pbx-channels") == 5
    assert [exchange.leave("room1", f"c{n}") for n in range(3)] == [True] * 3
    assert exchange.used("pbx-channels") == 2
    assert not exchange.leave("room1", "c0")


def test_l_c3_the_ninth_caller_is_refused_and_the_others_stay() -> None:
    exchange = Exchange("8 PBX-Channels13")
    assert [exchange.join(f"room{n % 3}", f"c{n}") for n in range(8)] == [None] * 8
    assert exchange.join("room1", "c8") == "no_free_licence"
    assert exchange.used("pbx-channels") == 8
    assert exchange.leave("room0", "c0")
    assert exchange.join("room1", "c8") is None


def test_l_c4_relay_channels_of_the_hosting_box_come_second() -> None:
    exchange = Exchange("4 PBX-Channels13", "4 Relay-Channels")
    codes = [exchange.join("room1", f"c{n}") for n in range(9)]
    assert codes == [None] * 8 + ["no_free_licence"]
    assert (exchange.used("pbx-channels"), exchange.used("relay-channel@hq")) == (4, 4)


def test_l_c7_a_cloud_site_has_no_relay_channels() -> None:
    house = House((Pbx("hq", role="master", cloud=True),))
    assert house.install("1 Relay-Channels") == "hardware_bound"


def test_l_c9_joins_need_channels() -> None:
    assert Exchange().join("room1", "c1") == "no_free_licence"


def test_l_c10_channels_serve_a_cloud_site() -> None:
    exchange = Exchange("2 PBX-Channels13", pbxs=(HQ, Pbx("cloud", platform="ipva", cloud=True)))
    assert [exchange.join("room1", f"c{n}", at="cloud") for n in range(3)] == [None, None, "no_free_licence"]


# ---- L.r24, L.r25
def test_l_r24_a_unit_goes_back_where_it_came_from() -> None:
    exchange = Exchange("2 PBX-Channels13", "2 Relay-Channels")
    assert [exchange.join("room1", f"c{n}") for n in range(4)] == [None] * 4
    exchange.leave("room1", "c0")
    assert (exchange.used("pbx-channels"), exchange.used("relay-channel@hq")) == (1, 2)  # nothing is swapped
    exchange.leave("room1", "c3")
    assert (exchange.used("pbx-channels"), exchange.used("relay-channel@hq")) == (1, 1)


def test_l_r24_prefer_local_turns_the_order_round() -> None:
    exchange = Exchange("1 PBX-Channels13", "1 Relay-Channels")
    assert exchange.join("room1", "c1", prefer_local=True) is None
    assert (exchange.used("pbx-channels"), exchange.used("relay-channel@hq")) == (0, 1)
    assert exchange.join("room1", "c2", prefer_local=True) is None
    assert exchange.join("room1", "c3", prefer_local=True) == "relay_channels_exhausted"
    assert exchange.join("room1", "c4") == "no_free_licence"


def test_l_r24_idle_pbx_channels_elsewhere_come_before_relay_channels() -> None:
    exchange = Exchange("4 PBX-Channels13", "4 Relay-Channels", pbxs=(HQ, LYON))
    assert [exchange.join("room1", f"c{n}") for n in range(4)] == [None] * 4
    assert (exchange.used("pbx-channels"), exchange.used("relay-channel@hq")) == (4, 0)


def test_l_r24_what_another_pool_serves_was_never_refused() -> None:
    exchange = Exchange("1 PBX-Channels13", "1 Relay-Channels")
    exchange.join("room1", "c1")
    exchange.join("room1", "c2")
    assert (exchange.refused("conference_leg"), exchange.refused("relay_channel")) == (0, 0)
    exchange.join("room1", "c3")
    assert (exchange.refused("conference_leg"), exchange.refused("relay_channel")) == (1, 0)
    assert exchange.told() == [
        ("leg:room1/c1", "held", None),
        ("leg:room1/c2", "held", None),
        ("leg:room1/c3", "refused", "no_free_licence"),
    ]


def test_l_r24_in_local_mode_the_code_says_so() -> None:
    exchange = Exchange("5 PBX-Channels13", pbxs=(HQ, Pbx("lyon")))
    assert exchange.house.install("1 PBX-Channels13", place="lyon") is None
    exchange.settle()
    assert exchange.join("room1", "c1", at="lyon") is None
    assert exchange.join("room1", "c2", at="lyon") == "local_mode"


def test_l_r24_too_old_channels_say_so() -> None:
    assert Exchange("5 PBX-Channels12").join("room1", "c1") == "licence_version_too_low"


def test_l_r25_an_isdn_caller_holds_a_channel_and_a_seat() -> None:
    exchange = Exchange("1 Relay-PRIs", "3 Relay-Channels", "1 PBX-Channels13", pbxs=(HQ,))
    assert [exchange.call("c1", "pri1"), exchange.join("room1", "c1")] == [None, None]
    assert (exchange.used("relay-channel@hq"), exchange.used("pbx-channels")) == (1, 1)
    assert [exchange.call("c2", "pri1"), exchange.join("room1", "c2")] == [None, None]
    assert (exchange.used("relay-channel@hq"), exchange.used("pbx-channels")) == (3, 1)
    assert exchange.call("c3", "pri1") == "relay_channels_exhausted"
    assert exchange.hangup("c2")  # it leaves the room too
    assert (exchange.used("relay-channel@hq"), exchange.used("pbx-channels")) == (1, 1)


def test_an_emergency_call_is_never_refused() -> None:
    exchange = Exchange("1 Relay-PRIs", "1 Relay-Channels", pbxs=(HQ,))
    assert exchange.call("c1", "pri1") is None
    assert exchange.call("c2", "pri1", emergency=True) is None
    assert exchange.call("c3", "pri7", emergency=True) is None
    assert exchange.used("relay-channel@hq") == 1
    exchange.hangup("c1")
    assert exchange.call("c4", "pri1") == "relay_channels_exhausted"  # the unit serves the emergency call


# ---- Operator and Queue Monitor
def test_l_v11_an_operator_licence_is_compared_with_the_client() -> None:
    exchange = Exchange("1 PBX-Operator13")
    assert exchange.login("anna", software=14) == "licence_version_too_low"
    assert exchange.login("anna", software=12) is None
    assert exchange.login("bob", software=14) == "licence_version_too_low"
    newer = Exchange("1 PBX-Operator13", software={"hq": 14})  # whatever the PBX runs
    assert newer.login("anna", software=13) is None


def test_a_client_that_waited_for_a_unit_that_does_not_serve_it_is_told_to_be_refused() -> None:
    """As any other that is refused: with its code, counted; and the unit is there for the next one."""
    exchange = Exchange("1 PBX-Operator13")
    assert exchange.login("anna", software=14) == "licence_version_too_low"
    assert exchange.told() == [("login:anna", "refused", "licence_version_too_low")]
    assert exchange.refused("operator_login") == 1
    assert exchange.login("bob", software=13) is None


def test_l_u13_the_third_operator_logs_in_when_one_logs_out() -> None:
    exchange = Exchange("2 PBX-Operator13", pbxs=(HQ, LYON))
    assert [exchange.login("anna"), exchange.login("bob", at="lyon")] == [None, None]
    assert exchange.login("cora") == "no_free_licence"
    assert exchange.used("operator") == 2
    assert exchange.logout("bob", at="lyon")
    assert exchange.login("cora") is None
    assert not exchange.logout("bob", at="lyon")


def test_l_u17_a_queue_counts_once_however_many_watch_it() -> None:
    exchange = Exchange("2 PBX-QueueMonitor13")
    assert exchange.monitor("q1", "c1") is None
    assert exchange.monitor("q1", "c2") is None
    assert exchange.used("queue-monitor") == 1
    assert exchange.monitor("q2", "c2") is None
    assert exchange.used("queue-monitor") == 2
    assert exchange.monitor("q3", "c1") == "no_free_licence"
    assert exchange.unmonitor("q1", "c1")
    assert exchange.used("queue-monitor") == 2  # c2 watches it still
    assert exchange.unmonitor("q1", "c2")
    assert exchange.monitor("q3", "c1") is None


def test_l_r30_a_client_watches_two_queues_at_most() -> None:
    exchange = Exchange("5 PBX-QueueMonitor13")
    assert [exchange.monitor(f"q{n}", "c1") for n in range(3)] == [None, None, "queues_per_client"]
    assert exchange.monitor("q1", "c1") is None  # it watches that one already
    exchange.unmonitor("q0", "c1")
    assert exchange.monitor("q2", "c1") is None


def test_l_r7_queue_monitor_needs_a_pbx_with_software_9() -> None:
    assert Exchange("1 PBX-QueueMonitor8", software={"hq": 8}).monitor("q1", "c1", 8) == "min_software"
    assert Exchange("1 PBX-QueueMonitor9", software={"hq": 9}).monitor("q1", "c1", 9) is None


def test_l_r4_a_newer_client_may_not_watch_a_queue_that_an_older_one_watches() -> None:
    exchange = Exchange("1 PBX-QueueMonitor13")
    assert exchange.monitor("q1", "c1", 13) is None
    assert exchange.monitor("q1", "c2", 14) == "licence_version_too_low"
    assert exchange.used("queue-monitor") == 1
    assert exchange.unmonitor("q1", "c1")
    assert exchange.used("queue-monitor") == 0


# ---- As for phones
def test_l_r31_a_smaller_pool_ends_no_login() -> None:
    exchange = Exchange("2 PBX-Operator13")
    assert [exchange.login("anna"), exchange.login("bob")] == [None, None]
    assert exchange.house.remove("1 PBX-Operator13") is None
    exchange.settle()
    assert exchange.login("cora") == "no_free_licence"
    assert exchange.logout("anna")
    assert exchange.login("cora") == "no_free_licence"  # used < usable first
    assert exchange.logout("bob")
    assert exchange.login("cora") is None


def test_a_share_serves_while_the_master_is_away_and_no_longer_than_it_lasts() -> None:
    exchange = Exchange("3 PBX-Operator13")
    assert exchange.login("anna") is None  # and two to spare
    exchange.away = True
    assert [exchange.login("bob"), exchange.login("cora"), exchange.login("dora")] == [
        None,
        None,
        "master_away",
    ]
    exchange.away = False
    exchange.logout("anna")
    assert exchange.login("dora") is None


def test_away_report_admits_without_a_licence() -> None:
    exchange = Exchange("1 PBX-Operator13", away="report")
    assert exchange.login("anna") is None
    exchange.away = True
    assert exchange.login("bob") is None
    assert ("login:bob", "reported", "master_away") in exchange.told()


def test_report_mode_refuses_nothing_and_prefers_what_is_licensed() -> None:
    exchange = Exchange(
        "1 PBX-Channels13", "1 Relay-Channels", "1 Relay-PRIs", pbxs=(HQ,), enforcement="report"
    )
    assert [exchange.join("room1", f"c{n}") for n in range(3)] == [None] * 3
    assert (exchange.used("pbx-channels"), exchange.used("relay-channel@hq")) == (1, 1)
    assert exchange.call("c9", "pri7") is None
    assert ("call:c9", "reported", "relay_missing") in exchange.told()


def test_a_crash_neither_frees_nor_doubles_a_use() -> None:
    exchange = Exchange(
        "2 PBX-Operator13", "2 PBX-QueueMonitor13", "2 PBX-Channels13", "3 Relay-Channels", pbxs=(HQ,)
    )
    exchange.login("anna")
    exchange.monitor("q1", "c1")
    exchange.monitor("q1", "c2")
    for n in range(3):
        exchange.join("room1", f"c{n}")
    exchange.call("c0")
    pools = ("operator", "queue-monitor", "pbx-channels", "relay-channel@hq")
    before = [exchange.used(pool) for pool in pools]
    assert before == [1, 1, 2, 2]
    exchange.restart()
    assert [exchange.used(pool) for pool in pools] == before
    assert exchange.login("anna") is None
    assert exchange.hangup("c0")
    exchange.unmonitor("q1", "c1")
    exchange.unmonitor("q1", "c2")
    exchange.logout("anna")
    assert [exchange.used(pool) for pool in pools] == [0, 0, 1, 1]


def test_what_nobody_waits_for_any_more_takes_nothing() -> None:
    exchange = Exchange("1 PBX-Operator13", pbxs=(HQ, LYON))
    exchange.login("anna", at="lyon")
    branch = exchange.branches["hq"]
    branch.clients.login("bob", 13, exchange.now)
    assert branch.uses.asked() == ("login:bob",)
    assert branch.clients.logout("bob", exchange.now)
    exchange.logout("anna", at="lyon")
    assert exchange.used("operator") == 0


def test_the_pbx_s_own_word_ends_what_is_over_and_finds_what_goes_on() -> None:
    exchange = Exchange("2 PBX-Channels13")
    exchange.join("room1", "c1")
    exchange.now = 10
    exchange.join("room1", "c2")
    branch = exchange.branches["hq"]
    branch.uses.snapshot(Leg, [Leg("room1", "c3")], asked_ms=5, now_ms=20)
    assert list(branch.uses.all()) == ["leg:room1/c2", "leg:room1/c3"]  # c2 joined after the question


def test_names_that_follow_each_other_are_told_apart() -> None:
    exchange = Exchange("5 PBX-Channels13")
    assert [exchange.join("a/b", "c"), exchange.join("a", "b/c")] == [None, None]
    assert exchange.used("pbx-channels") == 2
