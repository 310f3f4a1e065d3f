"""The cases of docs/licence-rules.md on licences that are assigned to users and objects, under their ids."""

import msgspec
import pytest

from licensing import administration
from licensing.administration import Change
from licensing.files import delivery, inventory
from licensing.files.delivery import Here
from licensing.files.inventory import Item
from licensing.files.licence_file import SignedFile
from licensing.installation import Pbx, Settings
from licensing.ledger import AnyEvent, Installed, Removed
from licensing.named import assigning
from licensing.named.assigned import CatalogueLearned, UnitsKept
from licensing.named.assigning import Wish
from licensing.named.assignment import Assignment, Subject
from licensing.named.standing import standings
from tests.licensing.house import CATALOGUE
from tests.licensing.office import Office as Issuer
from tests.licensing.staff import Staff

HQ = Pbx("hq", role="master", mac="009033010203")
LYON = Pbx("lyon")
SEVEN = ("app-phone", "app-softphone", "appsharing", "video", "voicemail-user", "mobility", "fax")
PHONE, SOFTPHONE = "PBX-App(phone)13", "PBX-App(softphone)13"


def office(*rows: str, software: int = 13, settings: Settings | None = None) -> Staff:
    """A lone master that runs this software, with these licences."""
    made = Staff((HQ,), settings or Settings(), {"hq": software})
    made.sync("hq")
    assert made.install(*rows) is None
    return made


# ---- Version
@pytest.mark.parametrize(("software", "code"), [(10, None), (9, "min_software"), (8, "min_software")])
def test_l_v10_voicemail_needs_software_10(software: int, code: str | None) -> None:
    house = office("1 PBX-VoicemailUser13", software=software)
    assert house.assign("u1", "voicemail-user") == [code]
    assert house.taken("voicemail-user") == (code is None)


@pytest.mark.parametrize(("software", "code"), [(13, None), (12, "min_software")])
def test_l_v14_the_voicemail_app_comes_with_software_13(software: int, code: str | None) -> None:
    house = office("1 PBX-VoicemailUser13", software=software)
    house.assign("u1", "voicemail-user")
    app = house.rights("u1").apps["voicemail-app"]
    assert (app.has, app.reason and str(app.reason.code)) == (code is None, code)


def test_l_r7_inside_uc_only_the_voicemail_part_waits_for_newer_software() -> None:
    house = office("1 PBX-UC13", software=9)
    assert house.assign("u1", "uc") == [None]
    assert [part for part in SEVEN if not house.has("u1", part)[0]] == ["voicemail-user"]
    reason = house.rights("u1").licences["voicemail-user"].reason
    assert reason is not None
    assert str(reason.code) == "min_software"
    house.software["hq"] = 10
    house.sync("hq")
    assert house.has("u1", *SEVEN) == [True] * 7


def test_l_r5_assigned_licences_follow_the_version_rule_and_the_reason_names_the_rows_in_the_way() -> None:
    house = office("1 PBX-Fax11", "1 PBX-Fax13", software=11)
    assert [house.assign(user, "fax") for user in ("u1", "u2", "u3")] == [[None], [None], ["not_licensed"]]
    house.software["hq"] = 13
    house.sync("hq")
    assert [house.code(user, "fax") for user in ("u1", "u2", "u3")] == ["licence_version_too_low"] * 3
    reason = house.standing("u1", "fax").reason
    assert reason is not None
    assert "1 PBX-Fax11" in reason.detail
    house.remove("1 PBX-Fax11")
    assert [house.code(user, "fax") for user in ("u1", "u2", "u3")] == [None, "not_licensed", "not_licensed"]


def test_l_r6_lenient_gives_the_old_units_to_the_pbx_with_old_software() -> None:
    house = Staff((HQ, LYON), Settings(mixed_versions="lenient"), {"hq": 13, "lyon": 12})
    house.sync("hq")
    house.sync("lyon")
    house.install("1 PBX-Fax12", "1 PBX-Fax13")
    assert house.assign("u1", "fax", pbx="hq") == [None]
    assert house.assign("u2", "fax", pbx="hq") == ["licence_version_too_low"]
    assert house.assign("u3", "fax", pbx="lyon") == [None]
    assert house.code("u2", "fax") == "not_licensed"


# ---- Users and bundle
def test_l_u1_uc_is_taken_when_assigned_without_any_device() -> None:
    house = office("1 PBX-UC13")
    assert house.assign("u1", "uc") == [None]
    assert (house.taken("uc"), house.used("port")) == (1, 0)


def test_l_u2_the_seven_parts_are_licensed() -> None:
    house = office("1 PBX-UC13")
    house.assign("u1", "uc")
    assert house.has("u1", *SEVEN) == [True] * 7
    assert {house.rights("u1").licences[part].through for part in SEVEN} == {"uc"}


def test_l_u3_the_others_are_not() -> None:
    house = office("1 PBX-UC13")
    house.assign("u1", "uc")
    others = ("app-chat", "app-conference", "app-switchboard", "reporting", "recording")
    assert house.has("u1", *others) == [False] * 5
    assert house.has("u1", "chat-app", "calllist-app", "rcc") == [True] * 3  # free beside it (4)


def test_l_u4_a_part_of_uc_goes_to_nobody_else() -> None:
    house = office("1 PBX-UC13")
    house.assign("u1", "uc")
    assert house.assign("u2", "voicemail-user") == ["not_licensed"]
    reason = house.standing("u2", "voicemail-user").reason
    assert reason is not None
    assert "indivisible" in reason.detail
    assert house.has("u1", "voicemail-user") == [True]


def test_l_u6_beyond_the_count_in_order_of_assignment_and_calls_go_on() -> None:
    house = office("2 PBX-VoicemailUser13", "3 PBX-Port13")
    codes = [house.assign(user, "voicemail-user") for user in ("u1", "u2", "u3")]
    assert codes == [[None], [None], ["not_licensed"]]
    assert house.register("u3", "hq") is None


def test_l_u7_no_softphone_without_the_phone_app() -> None:
    house = office(f"1 {SOFTPHONE}", f"1 {PHONE}")
    assert house.assign("u1", "app-softphone") == ["requires_licence"]
    assert house.taken("app-softphone") == 0
    assert house.assign("u1", "app-phone") == [None]
    assert house.code("u1", "app-softphone") is None
    house.unassign("u1", "app-phone")
    assert house.code("u1", "app-softphone") == "requires_licence"
    assert house.taken("app-softphone") == 0


def test_l_u9_one_phone_app_whatever_the_number_of_devices() -> None:
    house = office(f"1 {PHONE}", "1 PBX-Port13")
    house.assign("u1", "app-phone")
    assert [house.register("u1", "hq") for _ in range(5)] == [None] * 5
    assert (house.taken("app-phone"), house.used("port")) == (1, 1)


@pytest.mark.parametrize(
    ("licence", "cti", "mobile"),
    [("app-phone", True, False), ("mobility", False, True), (None, False, False), ("uc", True, True)],
)
def test_l_u10_rcc_has_the_parts_whose_licence_is_there(licence: str | None, cti: bool, mobile: bool) -> None:
    house = office(f"1 {PHONE}", "1 PBX-Mobility13", "1 PBX-UC13")
    if licence:
        house.assign("u1", licence)
    assert house.has("u1", "rcc") == [cti or mobile]
    assert [house.part("u1", "rcc", part).has for part in ("cti", "mobile")] == [cti, mobile]
    if licence == "mobility":
        reason = house.part("u1", "rcc", "cti").reason
        assert reason is not None
        assert (str(reason.code), "Phone App" in reason.detail) == ("not_licensed", True)


def test_l_u11_reporting_is_per_object_and_q2_is_absent() -> None:
    house = office("2 PBX-Reporting13")
    assert house.assign("u1", "reporting") == [None]
    assert house.assign("q1", "reporting", kind="waiting_queue") == [None]
    assert house.taken("reporting") == 2
    assert house.assign("q2", "reporting", kind="waiting_queue") == ["not_licensed"]
    assert house.assign("line", "reporting", kind="trunk") == ["not_licensed"]
    assert [house.has(name, "reporting", "reports-app") for name in ("q1", "q2")] == [[True] * 2, [False] * 2]


def test_l_u16_premium_chat_adds_to_the_free_chat() -> None:
    house = office("1 PBX-App(chat)13")
    parts = ("text", "attachments", "group_chat", "history", "unread_count", "offline_messages")
    assert [house.part("u1", "chat-app", part).has for part in parts] == [True] + [False] * 5
    house.assign("u1", "app-chat")
    assert [house.part("u1", "chat-app", part).has for part in parts] == [True] * 6


def test_l_c9_the_conference_app_gives_rooms_and_channels_are_another_matter() -> None:
    house = office("1 PBX-App(innovaphone-pbx-conference)13")
    house.assign("u1", "app-conference")
    assert house.has("u1", "app-conference") == [True]
    assert house.draw("c1", "hq", "conference_leg") == "no_free_licence"


# ---- L.r26
def test_l_r26_a_unit_given_back_goes_to_the_longest_waiting_that_can_use_it() -> None:
    house = office(f"1 {SOFTPHONE}", f"2 {PHONE}")
    house.assign("u3", "app-phone", "app-softphone")
    house.assign("u1", "app-softphone")  # first in the row, and cannot use it
    house.assign("u2", "app-phone", "app-softphone")
    assert [house.code(user, "app-softphone") for user in ("u3", "u1", "u2")] == [
        None,
        "requires_licence",
        "not_licensed",
    ]
    house.unassign("u3")
    assert [house.code(user, "app-softphone") for user in ("u1", "u2")] == ["requires_licence", None]


def test_l_r26_a_unit_held_is_not_taken_away_by_an_older_assignment() -> None:
    house = office(f"1 {SOFTPHONE}", f"2 {PHONE}")
    house.assign("u1", "app-softphone")
    house.assign("u2", "app-phone", "app-softphone")
    house.assign("u1", "app-phone")
    assert [house.code(user, "app-softphone") for user in ("u1", "u2")] == ["not_licensed", None]


def test_l_r26_in_local_mode_too_it_is_not_licensed() -> None:
    house = Staff((HQ, LYON))
    house.install("9 PBX-Fax13")
    house.install("1 PBX-Fax13", place="lyon")
    assert house.assign("u1", "fax", pbx="lyon") == [None]
    assert house.assign("u2", "fax", pbx="lyon") == ["not_licensed"]
    assert (house.taken("fax@lyon"), house.taken("fax")) == (1, 0)


def test_l_r23_one_unit_of_any_family_at_a_pbx_and_its_users_lose_those_of_the_master() -> None:
    house = Staff((HQ, LYON))
    house.install("9 PBX-Fax13")
    house.assign("u1", "fax", pbx="lyon")
    assert house.code("u1", "fax") is None
    house.install("1 PBX-Port13", place="lyon")
    assert house.code("u1", "fax") == "not_licensed"
    assert house.taken("fax") == 0
    house.remove("1 PBX-Port13", place="lyon")
    assert house.code("u1", "fax") is None


# ---- L.r27
def test_l_r27_a_user_with_uc_draws_no_single_one_and_who_waits_gets_it() -> None:
    house = office("1 PBX-Fax13")
    house.assign("u1", "fax", "uc")
    house.assign("u2", "fax")
    assert [house.code("u1", "uc"), house.code("u1", "fax"), house.code("u2", "fax")] == [
        "not_licensed",
        None,
        "not_licensed",
    ]
    house.install("1 PBX-UC13")
    assert house.standing("u1", "fax").through == "uc"
    assert house.code("u2", "fax") is None
    house.remove("1 PBX-UC13")
    assert [house.code("u1", "fax"), house.code("u2", "fax")] == ["not_licensed", None]


# ---- L.r28
@pytest.mark.parametrize("use", ["external_videophone", "third_party_application"])
def test_l_r28_video_without_phone_app_for_an_external_videophone(use: str) -> None:
    house = office("2 PBX-Video13")
    assert house.assign("u1", "video") == ["requires_licence"]
    assert house.assign("u2", "video", uses=use) == [None]
    assert house.assign("u3", "appsharing", uses=use) == ["invalid_request"]


def test_l_r28_what_needs_the_phone_app_is_kept_while_uc_takes_its_place() -> None:
    house = office(f"1 {PHONE}", "1 PBX-Video13", "1 PBX-UC13")
    house.assign("u1", "app-phone", "video")
    assert house.taken("video") == 1
    house.assign("u1", "uc")
    assert (house.taken("app-phone"), house.taken("video"), house.taken("uc")) == (0, 0, 1)
    assert house.has("u1", "app-phone", "video") == [True, True]


# ---- L.r29
@pytest.mark.parametrize(
    ("licence", "row", "app"),
    [
        ("fax", "PBX-Fax13", "fax-app"),
        ("voicemail-user", "PBX-VoicemailUser13", "voicemail-app"),
        ("recording", "PBX-App(innovaphone-recorder)13", "recordings-app"),
        ("reporting", "PBX-Reporting13", "reports-app"),
    ],
)
def test_l_r29_an_app_comes_with_its_licence(licence: str, row: str, app: str) -> None:
    house = office(f"1 {row}")
    assert house.has("u1", app, "chat-app", "calllist-app") == [False, True, True]
    house.assign("u1", licence)
    assert house.has("u1", app) == [True]


# ---- L.r30
@pytest.mark.parametrize("kind", ["waiting_queue", "conference", "gateway"])
def test_l_r30_queues_rooms_and_the_gateway_are_recorded_once_a_user_is(kind: str) -> None:
    house = office("1 PBX-App(innovaphone-recorder)13")
    assert house.assign("x", "recording", kind=kind) == ["requires_licence"]
    assert not house.rights("y", kind=kind).licences["recording"].has
    assert house.assign("u1", "recording") == [None]
    assert house.code("x", "recording") is None
    assert house.taken("recording") == 1
    assert house.rights("y", kind=kind).licences["recording"].through == "group"
    house.unassign("u1")
    assert house.code("x", "recording") == "requires_licence"


# ---- L.r31 for who is assigned
def test_who_was_assigned_last_loses_first_and_all_are_named_in_one_list() -> None:
    house = office(f"3 {PHONE}", f"3 {SOFTPHONE}", "2 PBX-Fax13")
    for user in ("u1", "u2", "u3"):
        house.assign(user, "app-phone", "app-softphone", "fax")
    change = inventory.remove(house.state, CATALOGUE, [Item(PHONE, 1), Item("PBX-Fax13", 1)])
    assert isinstance(change, Change)
    assert house.lost(change) == [("u2", "fax"), ("u3", "app-phone"), ("u3", "app-softphone")]
    house.apply(change)
    assert house.taken("app-softphone") == 2


def test_an_upgrade_under_someone_is_one_list_too_and_what_comes_back_goes_by_order() -> None:
    house = office("2 PBX-Fax12", "1 PBX-UC12", software=12)
    house.assign("u2", "fax")
    house.assign("u1", "fax")
    house.assign("u3", "uc")
    before = house.state.rolls
    house.software["hq"] = 13
    house.sync("hq")
    assert {id_ for id_, roll in before.items() if roll.licensed} == {"fax", "uc"}
    assert [each.row.object for each in standings(house.state) if not each.has] == ["u2", "u1", "u3"]
    house.remove("2 PBX-Fax12")
    house.install("1 PBX-Fax13")
    assert [house.code("u2", "fax"), house.code("u1", "fax")] == [None, "not_licensed"]


def test_a_pbx_taken_out_leaves_its_users_waiting_and_gives_the_units_on() -> None:
    house = Staff((HQ, LYON))
    house.install("1 PBX-Fax13")
    house.assign("u1", "fax", pbx="lyon")
    house.assign("u2", "fax", pbx="hq")
    house.apply(administration.configure(house.state, house.settings, [HQ], {}))
    assert [house.code("u1", "fax"), house.code("u2", "fax")] == ["not_found", None]
    house.apply(administration.configure(house.state, house.settings, [HQ, LYON], {}))
    assert [house.code("u1", "fax"), house.code("u2", "fax")] == ["not_licensed", None]


# ---- orders
BAD = [
    (Wish("u1", "prot"), "licence", "invalid_type"),
    (Wish("u1", "port"), "licence", "invalid_type"),
    (Wish("u1", "rcc"), "licence", "invalid_type"),
    (Wish("u1", "fax", "mars"), "pbx", "not_found"),
    (Wish("u1", "fax"), "pbx", "invalid_request"),
    (Wish("", "fax", "hq"), "object", "invalid_request"),
    (Wish(" u1", "fax", "hq"), "object", "invalid_request"),
    (Wish("u\n1", "fax", "hq"), "object", "invalid_request"),
    (Wish("u" * 513, "fax", "hq"), "object", "invalid_request"),
    (Wish("q1", "fax", "hq", "waiting_queue"), "kind", "invalid_request"),
    (Wish("t1", "recording", "hq", "trunk"), "kind", "invalid_request"),
    (Wish("q1", "reporting", "hq", "waiting_que"), "kind", "invalid_request"),
    (Wish("u1", "video", "hq", "", ("external_videofone",)), "uses", "invalid_request"),
]


@pytest.mark.parametrize(
    ("wish", "field", "code"), BAD, ids=[f"{w.object[:5]!r} {w.licence}" for w, _, _ in BAD]
)
def test_an_order_is_made_as_a_whole_or_every_fault_is_named(wish: Wish, field: str, code: str) -> None:
    house = Staff((HQ, LYON))
    house.install("5 PBX-Fax13")
    for attempt in (assigning.assign, assigning.make):
        refused = attempt(house.state, CATALOGUE, [Wish("u0", "fax", "hq"), wish])
        assert isinstance(refused, tuple)
        assert [(each.row, each.field, str(each.refusal.code)) for each in refused] == [(1, field, code)]


def test_a_licence_is_named_by_its_id_or_as_it_is_printed() -> None:
    for text in ("uc", "PBX-UC13", "UC13", "PBX-UC", " uc "):
        assert assigning.licence_id(CATALOGUE, text) == "uc"
    assert assigning.licence_id(CATALOGUE, "App(phone)13") == "app-phone"
    assert assigning.licence_id(CATALOGUE, "App(innovaphone-recorder)") == "recording"


def test_what_is_assigned_already_stays_and_what_contradicts_it_is_refused() -> None:
    house = office("5 PBX-Video13")
    house.assign("u1", "video", uses="external_videophone")
    assert house.assign("u1", "video", uses="external_videophone") == [None]
    assert house.state.assigned == 1
    assert house.assign("u1", "video") == ["invalid_request"]
    assert house.assign("u1", "reporting", kind="executive") == ["invalid_request"]
    twice = assigning.assign(house.state, CATALOGUE, [Wish("u2", "video"), Wish("u2", "PBX-Video13")])
    assert isinstance(twice, tuple)
    assert [(each.row, each.field) for each in twice] == [(1, "licence")]


def test_made_exactly_so_each_who_stays_keeps_his_turn() -> None:
    house = office("1 PBX-Fax13")
    house.assign("u1", "fax")
    house.assign("u2", "fax")
    change = assigning.make(house.state, CATALOGUE, [Wish("u0", "fax"), Wish("u2", "fax"), Wish("u1", "fax")])
    assert isinstance(change, Change)
    house.apply(change)
    assert [house.code(user, "fax") for user in ("u1", "u2", "u0")] == [None, "not_licensed", "not_licensed"]
    assert [each.ahead for each in standings(house.state)] == [0, 0, 1]
    change = assigning.make(house.state, CATALOGUE, [Wish("u0", "fax")])
    assert isinstance(change, Change)
    house.apply(change)
    assert house.code("u0", "fax") is None
    assert house.state.assigned == 3
    again = assigning.make(house.state, CATALOGUE, [Wish("u0", "fax")])
    assert isinstance(again, Change)
    assert again.events == ()


def test_the_same_name_at_two_pbxs_is_two_users() -> None:
    house = Staff((HQ, LYON))
    house.install("2 PBX-Fax13")
    both = assigning.assign(house.state, CATALOGUE, [Wish("201", "fax", pbx) for pbx in ("hq", "lyon")])
    assert isinstance(both, Change)
    house.apply(both)
    assert house.taken("fax") == 2
    assert house.unassign("201") == "invalid_request"
    assert house.assign("201", "uc") == ["invalid_request"]


def test_a_user_known_at_one_pbx_needs_no_pbx_named_again() -> None:
    house = Staff((HQ, LYON))
    house.assign("u1", "fax", pbx="lyon")
    house.assign("u1", "uc")
    assert {each.row.subject for each in standings(house.state)} == {Subject("lyon", "u1")}
    assert house.unassign("u1", "video") == "not_found"
    assert house.unassign("u2") == "not_found"
    assert house.unassign("u1", "prot") == "invalid_type"
    assert house.unassign("u1") is None
    assert house.state.rolls == {}


def test_terms_that_a_later_program_no_longer_knows_give_no_right() -> None:
    house = office("1 PBX-Fax13")
    house.assign("u1", "fax")
    fewer = tuple(licence for licence in CATALOGUE.named if licence.id != "fax")
    house.apply(administration.change(house.state, [CatalogueLearned(fewer)]))
    assert house.code("u1", "fax") == "not_found"
    house.apply(assigning.learn(house.state, CATALOGUE))
    assert house.code("u1", "fax") is None
    learnt = assigning.learn(house.state, CATALOGUE)
    assert learnt.events == ()


def test_an_assignment_is_a_small_value() -> None:
    assert str(Assignment("u1", "fax", "hq").subject) == "u1 at hq"


# ---- what is one change is settled as one
ISSUER, HERE = Issuer(), Here(master="m", now_ms=1_000)
FIRST = ISSUER.file(f"2 {SOFTPHONE}", issue_no=1)


def overtaken() -> Staff:
    """u2 and u3 hold the two softphones of a file; u1 was assigned earlier and could use one only later."""
    house = office(f"3 {PHONE}")
    delivered(house, FIRST)
    house.assign("u1", "app-softphone")
    for user in ("u2", "u3"):
        house.assign(user, "app-phone", "app-softphone")
    house.assign("u1", "app-phone")
    assert softphones(house) == ["not_licensed", None, None]
    return house


def delivered(house: Staff, file: SignedFile) -> list[tuple[str, str]]:
    """Install a file; who loses by it."""
    change = delivery.install(house.state, CATALOGUE, file, HERE)
    assert isinstance(change, Change), change
    lost = house.lost(change)
    house.apply(change)
    return lost


def softphones(house: Staff) -> list[str | None]:
    return [house.code(user, "app-softphone") for user in ("u1", "u2", "u3")]


def test_l_r26_a_file_that_takes_the_place_of_another_takes_nobodys_unit() -> None:
    house = overtaken()
    file = ISSUER.file("1 PBX-Fax13", f"2 {SOFTPHONE}", issue_no=2, supersedes=(FIRST.id,))
    assert delivered(house, file) == []
    assert softphones(house) == ["not_licensed", None, None]
    assert not any(isinstance(event, UnitsKept) for event in house.events[:-1])
    fewer = ISSUER.file(f"1 {SOFTPHONE}", issue_no=3, supersedes=(file.id,))
    assert delivered(house, fewer) == [("u3", "app-softphone")]
    assert softphones(house) == ["not_licensed", None, "not_licensed"]


@pytest.mark.parametrize("left_first", [True, False])
def test_l_r26_one_unit_less_and_only_the_last_assigned_loses(left_first: bool) -> None:
    house = overtaken()
    row = next(row for row in house.state.entitlements.values() if row.pool == "app-softphone")
    fewer = msgspec.structs.replace(row, number=house.state.position + left_first, count=1)
    left, came = Removed(row.number, 2), Installed(fewer)
    events: list[AnyEvent] = [left, came] if left_first else [came, left]
    house.apply(administration.change(house.state, events))
    assert softphones(house) == ["not_licensed", None, "not_licensed"]
