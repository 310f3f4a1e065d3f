"""Assignments against the slow model of roll_model.py: same holders, same codes, after every step."""

import itertools
import os
import random

import msgspec
import pytest

from licensing import administration
from licensing.administration import Change
from licensing.catalogue import Catalogue, CatalogueError
from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.installation import Pbx, Settings
from licensing.ledger import AnyEvent, Installed, Removed, decode, encode, replay
from licensing.named import assigning
from licensing.named.assigned import Assigned, CatalogueLearned, Unassigned, UnitsKept
from licensing.named.assigning import Wish
from licensing.named.assignment import Assignment, Roll, settled
from licensing.named.kinds import NamedLicence, ordered
from licensing.named.standing import standings
from tests.licensing.house import CATALOGUE, DOCUMENT
from tests.licensing.roll_model import ORDER, TYPES, Model, Person
from tests.licensing.staff import Staff

RUNS = 10_000 if os.environ.get("CHAOS") else 100
SEED = os.environ.get("SEED")
STEPS = 40
PBXS = ("hq", "lyon")
USERS = ("u1", "u2", "u3")
LIMITED = ["voicemail-user", "recording", "reporting"]


class Pair:
    """The real ledger and the model, each told the same."""

    def __init__(self, lenient: bool) -> None:
        mixed = Settings(mixed_versions="lenient" if lenient else "strict")
        self.house = Staff((Pbx("hq", role="master"), Pbx("lyon")), mixed)
        self.model = Model(dict.fromkeys(PBXS, 13), lenient)

    def assign(self, wanted: list[tuple[tuple[str, str], str, bool]]) -> None:
        known = {(p.pbx, p.object, p.licence) for p in self.model.people}
        new = {(pbx, user, id_): waived and id_ == "video" for (pbx, user), id_, waived in wanted}
        wishes, people = [], []
        for (pbx, user, id_), waived in new.items():
            if (pbx, user, id_) not in known:
                wishes.append(Wish(user, id_, pbx, "", ("external_videophone",) if waived else ()))
                people.append(Person(pbx, user, id_, "user", waived))
        self.made(assigning.assign(self.house.state, CATALOGUE, wishes))
        self.model.people += people

    def queue(self, kind: str, licence: str) -> None:
        change = assigning.assign(self.house.state, CATALOGUE, [Wish(kind, licence, "hq", kind)])
        fits = kind == "waiting_queue" or licence == "reporting"
        assert isinstance(change, Change) is fits
        if fits and not any((p.object, p.licence) == (kind, licence) for p in self.model.people):
            self.made(change)
            self.model.people.append(Person("hq", kind, licence, kind, waived=False))

    def unassign(self, which: int) -> None:
        if self.model.people:
            gone = self.model.people.pop(which % len(self.model.people))
            self.made(assigning.unassign(self.house.state, CATALOGUE, gone.object, gone.licence, gone.pbx))

    def install(self, family: str, release: int, place: str, count: int) -> None:
        if not count:
            return
        self.house.install(f"{count} {self.type(family, release)}", place=place or None)
        self.model.units += [(family, release, place)] * count

    def remove(self, which: int) -> None:
        if self.model.units:
            family, release, place = self.model.units.pop(which % len(self.model.units))
            self.house.remove(f"1 {self.type(family, release)}", place=place or None)

    def swap(self) -> None:
        """All units leave and come again in one change, as when a file takes the place of another."""
        rows, first = self.house.state.entitlements.values(), self.house.state.position
        left = [Removed(row.number, row.count) for row in rows]
        came = [
            Installed(msgspec.structs.replace(row, number=first + len(left) + n))
            for n, row in enumerate(rows)
        ]
        self.made(administration.change(self.house.state, [*left, *came]))

    def software(self, pbx: str, release: int) -> None:
        self.house.software[pbx] = self.model.software[pbx] = release
        self.house.sync(pbx)

    def type(self, family: str, release: int) -> str:
        return f"PBX-{TYPES.get(family, 'Port')}{release}"

    def made(self, change: object) -> None:
        assert isinstance(change, Change), change
        self.house.apply(change)

    def step(self, dice: random.Random, some: list[str]) -> None:
        """Something happens, to one of few licences, so that they meet."""
        match dice.randrange(11):
            case 0 | 1 | 2:
                one = [(dice.choice(PBXS), dice.choice(USERS)) for _ in range(dice.randint(1, 3))]
                self.assign([(user, dice.choice(some), dice.random() < 0.2) for user in one])
            case 3:
                self.queue(dice.choice(["waiting_queue", "trunk"]), dice.choice(["recording", "reporting"]))
            case 4 | 5:
                place, release = dice.choice(["", "", "", "lyon"]), dice.choice([13, 13, 12, 9])
                self.install(dice.choice([*some, *some, "port"]), release, place, dice.randint(1, 2))
            case 6:
                self.remove(dice.randrange(50))
            case 10:
                self.swap()
            case 7:
                self.software(dice.choice(PBXS), dice.choice([13, 13, 12, 9]))
            case _:
                self.unassign(dice.randrange(50))

    def compare(self) -> None:
        """Every assignment: does it hold a unit, does it give the right without one, or why not."""
        self.model.settle()
        found = {}
        for each in standings(self.house.state):
            said = each.through or (str(each.reason.code) if each.reason else None)
            assert each.licensed is (said is None)
            found[each.row.pbx, each.row.object, each.row.licence] = said
        assert found == {(p.pbx, p.object, p.licence): self.model.answer(p) for p in self.model.people}
        assert self.house.state.resettled(self.house.state.rolls) == self.house.state  # nothing left to do

    def compare_rights(self) -> None:
        """Every licence of every user."""
        for pbx, user in itertools.product(PBXS, USERS):
            had = self.house.rights(user, pbx).licences
            for id_ in ORDER:
                assert had[id_].has is self.model.has(pbx, user, id_), (pbx, user, id_)


@pytest.mark.parametrize("part", range(4))
def test_the_same_people_are_licensed_as_in_the_slow_model(part: int) -> None:
    for seed in [int(SEED)] if SEED else range(part, RUNS, 4):
        dice = random.Random(seed)
        pair = Pair(lenient=dice.random() < 0.5)
        some = ["uc", "app-phone", dice.choice(["app-softphone", "video"]), dice.choice(LIMITED)]
        for id_ in some:
            pair.install(id_, 13, "", dice.randint(0, 3))
        try:
            for _ in range(STEPS):
                pair.step(dice, some if dice.random() < 0.9 else ORDER)
                pair.compare()
            pair.compare_rights()
        except AssertionError as error:
            replayed = f"SEED={seed} .venv/bin/python -m pytest {__file__}"
            raise AssertionError(f"{error}\nreplay: {replayed} -k slow_model") from error


EVENTS: list[AnyEvent] = [
    CatalogueLearned(CATALOGUE.named),
    Assigned(
        (
            Assignment("u1", "video", "hq", "executive", ("external_videophone",)),
            Assignment("q", "reporting", "hq"),
        )
    ),
    Unassigned((1, 7)),
    UnitsKept({"fax": (1, 3)}),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: AnyEvent) -> None:
    assert decode(encode(event)) == event


def test_a_replay_of_what_is_stored_licenses_the_same_people() -> None:
    pair = Pair(lenient=False)
    pair.install("fax", 13, "", 1)
    pair.assign([(("hq", "u1"), "fax", False), (("lyon", "u2"), "fax", False)])
    pair.unassign(0)
    assert replay(decode(encode(event)) for event in pair.house.events) == pair.house.state


# ---- a licence type of a known mode is a row and no code
NEW_ROW = {
    "id": "app-whiteboard",
    "pool": "app-whiteboard",
    "name": "Whiteboard App",
    "type": "PBX-App(whiteboard){release}",
    "reference": "02-00050-099",
    "class": "app",
    "mode": "per_user",
    "requires": ["app-phone"],
    "requires_waived_for": ["projector"],
    "min_software": 12,
    "source": "a test",
}


def document(**changes: dict[str, object]) -> dict[str, object]:
    """The catalogue with one row more, and rows that differ in some fields."""
    rows = [dict(row) for row in (*DOCUMENT["licences"], NEW_ROW)]
    for row in rows:
        row.update(changes.get(row["id"].replace("-", "_"), {}))
    return {**DOCUMENT, "licences": rows, "pools": [*DOCUMENT["pools"], "app-whiteboard"]}


def test_a_new_row_is_a_licence_with_all_its_rules() -> None:
    catalogue = Catalogue.from_rows(document())
    house = Staff()
    house.apply(assigning.learn(house.state, catalogue))
    assert house.install("1 PBX-App(phone)13") is None
    refused = house.install("1 PBX-App(whiteboard)13")
    assert refused == "invalid_type"  # the house's own catalogue has no such row
    wishes = [Wish("u1", "app-whiteboard"), Wish("u2", "PBX-App(whiteboard)13", uses=("projector",))]
    change = assigning.assign(house.state, catalogue, wishes)
    assert isinstance(change, Change)
    house.apply(change)
    codes = [each.reason and str(each.reason.code) for each in standings(house.state)]
    assert codes == ["requires_licence", "not_licensed"]


def test_what_needs_a_part_of_a_bundle_follows_the_bundle() -> None:
    catalogue = Catalogue.from_rows(document())
    house = Staff()
    house.apply(assigning.learn(house.state, catalogue))
    house.apply(
        inventory.install(house.state, catalogue, [Item("PBX-App(whiteboard)13", 1), Item("PBX-UC13", 1)])
    )
    for wish in (Wish("u1", "app-whiteboard"), Wish("u1", "uc")):
        change = assigning.assign(house.state, catalogue, [wish])
        assert isinstance(change, Change)
        house.apply(change)
    assert house.code("u1", "app-whiteboard") is None
    house.unassign("u1", "uc")
    assert house.code("u1", "app-whiteboard") == "requires_licence"


def test_a_part_that_needs_newer_software_is_no_prerequisite_either() -> None:
    catalogue = Catalogue.from_rows(
        document(app_whiteboard={"requires": ["voicemail-user"], "min_software": 9})
    )
    house = Staff(software={"hq": 9})
    house.sync("hq")
    house.apply(assigning.learn(house.state, catalogue))
    house.apply(
        inventory.install(house.state, catalogue, [Item("PBX-App(whiteboard)13", 1), Item("PBX-UC13", 1)])
    )
    change = assigning.assign(house.state, catalogue, [Wish("u1", "app-whiteboard"), Wish("u1", "uc")])
    assert isinstance(change, Change)
    house.apply(change)
    assert house.code("u1", "app-whiteboard") == "requires_licence"
    house.software["hq"] = 10
    house.sync("hq")
    assert house.code("u1", "app-whiteboard") is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"app_phone": {"requires": ["video"]}}, "need each other in a circle"),
        ({"app_whiteboard": {"requires": ["port"]}}, "app-whiteboard: port is no licence that is assigned"),
        ({"app_whiteboard": {"pool": "fax"}}, "its pool fax is also that of"),
        ({"app_whiteboard": {"requires": []}}, "requires_waived_for without requires"),
        ({"app_whiteboard": {"contains": ["uc"]}}, "uc cannot be a part of a bundle"),
        ({"app_whiteboard": {"contains": ["reporting"]}}, "reporting cannot be a part of a bundle"),
        ({"app_whiteboard": {"group_kinds": ["user"]}}, "user is no kind of object that is nobody's own"),
        ({"app_whiteboard": {"group_kinds": ["lamp"]}}, "lamp is no kind of object"),
        ({"app_whiteboard": {"parts": {"draw": []}}}, "only an app without a licence of its own has parts"),
        ({"app_whiteboard": {"min_pbx_software": 9}}, "is compared with the software of its PBX"),
        ({"app_whiteboard": {"pool": None}}, "a licence that is assigned needs a pool"),
        ({"rcc": {"parts": {"cti": ["port"]}}}, "rcc: port is no licence that is assigned"),
    ],
)
def test_a_row_that_does_not_fit_is_named_at_start(
    changes: dict[str, dict[str, object]], problem: str
) -> None:
    with pytest.raises(CatalogueError) as caught:
        Catalogue.from_rows(document(**changes))
    assert any(problem in text for text in caught.value.problems), caught.value.problems


def test_the_order_of_settling_is_bundles_then_prerequisites() -> None:
    a = NamedLicence("a", "A", "a", requires=("b",))
    b, bundle = NamedLicence("b", "B", "b"), NamedLicence("c", "C", "c", contains=("b",))
    assert [each.id for each in ordered([a, b, bundle])] == ["c", "b", "a"]


def test_settling_knows_nothing_of_a_licence_that_is_unknown() -> None:
    house = Staff()
    rolls = {"gone": Roll().joined_by({1: Assignment("u1", "gone", "hq")}).granted(frozenset({1}))}
    assert settled(house.state.ground(), rolls)["gone"].licensed == frozenset()
