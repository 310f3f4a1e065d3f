"""The catalogue: one row for each licence type, validated as a whole from an already parsed document.

A new licence type of a known mode is a new row of catalogue.yaml and no code. This module reads the rows;
the sections that people read (facts, terms, ambiguities) pass through untouched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import msgspec

from licensing import lent
from licensing.codes import Code, Refusal
from licensing.demand import DemandClass
from licensing.lent import LentLicence, LentMode
from licensing.licence_type import LicenceType
from licensing.named.kinds import NamedLicence, ordered
from licensing.named.kinds import problems as named_problems

Mode = LentMode | Literal["per_user", "per_object", "condition"]


class Conversion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Units of one pool that become units of another (3.4)."""

    from_: str
    to: str
    ratio: str


class Gift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an update to a release under SSA gives a right to: so many units of a licence for each (7.1)."""

    to_release: int
    licence: str
    units: int


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"class_": "class"}):
    """One licence type; `type` is a template with `{release}`, None for an app that needs no licence.

    `tier` is N of %N (0: standard), `cap` N of $N; lists name ids of other rows, `excludes` also
    `master_slave`; `requires_waived_for` and `group_kinds` are explained at NamedLicence. `parts` of an app
    are what it can do, each with the licences that it needs. `demand` is the class of a pool that is lent by
    single uses, its name where left out. Row ids and pool names are those of the answers.
    """

    id: str
    pool: str | None
    name: str
    type: str | None
    class_: str
    source: str
    mode: Mode | None = None
    reference: str | None = None
    reference_shared_with: str | None = None
    tier: int = 0
    cap: int = 0
    excludes: tuple[str, ...] = ()
    install_at: Literal["master"] | None = None
    paired_with: tuple[str, ...] = ()
    platform: Literal["gateway", "ipva"] | None = None
    demand: str | None = None
    bound_to: Literal["ipva_mac"] | None = None
    converts: Conversion | None = None
    contains: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    requires_any: tuple[str, ...] = ()
    requires_waived_for: tuple[str, ...] = ()
    group_kinds: tuple[str, ...] = ()
    parts: dict[str, tuple[str, ...]] = {}
    min_software: int = 0
    min_pbx_software: int = 0
    version_compared_with: str = "pbx"
    queues_per_client: int | None = None
    models_needing_it: tuple[str, ...] = ()
    ssa_update_gift: Gift | None = None
    facts: dict[str, object] = {}

    @property
    def assigned(self) -> NamedLicence | None:
        """The terms of a licence that is assigned to users (4, 5, 6) or objects (5.5); None for any other."""
        if self.mode not in ("per_user", "per_object") or self.tier:
            return None
        return NamedLicence(
            id=self.id,
            name=self.name,
            pool=self.pool or self.id,
            per_object=self.mode == "per_object",
            contains=self.contains,
            requires=self.requires,
            waived_for=self.requires_waived_for,
            min_software=self.min_software,
            group_kinds=self.group_kinds,
        )

    def lent(self, rows: Mapping[str, "Row"]) -> LentLicence | None:
        """The terms of a licence whose units are lent (2, 3, 7), among these rows; None for any other."""
        mode = self.mode
        if mode is None or mode == "per_user" or mode == "per_object" or mode == "condition":
            return None
        pool = self.pool or self.id
        paired = (rows[name].pool or name if name in rows else name for name in self.paired_with)
        return LentLicence(
            id=self.id,
            pool=pool,
            mode=mode,
            class_=self.demand or pool,
            paired_with=frozenset(paired),
            platform=self.platform,
            by_client=self.version_compared_with != "pbx",
            min_software=self.min_pbx_software,
            per_client=self.queues_per_client or 0,
        )

    def type_for(self, release: int) -> LicenceType:
        """The licence type of this row at a software release; hardware has the same at each."""
        parsed = LicenceType.parse((self.type or "").replace("{release}", str(release)))
        assert isinstance(parsed, LicenceType), f"{self.id} was validated"
        return parsed


class LicenceClass(msgspec.Struct, frozen=True):
    """What all licences of a class have in common (1.4)."""

    component: Literal["PBX", "Relay"] | None
    versioned: bool
    source: str
    ssa: bool = False
    rental: bool = False
    cloud: bool = False
    transferable: bool = False
    deletable_after_assignment: bool = True
    bound_to: tuple[str, ...] = ()


class _Document(msgspec.Struct):
    format: Literal[2]
    pools: tuple[str, ...]
    modes: dict[str, str]
    classes: dict[str, LicenceClass]
    licences: tuple[dict[str, object], ...]


class CatalogueError(ValueError):
    """The catalogue's data does not fit; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All rows by id and by type, the classes, and the pools in the order of the document."""

    rows: Mapping[str, Row]
    types: Mapping[tuple[str, str, str], Row]
    classes: Mapping[str, LicenceClass]
    pools: tuple[str, ...]
    named: tuple[NamedLicence, ...]
    lent: tuple[DemandClass, ...]

    @classmethod
    def from_rows(cls, document: object) -> "Catalogue":
        """The catalogue of a parsed document (catalogue.yaml); CatalogueError names all problems at once."""
        try:
            plain = msgspec.convert(document, _Document)
        except msgspec.ValidationError as error:
            raise CatalogueError([str(error)]) from error
        rows: dict[str, Row] = {}
        problems: list[str] = []
        for number, raw in enumerate(plain.licences):
            try:
                row = msgspec.convert(raw, Row)
            except msgspec.ValidationError as error:
                problems.append(f"licences[{number}] ({raw.get('id')}): {error}")
                continue
            if row.id in rows:
                problems.append(f"licences[{number}] ({row.id}): this id stands here twice")
            rows[row.id] = row
        problems.extend(_problems(rows, plain))
        if problems:
            raise CatalogueError(problems)
        types = {_key(row.type_for(1)): row for row in rows.values() if row.type is not None}
        return cls(rows, types, plain.classes, plain.pools, ordered(_named(rows)), lent.classes(_lent(rows)))

    @property
    def reservable(self) -> tuple[str, ...]:
        """The master's pools that shares draw from, which may be reserved for a PBX (L.r35)."""
        boxes = {pool for demand in self.lent if demand.bound for pool in demand.pools}
        slots = (slot for demand in self.lent for slot in demand.slots)
        return tuple(dict.fromkeys(each.pool for slot in slots for each in slot if each.pool not in boxes))

    @property
    def apps(self) -> tuple[Row, ...]:
        """The apps that need no licence of their own, in the order of the document (5.3 to 6.9)."""
        return tuple(row for row in self.rows.values() if row.type is None)

    def row_of(self, licence_type: LicenceType) -> Row | Refusal:
        """The row of a type, whatever its release; `invalid_type` for a name that no row has (L.r1).

        App names match exactly (decision 25).
        """
        row = self.types.get(_key(licence_type))
        if row is not None:
            return row
        known = [str(row.type_for(licence_type.version or 13)) for row in self.rows.values() if row.type]
        near = get_close_matches(str(licence_type), known, 1)
        advice = f"Did you mean {near[0]}?" if near else ""
        return Refusal(Code.INVALID_TYPE, f"{licence_type} is not in the catalogue", advice)

    def by_reference(self, reference: str) -> Row | Refusal:
        """The row of a reference number; `ambiguous_reference` where two types share it (L.r3)."""
        found = [row for row in self.rows.values() if row.reference == reference]
        if len(found) == 1:
            return found[0]
        if not found:
            return Refusal(Code.INVALID_TYPE, f"no licence type has the reference {reference}")
        names = ", ".join(row.name for row in found)
        return Refusal(Code.AMBIGUOUS_REFERENCE, f"{reference} is {names}")


def _modifier(row: Row) -> str:
    if row.tier:
        return f"%{row.tier}"
    if row.cap:
        return f"${row.cap}"
    return "$$" if row.converts else ""


def _key(licence_type: LicenceType) -> tuple[str, str, str]:
    return licence_type.component, licence_type.name, licence_type.modifier


def _problems(rows: Mapping[str, Row], document: _Document) -> Iterator[str]:
    seen: dict[tuple[str, str, str], str] = {}
    for row in rows.values():
        licence_class = document.classes.get(row.class_)
        if licence_class is None:
            yield f"{row.id}: class {row.class_} is not defined"
        if row.pool is not None and row.pool not in document.pools:
            yield f"{row.id}: pool {row.pool} is not defined"
        if row.mode is not None and row.mode not in document.modes:
            yield f"{row.id}: mode {row.mode} is not defined"
        yield from _reference_problems(row, rows)
        if licence_class is not None:
            yield from _type_problems(row, licence_class, seen)
    yield from named_problems(_named(rows))
    yield from _lent_problems(rows)
    yield from _app_problems(rows)


def _named(rows: Mapping[str, Row]) -> list[NamedLicence]:
    return [named for row in rows.values() if (named := row.assigned) is not None]


def _lent(rows: Mapping[str, Row]) -> list[LentLicence]:
    return [found for row in rows.values() if (found := row.lent(rows)) is not None]


def _lent_problems(rows: Mapping[str, Row]) -> Iterator[str]:
    """What is lent lies in a pool of its own mode, and only a pool of single uses names its class."""
    yield from lent.problems(_lent(rows))
    modes: dict[str | None, set[Mode | None]] = {}
    for row in rows.values():
        modes.setdefault(row.pool, set()).add(row.mode)
    for row in rows.values():
        if row.lent(rows) is None:
            continue
        if row.pool is None:
            yield f"{row.id}: a licence that is lent needs a pool"
        elif len(modes[row.pool]) > 1:
            yield f"{row.id}: rows of several modes feed its pool {row.pool}"
        if row.min_software:
            yield f"{row.id}: a licence that is lent has min_pbx_software, not min_software"
    for row in rows.values():
        if row.demand is not None and row.mode not in lent.BY_USE:
            yield f"{row.id}: demand belongs to the modes {', '.join(lent.BY_USE)}"


def _app_problems(rows: Mapping[str, Row]) -> Iterator[str]:
    """What an app without a licence of its own rests on is assigned to its user; nothing else has parts."""
    named = {licence.id for licence in _named(rows)}
    for row in rows.values():
        if row.type is not None and (row.parts or row.requires_any):
            yield f"{row.id}: only an app without a licence of its own has parts or requires_any"
        if row.id in named and (row.min_pbx_software or row.version_compared_with != "pbx"):
            yield f"{row.id}: a licence that is assigned is compared with the software of its PBX"
        if row.id in named and row.pool is None:
            yield f"{row.id}: a licence that is assigned needs a pool"
        wanted = (*row.requires, *row.requires_any, *(name for part in row.parts.values() for name in part))
        for name in wanted if row.type is None else ():
            if name not in named:
                yield f"{row.id}: {name} is no licence that is assigned to a name"


def _reference_problems(row: Row, rows: Mapping[str, Row]) -> Iterator[str]:
    named = [*row.excludes, *row.paired_with, *row.contains, *row.requires, *row.requires_any]
    named += [row.ssa_update_gift.licence] if row.ssa_update_gift else []
    pools = {other.pool for other in rows.values()}
    for name in named:
        if name not in rows and name not in pools and name != "master_slave":
            yield f"{row.id}: there is no row {name}"
    twins = [other.id for other in rows.values() if other.reference == row.reference and other.id != row.id]
    if row.reference is not None and twins and twins != [row.reference_shared_with]:
        yield f"{row.id}: reference {row.reference} is also that of {', '.join(twins)}"


def _type_problems(
    row: Row, licence_class: LicenceClass, seen: dict[tuple[str, str, str], str]
) -> Iterator[str]:
    if (row.type is None) != (licence_class.component is None):
        yield f"{row.id}: class {row.class_} and the type {row.type} do not fit"
    if row.type is None:
        return
    if ("{release}" in row.type) != licence_class.versioned:
        yield f"{row.id}: {row.type} must carry {{release}} exactly where its class is versioned"
    parsed = LicenceType.parse(row.type.replace("{release}", "13"))
    if isinstance(parsed, Refusal):
        yield f"{row.id}: {parsed.detail}"
        return
    if str(parsed) != row.type.replace("{release}", "13"):
        yield f"{row.id}: {row.type} is not canonical, write {parsed}"
    if parsed.component != licence_class.component:
        yield f"{row.id}: class {row.class_} has the component {licence_class.component}"
    if parsed.modifier != _modifier(row):
        yield f"{row.id}: tier {row.tier}, cap {row.cap} and converts do not fit {row.type}"
    if _key(parsed) in seen:
        yield f"{row.id}: {row.type} is also the type of {seen[_key(parsed)]}"
    seen[_key(parsed)] = row.id
