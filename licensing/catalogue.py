"""The catalogue: one row for each licence type, validated as a whole from an already parsed document.

A new licence type of a known mode is a new row of catalogue.yaml and no code. This module reads the rows;
the sections that people read (facts, terms, ambiguities) pass through untouched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import msgspec

from licensing.codes import Code, Refusal
from licensing.licence_type import LicenceType

Mode = Literal[
    "bound",
    "floating_port",
    "floating_paired",
    "floating_call",
    "floating_login",
    "per_user",
    "per_object",
    "per_queue",
    "condition",
]


class Conversion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Units of one pool that become units of another (3.4)."""

    from_: str
    to: str
    ratio: str


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"class_": "class"}):
    """One licence type; `type` is a template with `{release}`, None for an app that needs no licence.

    `tier` is N of %N (0: standard), `cap` N of $N; lists name ids of other rows, `excludes` also
    `master_slave`. Row ids and pool names are those of the answers.
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
    bound_to: Literal["ipva_mac"] | None = None
    converts: Conversion | None = None
    contains: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    requires_any: tuple[str, ...] = ()
    requires_waived_for: tuple[str, ...] = ()
    min_software: int = 0
    min_pbx_software: int = 0
    version_compared_with: str = "pbx"
    queues_per_client: int | None = None
    models_needing_it: tuple[str, ...] = ()
    facts: dict[str, object] = {}

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
        return cls(rows, types, plain.classes, plain.pools)

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


def _reference_problems(row: Row, rows: Mapping[str, Row]) -> Iterator[str]:
    named = (*row.excludes, *row.paired_with, *row.contains, *row.requires, *row.requires_any)
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
