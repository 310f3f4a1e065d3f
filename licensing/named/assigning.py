"""Assigning licences to users and objects: all rows of an order or none, each refusal with its reason.

More may be assigned than is installed: who has no unit waits for one, and the answer says why (L.r26).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from licensing.administration import Change, change
from licensing.catalogue import Catalogue, Row
from licensing.codes import Code, Refusal
from licensing.ledger import AnyEvent
from licensing.licence_type import LicenceType
from licensing.named.assigned import Assigned, CatalogueLearned, Unassigned
from licensing.named.assignment import Assignment, Subject, listed
from licensing.named.kinds import OBJECT_KINDS, Named
from licensing.state import State

MAX_ASSIGNMENTS: Final = 100_000
MAX_NAME: Final = 512


@dataclass(frozen=True, slots=True)
class Wish:
    """A row as people write it: licence by id or type; no `pbx`: the only one; no `kind`: a user."""

    object: str
    licence: str
    pbx: str = ""
    kind: str = ""
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The row (from 0) of an order that does not fit, the field, and why."""

    row: int
    field: str
    refusal: Refusal


def learn(state: State, catalogue: Catalogue) -> Change:
    """Take the terms of this program's catalogue into the ledger; nothing where they are there already.

    A class that it has no more stays until the last unit is back: who holds one goes on (L.r31). It stands
    before the others, so that a name that both have is that of the catalogue.
    """
    known = {each.name for each in catalogue.lent}
    held = {class_ for shares in state.shares.values() for class_ in shares}
    gone = [each for name, each in state.classes.items() if name in held - known]
    classes = (*gone, *catalogue.lent)
    same = tuple(state.named.values()) == catalogue.named and tuple(state.classes.values()) == classes
    return change(state, [] if same else [CatalogueLearned(catalogue.named, classes)])


def assign(state: State, catalogue: Catalogue, wishes: Sequence[Wish]) -> Change | tuple[Refused, ...]:
    """Assign all or none; what is assigned already stays as it is.

    Codes: `invalid_type`, `invalid_request` (name, kind, uses, PBX left out, assigned otherwise already),
    `not_found` (PBX).
    """
    rows = read(catalogue, wishes, list(state.pbxs), _homes(state))
    if not isinstance(rows, list):
        return rows
    here = _by_key(state)
    refused = tuple(
        Refused(n, "licence", _otherwise(here[_key(row)][1]))
        for n, row in enumerate(rows)
        if _key(row) in here and here[_key(row)][1] != row
    )
    refused += tuple(_mixed_kinds(rows, {row.subject: row.kind for _, row in listed(state.rolls)}))
    new = [row for row in rows if _key(row) not in here]
    if not refused and len(here) + len(new) > MAX_ASSIGNMENTS:
        refused = (Refused(0, "", Refusal(Code.TOO_LARGE, f"more than {MAX_ASSIGNMENTS} assignments")),)
    return refused or change(state, [Assigned(tuple(new))] if new else [])


def make(state: State, catalogue: Catalogue, wishes: Sequence[Wish]) -> Change | tuple[Refused, ...]:
    """Make the assignments exactly these: others end, who stays keeps his turn, new ones come after them."""
    rows = read(catalogue, wishes, list(state.pbxs), {})
    if not isinstance(rows, list):
        return rows
    refused = tuple(_mixed_kinds(rows, {}))
    if len(rows) > MAX_ASSIGNMENTS:
        refused = (Refused(0, "", Refusal(Code.TOO_LARGE, f"more than {MAX_ASSIGNMENTS} assignments")),)
    if refused:
        return refused
    wanted, kept = set(rows), {row for _, row in listed(state.rolls)}
    gone = tuple(number for number, row in listed(state.rolls) if row not in wanted)
    new = tuple(row for row in rows if row not in kept)
    events: list[AnyEvent] = [Unassigned(gone)] if gone else []
    return change(state, [*events, Assigned(new)] if new else events)


def unassign(
    state: State, catalogue: Catalogue, name: str, licence: str | None, pbx: str = ""
) -> Change | Refusal:
    """End one assignment of an object, or (no `licence`) all; `not_found` where there is none."""
    id_ = None
    if licence is not None:
        found = licence_id(catalogue, licence)
        if isinstance(found, Refusal):
            return found
        id_ = found
    own = [item for item in listed(state.rolls) if item[1].object == name and pbx in ("", item[1].pbx)]
    places = {row.pbx for _, row in own}
    if len(places) > 1:
        return _which_pbx(name, sorted(places))
    numbers = tuple(number for number, row in own if id_ in (None, row.licence))
    if not numbers:
        what = f"{id_} is not assigned to {name}" if id_ else f"nothing is assigned to {name}"
        return Refusal(
            Code.NOT_FOUND, what + (f" at {pbx}" if pbx else ""), "See licence-master assignments."
        )
    return change(state, [Unassigned(numbers)])


def read(
    catalogue: Catalogue, wishes: Sequence[Wish], pbxs: Sequence[str], homes: Mapping[str, Collection[str]]
) -> list[Assignment] | tuple[Refused, ...]:
    """The rows that are meant, or all that is wrong with them; `homes`: PBXs by object known already."""
    named = {licence.id: licence for licence in catalogue.named}
    rows: list[Assignment] = []
    refused: list[Refused] = []
    seen: dict[tuple[Subject, str], int] = {}
    for number, wish in enumerate(wishes):
        found = list(_faults(catalogue, named, wish, pbxs, homes))
        refused += [Refused(number, field, refusal) for field, refusal in found]
        if found:
            continue
        id_ = licence_id(catalogue, wish.licence)
        assert isinstance(id_, str), "checked with the faults"
        pbx = wish.pbx or _home(wish.object, pbxs, homes)
        row = Assignment(wish.object, id_, pbx, wish.kind or "user", tuple(sorted(set(wish.uses))))
        if _key(row) in seen:
            detail = f"{row.licence} is assigned to {row.subject} twice"
            refused.append(
                Refused(number, "licence", Refusal(Code.INVALID_REQUEST, detail, "Leave one out."))
            )
        seen[_key(row)] = number
        rows.append(row)
    return tuple(refused) or rows


def licence_id(catalogue: Catalogue, text: str) -> str | Refusal:
    """The id of a licence that is assigned to a name, from its id (`uc`) or type (`PBX-UC13`, `Fax13`)."""
    row: Row | Refusal | None = catalogue.rows.get(text.strip())
    if row is None:
        parsed = LicenceType.parse(text)
        row = parsed if isinstance(parsed, Refusal) else catalogue.row_of(parsed)
    ids = [licence.id for licence in catalogue.named]
    if isinstance(row, Refusal):
        near = get_close_matches(text, ids, 1)
        advice = f"Did you mean {near[0]}?" if near else f"One of {', '.join(ids)}."
        return Refusal(Code.INVALID_TYPE, f'"{text}" is no licence that is assigned', advice)
    if row.id not in ids:
        how = (
            "comes by itself with the licences it needs"
            if row.type is None
            else f"is taken otherwise ({row.mode})"
        )
        return Refusal(
            Code.INVALID_TYPE, f"{row.name} {how}; nothing is assigned", f"One of {', '.join(ids)}."
        )
    return row.id


def _faults(
    catalogue: Catalogue, named: Named, wish: Wish, pbxs: Sequence[str], homes: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, Refusal]]:
    if not fit_name(wish.object):
        detail = f"expected a name of 1 to {MAX_NAME} printable characters, found {wish.object[:40]!r}"
        yield (
            "object",
            Refusal(Code.INVALID_REQUEST, detail, "Write it as on the PBX, without blanks around it."),
        )
    id_ = licence_id(catalogue, wish.licence)
    if isinstance(id_, Refusal):
        yield "licence", id_
        return
    licence, kind = named[id_], wish.kind or "user"
    if kind not in OBJECT_KINDS:
        near = get_close_matches(kind, OBJECT_KINDS, 1)
        advice = f"Did you mean {near[0]}?" if near else f"One of {', '.join(OBJECT_KINDS)}."
        yield "kind", Refusal(Code.INVALID_REQUEST, f'expected a kind of object, found "{kind}"', advice)
    elif not licence.fits(kind):
        detail = f"{licence.name} is for users, and {wish.object} is a {kind}"
        yield "kind", Refusal(Code.INVALID_REQUEST, detail, "Assign it to a user.")
    for use in wish.uses:
        if use not in licence.waived_for:
            known = f"{licence.name} knows {', '.join(licence.waived_for) or 'none'}"
            yield (
                "uses",
                Refusal(Code.INVALID_REQUEST, f'expected a use that waives something, found "{use}"', known),
            )
    if wish.pbx and wish.pbx not in pbxs:
        yield (
            "pbx",
            Refusal(Code.NOT_FOUND, f"no PBX {wish.pbx} in the configuration", f"One of {', '.join(pbxs)}."),
        )
    if not wish.pbx and not _home(wish.object, pbxs, homes):
        yield "pbx", _which_pbx(wish.object, pbxs)


def fit_name(name: str) -> bool:
    """Whether this can be the name of an object: it must survive a line of CSV and of YAML."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()


def _mixed_kinds(rows: Sequence[Assignment], kinds: dict[Subject, str]) -> Iterator[Refused]:
    for number, row in enumerate(rows):
        kind = kinds.setdefault(row.subject, row.kind)
        if kind != row.kind:
            detail = f"{row.subject} is a {kind}, here it is a {row.kind}"
            yield Refused(number, "kind", Refusal(Code.INVALID_REQUEST, detail, "An object has one kind."))


def _home(name: str, pbxs: Sequence[str], homes: Mapping[str, Collection[str]]) -> str:
    """The only PBX there is, else the only one at which something is assigned to this name; else empty."""
    found = list(pbxs) if len(pbxs) == 1 else list(homes.get(name, ()))
    return found[0] if len(found) == 1 else ""


def _homes(state: State) -> dict[str, set[str]]:
    homes: dict[str, set[str]] = {}
    for _, row in listed(state.rolls):
        homes.setdefault(row.object, set()).add(row.pbx)
    return homes


def _which_pbx(name: str, pbxs: Sequence[str]) -> Refusal:
    detail = f"which PBX does {name} belong to? There are {', '.join(pbxs) or 'none'}"
    return Refusal(Code.INVALID_REQUEST, detail, "Name it: --pbx NAME, or the column pbx of the file.")


def _otherwise(row: Assignment) -> Refusal:
    said = f"as {row.kind}" + (f" for {' '.join(row.uses)}" if row.uses else "")
    detail = f"{row.licence} is assigned to {row.subject} {said} already"
    return Refusal(Code.INVALID_REQUEST, detail, "Unassign it first.")


def _key(row: Assignment) -> tuple[Subject, str]:
    return row.subject, row.licence


def _by_key(state: State) -> dict[tuple[Subject, str], tuple[int, Assignment]]:
    return {_key(row): (number, row) for number, row in listed(state.rolls)}
