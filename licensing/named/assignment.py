"""Who of the assigned is licensed: decided here, for one installation as a whole, and never lent.

Modele de Licence V13r2, 4 to 6: a unit is taken when the licence is configured for a user or object, in
order of assignment, whatever the use (L.r26 to L.r30 of docs/licence-rules.md).
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from licensing.demand import PoolKey
from licensing.named.kinds import Named, NamedLicence
from licensing.pool import Pool
from licensing.rules import Steps


class Subject(NamedTuple):
    """A user or an object of a PBX: names are single at their PBX only."""

    pbx: str
    object: str

    def __str__(self) -> str:
        return f"{self.object} at {self.pbx}"


class Assignment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A licence configured for an object; `uses` of it may waive what the licence requires (5.1)."""

    object: str
    licence: str
    pbx: str
    kind: str = "user"
    uses: tuple[str, ...] = ()

    @property
    def subject(self) -> Subject:
        """Whose it is."""
        return Subject(self.pbx, self.object)


@dataclass(frozen=True, slots=True)
class Roll:
    """All assignments of one licence by number, in order; `licensed` are those that hold a unit.

    `numbers` finds them by subject, `counts` are the licensed by PBX: both follow from the others.
    """

    rows: Mapping[int, Assignment] = field(default_factory=dict)
    licensed: frozenset[int] = frozenset()
    numbers: Mapping[Subject, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def subjects(self) -> frozenset[Subject]:
        """Who holds a unit."""
        return frozenset(self.rows[number].subject for number in self.licensed)

    def holds(self, subject: Subject) -> bool:
        """Whether this one holds a unit."""
        return self.numbers.get(subject, 0) in self.licensed

    def joined_by(self, rows: Mapping[int, Assignment]) -> "Roll":
        """This roll with more assignments, none of which holds a unit yet."""
        numbers = {row.subject: number for number, row in rows.items()}
        return Roll({**self.rows, **rows}, self.licensed, {**self.numbers, **numbers}, self.counts)

    def left_by(self, numbers: Set[int]) -> "Roll":
        """This roll without some assignments."""
        rows = {number: row for number, row in self.rows.items() if number not in numbers}
        subjects = {row.subject: number for number, row in rows.items()}
        return Roll(rows, self.licensed, subjects).granted(self.licensed - numbers)

    def granted(self, licensed: frozenset[int]) -> "Roll":
        """This roll with these who hold a unit, and no others."""
        counts = Counter(self.rows[number].pbx for number in licensed)
        return Roll(self.rows, licensed, self.numbers, dict(counts))


Rolls = Mapping[str, Roll]


@dataclass(frozen=True, slots=True)
class Ground:
    """What assignments are decided on: terms, the software and place of each configured PBX, the pools."""

    named: Named
    software: Mapping[str, int]
    places: Mapping[str, str]
    pools: Mapping[PoolKey, Pool]

    def touched_since(self, before: "Ground | None") -> frozenset[str] | None:
        """The licences whose pools are others than they were; None where more than that has changed."""
        if before is None or (self.named, self.software, self.places) != (
            before.named,
            before.software,
            before.places,
        ):
            return None
        changed = {
            key.pool
            for key in self.pools.keys() | before.pools.keys()
            if self.pools.get(key) != before.pools.get(key)
        }
        return frozenset(licence.id for licence in self.named.values() if licence.pool in changed)


@dataclass(slots=True)
class Room:
    """What is left of a pool while units are given out (L.r5, L.r6)."""

    steps: Steps
    taken: dict[int, int] = field(default_factory=dict)

    def take(self, software: int) -> bool:
        """Take a unit for a PBX with this software, if one is left that serves it."""
        for threshold, count in self.steps:
            if threshold <= software and count <= self._above(threshold):
                return False
        self.taken[software] = self.taken.get(software, 0) + 1
        return True

    def _above(self, threshold: int) -> int:
        return sum(units for software, units in self.taken.items() if software >= threshold)


def settled(
    ground: Ground,
    rolls: Rolls,
    touched: Collection[str] | None = None,
    fresh: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> Rolls:
    """These rolls with every unit where the rules want it.

    Licences are settled one after the other, bundles before their parts and prerequisites before what needs
    them, since nothing else passes between them. `touched` are those that may have changed (None: all);
    in others only `fresh` assignments are new, the last of their roll.
    """
    after = {id_: roll if id_ in ground.named else roll.granted(frozenset()) for id_, roll in rolls.items()}
    due = set(ground.named if touched is None else touched)
    for licence in ground.named.values():
        roll = after.get(licence.id)
        if roll is None or (licence.id not in due and licence.id not in fresh):
            continue
        whole = licence.id in due
        licensed = in_order(ground, licence, after) if whole else last_in_order(ground, licence, after, fresh)
        if licensed != roll.licensed:
            after[licence.id] = roll.granted(licensed)
            changed = {roll.rows[number].subject for number in licensed ^ roll.licensed}
            due |= {id_ for id_ in dependents(ground.named, licence) if _meets(after.get(id_), changed)}
    return after


def in_order(ground: Ground, licence: NamedLicence, rolls: Rolls) -> frozenset[int]:
    """L.r26: who holds a unit keeps it, the last assigned losing first; the rest goes by order of assignment.

    One who can use it no more gives it back (L.r27, L.r28).
    """
    roll = rolls[licence.id]
    able = [number for number, row in roll.rows.items() if usable(ground, licence, row, rolls)]
    held = [number for number in able if number in roll.licensed]
    waiting = [number for number in able if number not in roll.licensed]
    rooms = Rooms(ground, licence)
    return frozenset(number for number in (*held, *waiting) if rooms.take(roll.rows[number].pbx))


def last_in_order(
    ground: Ground, licence: NamedLicence, rolls: Rolls, fresh: Mapping[str, Sequence[int]]
) -> frozenset[int]:
    """The same where nothing but the last assignments is new: they get what is left."""
    roll = rolls[licence.id]
    rooms = Rooms(ground, licence, roll.counts)
    able = [number for number in fresh[licence.id] if usable(ground, licence, roll.rows[number], rolls)]
    return roll.licensed.union(number for number in able if rooms.take(roll.rows[number].pbx))


def _meets(roll: Roll | None, subjects: Set[Subject]) -> bool:
    return roll is not None and any(subject in roll.numbers for subject in subjects)


class Rooms:
    """What is left of a licence at each place, which has units of its own (1.2, L.r23)."""

    def __init__(
        self, ground: Ground, licence: NamedLicence, counts: Mapping[str, int] | None = None
    ) -> None:
        self._ground = ground
        self._pool = licence.pool
        self._rooms: dict[str, Room] = {}
        for pbx, count in (counts or {}).items():
            taken = self._room(pbx).taken
            taken[ground.software[pbx]] = taken.get(ground.software[pbx], 0) + count

    def take(self, pbx: str) -> bool:
        """Take a unit for an object of this PBX, if one is left that serves it."""
        return self._room(pbx).take(self._ground.software[pbx])

    def _room(self, pbx: str) -> Room:
        place = self._ground.places[pbx]
        if place not in self._rooms:
            pool = self._ground.pools.get(PoolKey(place, self._pool))
            self._rooms[place] = Room(pool.steps if pool is not None else ((0, 0),))
        return self._rooms[place]


def usable(ground: Ground, licence: NamedLicence, row: Assignment, rolls: Rolls) -> bool:
    """Whether it could use a unit: software (5.3), in no bundle (4), prerequisites (5.1)."""
    return (
        row.pbx in ground.software
        and licence.draws(row.kind)
        and new_enough(ground, licence, row.pbx)
        and not bundle_of(ground.named, rolls, row.subject, licence.id)
        and not missing(ground, licence, row, rolls)
    )


def new_enough(ground: Ground, licence: NamedLicence, pbx: str) -> bool:
    """5.3, L.r7: a licence may need a PBX of some release or newer, also as a part of a bundle."""
    return ground.software[pbx] >= licence.min_software


def bundle_of(named: Named, rolls: Rolls, subject: Subject, part: str) -> str:
    """4, L.r27: the bundle in which a subject has this licence, and so draws no single one; empty: none."""
    for each in named.values():
        if part in each.contains and each.id in rolls and rolls[each.id].holds(subject):
            return each.id
    return ""


def provided(ground: Ground, rolls: Rolls, subject: Subject, id_: str) -> bool:
    """Whether a subject has this licence, single or as a part of a bundle that his PBX's software can use."""
    licence = ground.named.get(id_)
    if licence is None or subject.pbx not in ground.software:
        return False
    if id_ in rolls and rolls[id_].holds(subject):
        return True
    return bool(bundle_of(ground.named, rolls, subject, id_)) and new_enough(ground, licence, subject.pbx)


def missing(ground: Ground, licence: NamedLicence, row: Assignment, rolls: Rolls) -> list[str]:
    """5.1, 5.2, 6.2, L.r28: the licences that its user must have too and has not; some uses need none."""
    if any(use in licence.waived_for for use in row.uses):
        return []
    return [id_ for id_ in licence.requires if not provided(ground, rolls, row.subject, id_)]


def dependents(named: Named, licence: NamedLicence) -> Iterator[str]:
    """The licences whose holders may change when those of this one do."""
    given = {licence.id, *licence.contains}
    for each in named.values():
        if each.id in licence.contains or given & set(each.requires):
            yield each.id


def affected(named: Named, ids: Set[str]) -> frozenset[str]:
    """These licences and all whose holders may change with theirs."""
    return frozenset(ids).union(*(dependents(named, named[id_]) for id_ in ids if id_ in named))


def moved(before: Rolls, after: Rolls) -> tuple[list[tuple[int, Assignment]], list[tuple[int, Assignment]]]:
    """Who got a unit and who lost one, both in order of assignment; one list each for all licences."""
    gained, lost = [], []
    for id_ in {*before, *after}:
        old, new = before.get(id_, Roll()), after.get(id_, Roll())
        gained += [(number, new.rows[number]) for number in new.licensed - old.licensed]
        lost += [(number, old.rows[number]) for number in old.licensed - new.licensed]
    return sorted(gained, key=_number), sorted(lost, key=_number)


def listed(rolls: Rolls) -> list[tuple[int, Assignment]]:
    """Every assignment with its number, in order of assignment."""
    return sorted((item for roll in rolls.values() for item in roll.rows.items()), key=_number)


def joined(rolls: Rolls, first: int, rows: Sequence[Assignment]) -> tuple[Rolls, dict[str, list[int]]]:
    """These rolls with more assignments, numbered from `first` on; and the new numbers by licence."""
    new: dict[str, dict[int, Assignment]] = {}
    for number, row in enumerate(rows, start=first):
        new.setdefault(row.licence, {})[number] = row
    changed = {id_: rolls.get(id_, Roll()).joined_by(more) for id_, more in new.items()}
    return {**rolls, **changed}, {id_: list(more) for id_, more in new.items()}


def dropped(rolls: Rolls, numbers: Set[int]) -> Rolls:
    """These rolls without some assignments; a roll without any is gone."""
    left = {id_: roll.left_by(numbers) if numbers & roll.rows.keys() else roll for id_, roll in rolls.items()}
    return {id_: roll for id_, roll in left.items() if roll.rows}


def _number(item: tuple[int, Assignment]) -> int:
    return item[0]
