"""Atoms to invoices in the four modes of seed 000; nothing is rounded here, so all cost the same (B.r3).

A line shows one atom, or equal ones with a quantity, or adds the cents of several.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from billing.core import calendar, money
from billing.core.atom import Atom
from billing.core.customer import NO_ENTITY, Customer, Invoicing, Mode
from billing.core.invoice import Invoice, Line, Sort
from billing.core.refusal import Code, Refused

NONE: Final = "(none)"
"""Section of the accounts that have no entity."""

_ORDER: Final = (Sort.FEE, Sort.OPTION, Sort.CALLS, Sort.ENTITIES)


@dataclass(frozen=True, slots=True)
class Invoices:
    """The invoices of a period, and the entities that have nothing to pay and so have none (B.r24)."""

    invoices: tuple[Invoice, ...]
    without: tuple[str, ...] = ()


def invoices(customer: Customer, atoms: Sequence[Atom], period: int) -> Invoices | Refused:
    """The invoices of these atoms, or why there are none."""
    how = customer.invoicing
    if how.mode is not Mode.GLOBAL and not how.entity_option:
        why = f"invoices by {how.mode} need the paid entity option; add it, or take the mode global"
        return Refused(Code.ENTITY_OPTION_MISSING, why)
    match how.mode:
        case Mode.GLOBAL:
            together = [replace(atom, entity=NO_ENTITY) for atom in atoms]
            return _issued([_invoice(customer, "", together, period, ())], ())
        case Mode.BY_ENTITY:
            return _issued([_by_entity(customer, atoms, period)], ())
        case Mode.PER_ENTITY | Mode.MIXED:
            return _apart(customer, atoms, period)


def _issued(made: Iterable[Invoice], without: tuple[str, ...]) -> Invoices:
    """Nothing to bill: no invoice (B.r24)."""
    kept = tuple(invoice for invoice in made if any(line.net_cents for line in invoice.lines))
    return Invoices(kept, without)


def _by_entity(customer: Customer, atoms: Sequence[Atom], period: int) -> Invoice:
    """Sections; what all share stands in none."""
    named = [atom if atom.entity or atom.is_shared else replace(atom, entity=NONE) for atom in atoms]
    found = {atom.entity for atom in named}
    sections = tuple(name for name in (*customer.entities(), NONE) if name in found)
    return _invoice(customer, "", named, period, sections)


def _apart(customer: Customer, atoms: Sequence[Atom], period: int) -> Invoices | Refused:
    """An invoice for each entity, or for each group of them."""
    homeless = [atom for atom in atoms if not atom.entity and not atom.is_shared]
    if homeless:
        names = ", ".join(dict.fromkeys(atom.account or atom.item for atom in homeless))
        why = f"no entity pays for {names}; give each an entity, or take the mode by_entity"
        return Refused(Code.ACCOUNT_WITHOUT_ENTITY, why)
    placed = _shared_out(customer, atoms)
    if placed is None:
        return Refused(Code.NO_ENTITY, "no entity has anything to pay, and all of them share a fee")
    made, without = [], []
    for group in _groups(customer):
        own = [atom for atom in placed if atom.entity in group]
        if any(atom.cents for atom in own):
            sections = tuple(name for name in group if any(atom.entity == name for atom in own))
            shown = sections if len(group) > 1 else ()
            made.append(_invoice(customer, " + ".join(group), own, period, shown))
        without += [name for name in group if not any(atom.cents for atom in own if atom.entity == name)]
    return _issued(made, tuple(without))


def _groups(customer: Customer) -> Sequence[tuple[str, ...]]:
    """Configured groups first, then every other entity alone; in the mode per_entity all are alone."""
    how = customer.invoicing
    groups = how.groups if how.mode is Mode.MIXED else ()
    grouped = {name for group in groups for name in group}
    return (*groups, *((name,) for name in customer.entities() if name not in grouped))


def _shared_out(customer: Customer, atoms: Sequence[Atom]) -> Sequence[Atom] | None:
    """What all share, over the entities that have something to pay, by weight (B.r5); None: nobody has."""
    paying = {atom.entity for atom in atoms if atom.cents}
    entities = [name for name in customer.entities() if name in paying]
    found: list[Atom] = []
    for atom in atoms:
        if not atom.is_shared:
            found.append(atom)
            continue
        if not entities:
            return None
        if len(entities) > 1:  # then it is the sum that is split, not each unit
            atom = replace(atom, cents=atom.cents * atom.quantity, quantity=1)
        parts = money.split(atom.cents, _weights(customer.invoicing, entities))
        found += [replace(atom, entity=name, cents=part) for name, part in zip(entities, parts, strict=True)]
    return found


def _weights(how: Invoicing, entities: Sequence[str]) -> tuple[int, ...]:
    weights = tuple(how.weights.get(name, 1) for name in entities)
    return weights if sum(weights) else (1,) * len(entities)


def _invoice(
    customer: Customer, entity: str, atoms: Sequence[Atom], period: int, sections: tuple[str, ...]
) -> Invoice:
    """One invoice; without sections its lines name no entity."""
    if not sections:
        atoms = [replace(atom, entity=NO_ENTITY) for atom in atoms]
    lines = _with_quantities(_added_up(atoms))
    lines.sort(key=lambda line: _place(line, sections, period))
    return Invoice(entity, period, tuple(lines), customer.vat_bp, sections)


def _place(line: Line, sections: tuple[str, ...], period: int) -> tuple[object, ...]:
    """Sections in their order, what is in none last; earlier periods behind this one."""
    section = sections.index(line.entity) if line.entity in sections else len(sections)
    return (
        section,
        line.origin != period,
        line.origin,
        _ORDER.index(line.sort),
        line.account,
        line.item,
        line.days,
    )


def _added_up(atoms: Iterable[Atom]) -> Sequence[Atom]:
    """Parts of one instance in one section become one again."""
    found: dict[tuple[str, Sort, tuple[str, ...]], Atom] = {}
    for atom in atoms:
        key = atom.entity, atom.sort, atom.instance
        found[key] = _sum(found[key], atom) if key in found else atom
    return tuple(found.values())


def _sum(one: Atom, other: Atom) -> Atom:
    return replace(
        one,
        cents=one.cents + other.cents,
        calls=one.calls + other.calls,
        seconds=one.seconds + other.seconds,
        days=calendar.merged((*one.days, *other.days)),
        label=one.label if one.label == other.label else "",
    )


def _with_quantities(atoms: Iterable[Atom]) -> list[Line]:
    """Equal fees and options become one line: three accounts of the same days, 3 x 4.65 (B.r3)."""
    groups: dict[tuple[object, ...], list[Atom]] = {}
    for atom in atoms:
        own: tuple[object, ...] = (atom.instance,) if atom.sort is Sort.CALLS else (atom.cents, atom.days)
        groups.setdefault((atom.entity, atom.sort, atom.item, atom.label, *own), []).append(atom)
    return [_line(group) for group in groups.values()]


def _line(group: Sequence[Atom]) -> Line:
    first = group[0]
    accounts = {atom.account for atom in group}
    return Line(
        sort=first.sort,
        item=first.item,
        label=first.label,
        entity=first.entity,
        account=first.account if len(accounts) == 1 else "",
        origin=first.origin,
        quantity=sum(atom.quantity for atom in group),
        unit_cents=first.cents,
        calls=first.calls,
        seconds=first.seconds,
        days=tuple((span.first.isoformat(), span.last.isoformat()) for span in first.days),
    )
