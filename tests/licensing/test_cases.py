"""The cases of docs/licence-rules.md that live sharing answers, each under its id."""

import pytest

from licensing import administration
from licensing.catalogue import Row
from licensing.codes import Code, Refusal
from licensing.files import inventory
from licensing.installation import Pbx, Settings
from licensing.rules import LicenceWarning
from tests.licensing.house import CATALOGUE, House

HQ = Pbx("hq", role="master", mac="009033010203")
LYON = Pbx("lyon")
VIRTUAL = Pbx("hq", role="master", platform="ipva", mac="009033010203")
LENIENT = Settings(mixed_versions="lenient")


def at(software: int, *rows: str, settings: Settings | None = None) -> House:
    """A lone master that runs this software, with these licences."""
    house = House((HQ,), settings or Settings(), {"hq": software})
    house.sync("hq")
    assert house.install(*rows) is None
    return house


# ---- Version
def test_l_v1_a_unit_serves_its_own_and_every_lower_release() -> None:
    assert [at(software, "1 PBX-Port13").usable("port") for software in (13, 12, 11)] == [1, 1, 1]


def test_l_v2_a_unit_does_not_serve_a_newer_release() -> None:
    house = at(13, "1 PBX-Port12")
    assert house.usable("port") == 0
    assert house.register("u1", "hq") == "licence_version_too_low"


def test_l_v3_an_old_installation_uses_old_and_new_units_together() -> None:
    assert at(11, "100 PBX-Port11", "100 PBX-Port13").usable("port") == 200


def test_l_v4_v5_after_the_upgrade_the_old_units_are_in_the_way_until_they_are_removed() -> None:
    house = at(11, "100 PBX-Port11", "100 PBX-Port13")
    assert house.register("u1", "hq") is None
    house.software["hq"] = 13
    house.sync("hq")
    assert house.usable("port") == 0
    assert house.shares["hq"]["seat"].recall_to == 0  # u1 goes on and is marked surplus (L.r31)
    assert house.register("u2", "hq") == "licence_version_too_low"
    assert "100 PBX-Port11" in house.sync("hq", {"seat": 1})["seat"].hint
    assert house.remove("100 PBX-Port11") is None
    assert house.usable("port") == 100
    assert house.register("u2", "hq") is None


def test_l_v6_lenient_counts_the_units_that_are_new_enough() -> None:
    assert at(13, "100 PBX-Port11", "100 PBX-Port13", settings=LENIENT).usable("port") == 100


@pytest.mark.parametrize("software", [9, 13, 99])
def test_l_v8_hardware_has_no_version(software: int) -> None:
    assert at(software, "2 Relay-PRIs").usable("relay-pri@hq") == 2


def test_l_v9_hardware_with_a_version_is_no_type() -> None:
    assert House().install("1 Relay-PRIs13") == "invalid_type"


def test_l_v15_strict_decides_for_each_pbx_by_its_own_software() -> None:
    house = House((HQ, LYON), software={"hq": 13, "lyon": 12})
    house.install("2 PBX-Port12", "2 PBX-Port13")
    assert [house.register(f"u{n}", "lyon") for n in range(4)] == [None] * 4
    assert house.register("u9", "hq") == "licence_version_too_low"


# ---- Port
def test_l_p1_to_p4_p13_one_unit_from_the_first_device_to_the_last() -> None:
    house = at(13, "1 PBX-Port13")
    assert house.used("port") == 0
    assert house.register("u1", "hq") is None  # the DECT handset
    assert house.register("u1", "hq") is None  # and the desk phone: L.P2, L.P3, L.P13
    assert house.used("port") == 1
    house.release("u1", "hq")
    assert house.used("port") == 0
    assert house.register("u2", "hq") is None


@pytest.mark.parametrize("kind", ["user", "executive", "trunk", "gateway", "answering_machine"])
def test_l_p6_p8_p20_every_registered_object_takes_one(kind: str) -> None:
    house = at(13, "5 PBX-Port13")
    assert house.register("x", "hq", kind) is None
    assert house.used("port") == 1


@pytest.mark.parametrize("kind", ["group", "waiting_queue"])
def test_l_p10_groups_and_queues_take_none(kind: str) -> None:
    house = at(13, "5 PBX-Port13")
    assert house.register("11", "hq", kind) is None
    assert house.used("port") == 0


def test_l_p12_a_refusal_leaves_nothing_behind() -> None:
    house = at(13, "1 PBX-Port13")
    assert house.register("u1", "hq") is None
    assert house.register("u2", "hq") == "no_free_licence"
    assert house.used("port") == 1
    house.release("u1", "hq")
    assert house.register("u2", "hq") is None


def test_l_p14_an_object_at_two_pbxs_draws_on_each() -> None:
    house = House((HQ, LYON))
    house.install("5 PBX-Port13")
    assert [house.register("u1", "hq"), house.register("u1", "lyon")] == [None, None]
    assert house.used("port") == 2


@pytest.mark.parametrize(
    ("rows", "capacity", "warnings"),
    [
        pytest.param(("500 PBX-Port13", "100 PBX-Port13%500"), 600, [], id="L.P15"),
        pytest.param(("100 PBX-Port13%500",), 100, [(500, 0, 500)], id="L.P16"),
        pytest.param(
            ("500 PBX-Port13", "400 Port13%500", "200 Port13%1000"), 1100, [(1000, 900, 1000)], id="L.P19"
        ),
    ],
)
def test_tiers(rows: tuple[str, ...], capacity: int, warnings: list[tuple[int, int, int]]) -> None:
    house = at(13, *rows)
    assert house.usable("port") == capacity
    assert inventory.warnings(house.state) == tuple(
        LicenceWarning(Code.TIER_BASE_MISSING, pool="port", tier=tier, have=have, need=need)
        for tier, have, need in warnings
    )


TIERS = [row for row in CATALOGUE.rows.values() if row.tier]


@pytest.mark.parametrize("row", TIERS, ids=lambda row: row.id)
def test_l_r19_each_tier_of_the_catalogue_builds_on_as_many_units_below_it(row: Row) -> None:
    assert row.pool is not None
    name = "Port" if row.pool == "port" else "Standby"
    house = at(13, f"1 {row.type_for(13)}", f"{row.tier - 1} PBX-{name}11")
    short = LicenceWarning(
        Code.TIER_BASE_MISSING, pool=row.pool, tier=row.tier, have=row.tier - 1, need=row.tier
    )
    assert inventory.warnings(house.state) == (short,)
    house.install(f"1 PBX-{name}13")
    assert inventory.warnings(house.state) == ()
    house.remove(f"{row.tier - 1} PBX-{name}11")
    assert house.usable("port" if name == "Port" else "standby") == (2 if name == "Port" else 0)


# ---- Standby
def test_l_s1_as_many_standby_as_port_and_the_feature_is_on() -> None:
    assert at(13, "200 PBX-Port13", "200 PBX-Standby13").usable("standby") == 200


def test_l_s2_one_missing_and_it_is_off_as_a_whole() -> None:
    house = at(13, "200 PBX-Port13", "199 PBX-Standby13")
    pool = next(pool for pool in house.state.pools.values() if pool.key.pool == "standby")
    assert (house.usable("standby"), pool.reason, pool.missing) == (0, Code.STANDBY_SHORT, 1)


def test_l_s4_standby_lies_on_the_master_only() -> None:
    assert House((HQ, LYON)).install("200 PBX-Standby13", place="lyon") == "master_only"


def test_standby_units_are_lent_in_advance_and_only_while_the_feature_is_on() -> None:
    house = House((HQ, Pbx("spare", standby_for=("hq",))))
    house.install("3 PBX-Port13", "3 PBX-Standby13")
    assert house.draw("u1", "spare", "standby_seat") is None
    assert (house.used("standby"), house.used("port")) == (1, 0)
    house.install("1 PBX-Port13")
    assert house.draw("u2", "spare", "standby_seat") == "standby_short"
    assert house.draw("u2", "hq", "standby_seat") == "not_licensed"


def test_l_r16_a_standby_pbx_in_local_mode_cannot_draw_standby() -> None:
    house = House((HQ, Pbx("spare", standby_for=("hq",))))
    house.install("3 PBX-Port13", "3 PBX-Standby13")
    house.install("1 PBX-Port13", place="spare")
    assert house.draw("u1", "spare", "standby_seat") == "local_mode"


# ---- IPVA
def test_l_i1_port_and_ipva_are_drawn_together() -> None:
    house = House((VIRTUAL,))
    house.install("10 PBX-Port13", "10 PBX-IPVA13")
    assert [house.register(f"u{n}", "hq") for n in range(10)] == [None] * 10
    assert (house.used("port"), house.used("ipva")) == (10, 10)


def test_l_i2_without_an_ipva_no_port_is_taken() -> None:
    house = House((VIRTUAL,))
    house.install("10 PBX-Port13", "8 PBX-IPVA13")
    codes = [house.register(f"u{n}", "hq") for n in range(10)]
    assert codes == [None] * 8 + ["ipva_missing"] * 2
    assert (house.used("port"), house.used("ipva")) == (8, 8)


def test_l_i4_a_gateway_needs_no_ipva() -> None:
    house = at(13, "10 PBX-Port13")
    assert [house.register(f"u{n}", "hq") for n in range(10)] == [None] * 10
    assert house.used("ipva") == 0


def test_l_i6_an_ipva_file_for_another_mac() -> None:
    house = House((VIRTUAL,))
    items = [inventory.Item("PBX-IPVA13", 1, mac="00-90-33-09-09-09")]
    refused = inventory.install(house.state, CATALOGUE, items)
    assert isinstance(refused, tuple)
    assert refused[0].code is Code.MAC_MISMATCH
    assert "00-90-33-09-09-09" in refused[0].detail
    assert "00-90-33-01-02-03" in refused[0].detail


def test_l_i7_a_virtual_slave_draws_from_the_pool_of_a_hardware_master() -> None:
    house = House((HQ, Pbx("lyon", platform="ipva", mac="0090330a0b0c")))
    assert house.install("1 PBX-Port13") is None
    assert house.install("1 PBX-IPVA13", mac="00:90:33:01:02:03") is None
    assert house.register("u1", "lyon") is None


def test_l_r13_bound_to_the_consumer_ipva_units_serve_only_the_pbx_they_name() -> None:
    nancy = Pbx("nancy", platform="ipva", mac="0090330a0b0d")
    lyon = Pbx("lyon", platform="ipva", mac="0090330a0b0c")
    house = House((HQ, lyon, nancy), Settings(ipva_binding="consumer"))
    house.install("9 PBX-Port13")
    assert house.install("1 PBX-IPVA13", mac="00-90-33-0a-0b-0c") is None
    assert house.register("u1", "nancy") == "ipva_missing"
    assert house.register("u1", "lyon") is None


def test_l_i9_an_old_ipva_is_too_low_and_no_port_is_taken() -> None:
    house = House((VIRTUAL,))
    house.install("1 PBX-Port13", "1 PBX-IPVA12")
    assert house.register("u1", "hq") == "licence_version_too_low"
    assert house.used("port") == 0


# ---- SMB
def test_l_b1_to_b3_smb_grows_inside_its_size_only() -> None:
    house = at(13, "12 PBX-Port13$20")
    assert house.usable("smb-port") == 12
    assert house.register("u1", "hq") is None
    assert house.used("smb-port") == 1
    assert house.install("8 Port13\\$20") is None
    assert house.usable("smb-port") == 20
    assert house.install("1 PBX-Port13$20") == "smb_cap"
    refused = inventory.install(house.state, CATALOGUE, [inventory.Item("PBX-Port13$20", 1)])
    assert isinstance(refused, tuple)
    assert "PBX-Port13$$" in refused[0].hint


SIZES = [row for row in CATALOGUE.rows.values() if row.cap]


@pytest.mark.parametrize("row", SIZES, ids=lambda row: row.id)
def test_l_r17_each_size_of_the_catalogue_is_full_at_its_cap(row: Row) -> None:
    house = at(13, f"{row.cap - 1} {row.type_for(12)}", f"1 {row.type_for(13)}")
    assert house.install(f"1 {row.type_for(13)}") == "smb_cap"
    assert house.remove(f"1 {row.type_for(12)}") is None
    assert house.install(f"1 {row.type_for(13)}") is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("10 PBX-Port13$30", "1 PBX-Port13", id="L.B5"),
        pytest.param("20 PBX-Port13$20", "20 PBX-Standby13", id="L.S5"),
        pytest.param("5 PBX-Port13$20", "5 PBX-Port13$30", id="two sizes"),
    ],
)
def test_smb_exclusions_hold_in_either_order(first: str, second: str) -> None:
    for one, other in ((first, second), (second, first)):
        house = House()
        assert house.install(one) is None
        assert house.install(other) == "smb_exclusion"


def test_l_b10_no_second_pbx_beside_smb_nor_smb_beside_one() -> None:
    house = at(13, "5 PBX-Port13$20")
    refused = administration.configure(house.state, house.settings, (HQ, LYON), {})
    assert isinstance(refused, Refusal)
    assert refused.code is Code.SMB_EXCLUSION
    assert House((HQ, LYON)).install("5 PBX-Port13$20") == "smb_exclusion"


# ---- Hardware, as far as installing goes
@pytest.mark.parametrize(
    ("row", "place", "mac"),
    [
        pytest.param("1 Relay-PRIs", "lyon", "00-90-33-01-02-03", id="L.H5 of another gateway"),
        pytest.param("1 Relay-PRIs", None, "00-90-33-0a-0a-0a", id="L.H5 on the master for a slave"),
        pytest.param("1 Relay-Channels", "cloud", None, id="L.C7"),
    ],
)
def test_hardware_stays_with_its_box(row: str, place: str | None, mac: str | None) -> None:
    lyon = Pbx("lyon", mac="0090330a0a0a")
    house = House((HQ, lyon, Pbx("cloud", platform="ipva", cloud=True)))
    assert house.install(row, place=place, mac=mac) == "hardware_bound"


def test_l_h5_hardware_is_not_deleted() -> None:
    house = at(13, "1 Relay-PRIs")
    assert house.remove("1 Relay-PRIs") == "hardware_bound"


# ---- Central and local
def test_l_d1_master_and_slaves_draw_from_one_pool() -> None:
    house = House((HQ, Pbx("a"), Pbx("b")))
    house.install("100 PBX-Port13")
    assert {house.register(f"a{n}", "a") for n in range(60)} == {None}
    assert {house.register(f"b{n}", "b") for n in range(40)} == {None}
    assert house.used("port") == 100
    assert {house.register("x", pbx) for pbx in ("hq", "a", "b")} == {"no_free_licence"}


def test_l_d2_a_pbx_with_licences_of_its_own_uses_none_of_the_masters() -> None:
    house = House((HQ, Pbx("a")))
    house.install("100 PBX-Port13")
    house.install("10 PBX-Port13", place="a")
    assert {house.register(f"u{n}", "a") for n in range(10)} == {None}
    assert house.register("u10", "a") == "local_mode"
    assert (house.used("port@a"), house.used("port")) == (10, 0)
    house.remove("10 PBX-Port13", place="a")
    house.sync("a")
    assert house.used("port") == 10  # what it holds is drawn from the master from now on
    assert house.register("u10", "a") is None


@pytest.mark.parametrize("row", ["1 PBX-Fax12", "1 PBX-Port11", "1 PBX-App(chat)13"])
def test_l_r23_any_software_unit_usable_or_not_makes_a_pbx_local(row: str) -> None:
    house = House((HQ, LYON))
    house.install("9 PBX-Port13")
    house.install(row, place="lyon")
    assert house.register("u1", "lyon") in ("local_mode", "licence_version_too_low")


def test_a_site_that_becomes_local_keeps_its_phones_as_surplus_of_the_master() -> None:
    house = House((HQ, LYON))
    house.install("9 PBX-Port13")
    assert {house.register(f"u{n}", "lyon") for n in range(5)} == {None}
    house.install("2 PBX-Port13", place="lyon")
    house.sync("lyon")
    assert (house.used("port@lyon"), house.used("port")) == (2, 3)
    grant = house.shares["lyon"]["seat"]
    assert (grant.granted, grant.recall_to) == (5, 2)
    assert house.register("u9", "lyon") == "local_mode"
    for n in range(4):
        house.release(f"u{n}", "lyon")
    assert (house.used("port@lyon"), house.used("port")) == (1, 0)
    assert house.register("u9", "lyon") is None


def test_l_d7_a_pool_that_shrank_cuts_nobody_and_marks_the_newest() -> None:
    house = House((HQ, Pbx("a"), Pbx("b")))
    house.install("40 PBX-Port13")
    assert {house.register(f"a{n}", "a") for n in range(20)} == {None}
    assert {house.register(f"b{n}", "b") for n in range(20)} == {None}
    house.remove("10 PBX-Port13")
    house.sync("a")
    house.sync("b")
    assert house.shares["a"]["seat"].recall_to is None
    assert (house.shares["b"]["seat"].granted, house.shares["b"]["seat"].recall_to) == (20, 10)
    assert house.register("a20", "a") == "no_free_licence"
    for n in range(11):
        house.release(f"b{n}", "b")
    assert house.used("port") == 29
    assert house.register("a20", "a") is None
    assert house.register("a21", "a") == "no_free_licence"


# ---- Catalogue
def test_l_k2_software_without_a_version_is_quarantined() -> None:
    house = at(13, "3 App(innovaphone-recorder)")
    assert house.usable("recording") == 0
    assert inventory.warnings(house.state) == (
        LicenceWarning(Code.QUARANTINED, type="App(innovaphone-recorder)"),
    )


def test_l_r2_quarantined_units_exclude_nothing_and_make_nothing_local() -> None:
    house = House((HQ, LYON))
    assert house.install("3 Port$20", place="lyon") is None
    assert house.install("3 PBX-Port13") is None
    assert house.state.local == frozenset()
