"""What signed files do to an installation: installed, replaced, ended, revoked; each no with its code."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from licensing.administration import Change
from licensing.codes import Code
from licensing.files import delivery, inventory
from licensing.files.delivery import Here
from licensing.files.document import Document
from licensing.files.inventory import Item
from licensing.files.licence_file import SignedFile, SignedList
from licensing.installation import Pbx, Settings
from licensing.ledger import Installed, Removed
from tests.licensing.house import CATALOGUE, House
from tests.licensing.office import Office

CHAOS = bool(os.environ.get("CHAOS"))
OFFICE = Office()
OFFICES = (OFFICE, Office("Other", root=OFFICE.root))
HERE = Here(master="0123456789abcdef", now_ms=1_000)
HQ = Pbx("hq", role="master", mac="009033010203")
LYON = Pbx("lyon", mac="0090330a0b0c")


def install(house: House, file: SignedFile, here: Here = HERE) -> Code | None:
    """Install a file; the code of the first refusal, or None."""
    done = delivery.install(house.state, CATALOGUE, file, here)
    if isinstance(done, tuple):
        return done[0].code
    house.apply(done)
    return None


def revoke(house: House, signed: SignedList) -> Code | None:
    done = delivery.revoke(house.state, signed)
    if isinstance(done, tuple):
        return done[0].code
    house.apply(done)
    return None


def test_a_file_brings_its_licences_and_the_ledger_keeps_where_they_came_from() -> None:
    house = House((HQ, LYON))
    file = OFFICE.file("200 PBX-Port13", "5 PBX-Port13 at lyon", issue_no=4, until_ms=5_000)
    assert install(house, file) is None
    assert (house.usable("port"), house.usable("port@lyon")) == (200, 5)
    assert house.state.documents[file.id] == Document(
        file.id, "signed", "", "Example", OFFICE.root.key_id, OFFICE.key.key_id, "main", 4, 5_000
    )
    assert {e.document for e in house.state.entitlements.values()} == {file.id}
    assert install(house, file) is Code.ALREADY_INSTALLED


def test_all_of_a_file_or_nothing() -> None:
    house = House((HQ,))
    before = house.state
    assert install(house, OFFICE.file("1 PBX-Port13", "1 PBX-Prt13")) is Code.INVALID_TYPE
    assert install(house, OFFICE.file("1 PBX-Port13", "1 PBX-Port13 at mars")) is Code.NOT_FOUND
    assert house.state == before


def test_an_old_issue_does_not_come_back() -> None:
    house = House((HQ,))
    first, second = OFFICE.file("9 PBX-Port13"), OFFICE.file("1 PBX-Port13", issue_no=2)
    assert install(house, second) is None
    assert install(house, first) is Code.ISSUE_OLD
    assert install(house, OFFICE.file("8 PBX-Port13", issue_no=2)) is Code.ISSUE_OLD
    house.remove("1 PBX-Port13")
    assert install(house, first) is Code.ISSUE_OLD
    assert install(house, second) is None
    assert house.usable("port") == 1
    assert install(house, OFFICE.file("2 PBX-Port13", issue_no=3)) is None


def test_issues_are_counted_for_each_issuer_and_project_under_any_of_its_keys() -> None:
    house = House((HQ,))
    assert install(house, OFFICE.file("1 PBX-Port13", issue_no=5)) is None
    assert install(house, OFFICE.file("1 PBX-Port13", issue_no=1, project="lab")) is None
    renewed = Office(root=OFFICE.root)
    assert install(house, renewed.file("1 PBX-Port13", issue_no=5)) is Code.ISSUE_OLD
    assert install(house, renewed.file("1 PBX-Port13", issue_no=6)) is None
    assert install(house, Office("Other", root=OFFICE.root).file("1 PBX-Port13")) is None
    assert house.usable("port") == 4


def test_a_file_takes_the_place_of_another_in_one_step() -> None:
    house = House((HQ,))
    first = OFFICE.file("20 PBX-Port12", "7 PBX-Channels13")
    assert install(house, first) is None
    house.register("u1", "hq")
    house.install("1 PBX-Channels13")
    second = OFFICE.file("30 PBX-Port13", issue_no=2, supersedes=(first.id,))
    done = delivery.install(house.state, CATALOGUE, second, HERE)
    assert isinstance(done, Change)
    assert [type(event) for event in done.events if isinstance(event, Removed | Installed)] == [
        Removed,
        Removed,
        Installed,
    ]
    house.apply(done)
    assert (house.usable("port"), house.usable("pbx-channels")) == (30, 1)
    assert install(house, first) is Code.ISSUE_OLD
    assert house.used("port") == 0  # 12 served no phone of release 13, 30 of 13 wait for one
    assert house.register("u1", "hq") is None


def test_a_superseded_file_that_never_came_is_not_missed_and_stays_out() -> None:
    house = House((HQ,))
    first = OFFICE.file("20 PBX-Port13")
    assert install(house, OFFICE.file("30 PBX-Port13", issue_no=2, supersedes=(first.id,))) is None
    assert install(house, first) is Code.ISSUE_OLD
    assert house.usable("port") == 30


def test_only_its_issuer_replaces_a_file() -> None:
    house = House((HQ,))
    first = OFFICE.file("20 PBX-Port13")
    assert install(house, first) is None
    other = Office("Other", root=OFFICE.root)
    assert install(house, other.file("1 PBX-Port13", supersedes=(first.id,))) is Code.ISSUER_MISMATCH
    house.apply(
        inventory.install(house.state, CATALOGUE, [Item("PBX-Port13", 1)], document=Document("0" * 64))
    )
    assert (
        install(house, OFFICE.file("1 PBX-Port13", issue_no=2, supersedes=("0" * 64,)))
        is Code.ISSUER_MISMATCH
    )
    namesake = Office("Example")
    assert install(house, namesake.file("1 PBX-Port13", supersedes=(first.id,))) is Code.ISSUER_MISMATCH


def test_a_smaller_file_drops_nobody() -> None:
    house = House((HQ,))
    first = OFFICE.file("3 PBX-Port13")
    install(house, first)
    for user in ("u1", "u2", "u3"):
        assert house.register(user, "hq") is None
    assert install(house, OFFICE.file("1 PBX-Port13", issue_no=2, supersedes=(first.id,))) is None
    house.sync("hq")
    assert house.used("port") == 3
    assert house.register("u4", "hq") == "no_free_licence"


def test_hardware_stays_when_a_file_takes_the_place_of_another() -> None:
    house = House((HQ, LYON))
    first = OFFICE.file("4 Relay-Channels at lyon", "1 PBX-Port13")
    assert install(house, first) is None
    without = OFFICE.file("9 PBX-Port13", issue_no=2, supersedes=(first.id,))
    assert install(house, without) is Code.HARDWARE_BOUND
    moved = OFFICE.file("4 Relay-Channels", issue_no=2, supersedes=(first.id,))
    assert install(house, moved) is Code.HARDWARE_BOUND
    with_it = OFFICE.file("5 Relay-Channels at lyon", issue_no=2, supersedes=(first.id,))
    assert install(house, with_it) is None
    assert install(house, OFFICE.file("1 Relay-Channels", issue_no=3, until_ms=9_000)) is Code.HARDWARE_BOUND


def test_validity_begins_and_ends_to_the_millisecond() -> None:
    house = House((HQ,))
    file = OFFICE.file("5 PBX-Port13", from_ms=1_000, until_ms=2_000)
    assert install(house, file, Here("", 999)) is Code.NOT_YET_VALID
    assert install(house, file, Here("", 2_000)) is Code.EXPIRED
    assert install(house, file, Here("", 1_000)) is None
    assert delivery.expire(house.state, 1_999) is None
    ended = delivery.expire(house.state, 2_000)
    assert ended is not None
    house.apply(ended)
    assert house.usable("port") == 0
    assert delivery.expire(house.state, 9_000) is None
    assert install(house, file, Here("", 2_001)) is Code.EXPIRED


def test_a_file_for_another_master_is_refused() -> None:
    house = House((HQ,))
    assert install(house, OFFICE.file(master="f" * 16)) is Code.WRONG_MASTER
    assert install(house, OFFICE.file(master=HERE.master)) is None


def test_every_row_lies_at_a_box_whose_mac_the_file_names() -> None:
    both = ("00-90-33-01-02-03", "00:90:33:0A:0B:0C")
    rows = ("1 PBX-Port13", "1 PBX-Port13 at lyon")
    house = House((HQ, LYON, Pbx("nice")))
    assert install(house, OFFICE.file(*rows, macs=both[:1])) is Code.MAC_MISMATCH
    assert install(house, OFFICE.file(*rows, macs=both[1:])) is Code.MAC_MISMATCH
    assert install(house, OFFICE.file("1 PBX-Port13 at nice", macs=both)) is Code.MAC_MISMATCH
    assert install(house, OFFICE.file(*rows, macs=("00-90-33-00-00-00",))) is Code.MAC_MISMATCH
    refused = delivery.install(house.state, CATALOGUE, OFFICE.file(macs=both[1:]), HERE)
    assert isinstance(refused, tuple)
    assert "00-90-33-0a-0b-0c" in refused[0].detail
    assert "hq has 00-90-33-01-02-03" in refused[0].detail
    assert install(house, OFFICE.file(*rows, "1 PBX-Port13 at -", macs=both)) is None
    assert (house.usable("port"), house.usable("port@lyon")) == (1, 1)


def test_a_revoked_file_leaves_and_never_comes_back() -> None:
    house = House((HQ,))
    file, other = OFFICE.file("5 PBX-Port13"), OFFICE.file("2 PBX-Port13", issue_no=2)
    assert install(house, file) is None
    assert install(house, other) is None
    assert revoke(house, OFFICE.list(1, files=(file.id,))) is None
    assert house.usable("port") == 2
    assert install(house, file) is Code.FILE_REVOKED


def test_a_revoked_key_signs_nothing_new_and_what_it_signed_before_stays() -> None:
    house = House((HQ,))
    assert install(house, OFFICE.file("5 PBX-Port13")) is None
    assert revoke(house, OFFICE.list(1, keys=(OFFICE.key.key_id,))) is None
    assert house.usable("port") == 5
    assert install(house, OFFICE.file("9 PBX-Port13", issue_no=2)) is Code.KEY_REVOKED
    assert install(house, Office(root=OFFICE.root).file("9 PBX-Port13", issue_no=2)) is None


def test_revocation_lists_only_grow() -> None:
    house = House((HQ,))
    file = OFFICE.file("5 PBX-Port13")
    assert revoke(house, OFFICE.list(2, files=(file.id,))) is None
    assert revoke(house, OFFICE.list(2, files=(file.id,))) is Code.ALREADY_INSTALLED
    assert revoke(house, OFFICE.list(2)) is Code.ALREADY_INSTALLED
    assert revoke(house, OFFICE.list(2, keys=("0" * 16,))) is Code.ISSUE_OLD
    assert revoke(house, OFFICE.list(1)) is Code.ISSUE_OLD
    assert revoke(house, OFFICE.list(3)) is None
    assert install(house, file) is Code.FILE_REVOKED


def test_a_root_revokes_only_what_hangs_on_it() -> None:
    house = House((HQ,))
    file, stranger = OFFICE.file("5 PBX-Port13"), Office()
    assert install(house, file) is None
    assert revoke(house, stranger.list(9, keys=(OFFICE.key.key_id,), files=(file.id,))) is None
    assert house.usable("port") == 5
    assert install(house, OFFICE.file("1 PBX-Port13", issue_no=2)) is None


Plan = tuple[int, str, int, tuple[int, ...]]
plans = st.tuples(
    st.integers(0, 1),
    st.sampled_from(["north", "south"]),
    st.integers(1, 5),
    st.lists(st.integers(0, 9), max_size=2).map(tuple),
)


@given(st.lists(plans, min_size=1, max_size=10), st.lists(st.integers(0, 9), max_size=20))
@settings(max_examples=2_000 if CHAOS else 100, deadline=None)
def test_any_order_of_files_gives_what_a_list_on_paper_gives(planned: list[Plan], order: list[int]) -> None:
    """A slow second opinion: a list of what came, in which each file is looked up from the start."""
    files: list[SignedFile] = []
    for units, (office, project, issue_no, older) in enumerate(planned, 1):
        ids = tuple(dict.fromkeys(files[n].id for n in older if n < len(files)))
        body = {"project": project, "issue_no": issue_no, "supersedes": ids, "issued_ms": units}
        files.append(OFFICES[office].file(f"{units} PBX-Port13", **body))
    house, came, there = House((HQ,)), list[SignedFile](), list[SignedFile]()
    for number in order:
        file = files[number % len(files)]
        others = [known for known in came if known.id != file.id]
        mine = [known for known in others if known.issuer == file.issuer]
        if file in there:
            expected: Code | None = Code.ALREADY_INSTALLED
        elif any(known.id in file.licence.supersedes for known in others if known not in mine):
            expected = Code.ISSUER_MISMATCH
        elif any(
            known.licence.project == file.licence.project and known.licence.issue_no >= file.licence.issue_no
            for known in mine
        ):
            expected = Code.ISSUE_OLD
        else:
            expected = None
            there = [known for known in there if known.id not in file.licence.supersedes] + [file]
            came.append(file)
        found = install(house, file)
        assert found is expected or {found, expected} == {Code.ISSUER_MISMATCH, Code.ISSUE_OLD}
        assert house.usable("port") == sum(row.count for each in there for row in each.licence.licences)


# ---- cases of docs/licence-rules.md and what the vendor's file becomes
def test_l_t8_licences_are_grouped_by_project_and_the_unassigned_count_for_nothing() -> None:
    house = House((HQ,))
    items = [Item("PBX-Port13", 5, project="north"), Item("PBX-Port13", 7, "-", project="south")]
    house.apply(inventory.install(house.state, CATALOGUE, items))
    assert house.usable("port") == 5
    listed = {(e.project, e.count, e.unassigned) for e in house.state.entitlements.values()}
    assert listed == {("north", 5, False), ("south", 7, True)}
    assert [w.code for w in inventory.warnings(house.state)] == [Code.UNASSIGNED]
    assert house.state.local == frozenset()
    assert house.remove("7 PBX-Port13", place="-") is None
    assert inventory.warnings(house.state) == ()


def test_unassigned_licences_exclude_nothing_and_are_no_base() -> None:
    house = House((HQ,))
    assert (
        house.install("9 PBX-Port13$20", "600 PBX-Port13", "1 PBX-Standby13", "4 Relay-PRIs", place="-")
        is None
    )
    assert house.install("12 PBX-Port13$20") is None
    assert house.usable("smb-port") == 12
    assert house.remove("4 Relay-PRIs", place="-") is None


def test_rows_of_the_vendors_file_lie_at_the_boxes_they_name() -> None:
    house = House((HQ, LYON), Settings())
    items = [
        Item("PBX-Port13", 5, mac="009033010203"),
        Item("PBX-Port13", 2, mac="00-90-33-0A-0B-0C"),
        Item("PBX-Port13", 3),
    ]
    placed = inventory.at_their_boxes(house.state, items)
    assert isinstance(placed, list)
    assert [item.place for item in placed] == [None, "lyon", "-"]
    refused = inventory.at_their_boxes(house.state, [Item("PBX-Port13", 5, mac="00-00-00-00-00-01")])
    assert isinstance(refused, tuple)
    assert refused[0].code is Code.MAC_MISMATCH
    assert isinstance(inventory.at_their_boxes(house.state, [Item("PBX-Port13", 5, mac="x")]), tuple)
