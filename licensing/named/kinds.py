"""Licences that are assigned to a name: for a user or an object, taken when configured, whatever the use.

Their terms are columns of the catalogue, so that a new one is a new row and no code. They are learned into
the ledger, so that a replay decides as it was decided then, whatever the catalogue of a later program says.
"""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Final

import msgspec

OBJECT_KINDS: Final = ("user", "executive", "trunk", "gateway", "group", "waiting_queue", "conference")
"""What a licence may be assigned to: the kinds of PBX object of 3.1, and conference objects (3.5)."""

USER_KINDS: Final = ("user", "executive")
"""3.1: `utilisateurs de l'IPBX (User, Executive)`; all other kinds are nobody's own."""


class NamedLicence(msgspec.Struct, frozen=True, omit_defaults=True):
    """A licence that is assigned: where its units lie and what it needs.

    `contains` names the parts of a bundle (4), `requires` what its user must have too (5.1, 5.2, 6.2),
    `waived_for` the uses that need none of that (5.1), `min_software` the lowest release of the PBX (5.3).
    An object of `group_kinds` has it, without a unit, once some user of the installation holds one (5.6).
    """

    id: str
    name: str
    pool: str
    per_object: bool = False
    contains: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    waived_for: tuple[str, ...] = ()
    min_software: int = 0
    group_kinds: tuple[str, ...] = ()

    def draws(self, kind: str) -> bool:
        """Whether an object of this kind may take a unit: any with `per_object` (5.5), else users."""
        return self.per_object or kind in USER_KINDS

    def fits(self, kind: str) -> bool:
        """Whether this licence may be assigned to an object of this kind."""
        return self.draws(kind) or kind in self.group_kinds


Named = Mapping[str, NamedLicence]


def ordered(licences: Sequence[NamedLicence]) -> tuple[NamedLicence, ...]:
    """Bundles before their parts and prerequisites before what needs them; equals in the order given.

    CycleError when there is no such order.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter({each.id: () for each in licences})
    for each in licences:
        sorter.add(each.id, *each.requires)
        for part in each.contains:
            sorter.add(part, each.id)
    ranks = {id_: rank for rank, id_ in enumerate(_levels(sorter))}
    return tuple(sorted(licences, key=lambda each: ranks[each.id]))


def _levels(sorter: "TopologicalSorter[str]") -> Iterator[str]:
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        yield from ready
        sorter.done(*ready)


def problems(licences: Sequence[NamedLicence]) -> Iterator[str]:
    """Everything that is wrong with the terms of these licences, each with the row's id."""
    known = {each.id: each for each in licences}
    pools: dict[str, str] = {}
    for each in licences:
        if each.pool in pools:
            yield f"{each.id}: its pool {each.pool} is also that of {pools[each.pool]}"
        pools[each.pool] = each.id
        yield from _problems(each, known)
    try:
        ordered([each for each in licences if {*each.contains, *each.requires} <= known.keys()])
    except CycleError as error:
        yield f"licences that need each other in a circle: {' -> '.join(error.args[1])}"


def _problems(each: NamedLicence, known: Named) -> Iterator[str]:
    for name in (*each.contains, *each.requires):
        if name not in known:
            yield f"{each.id}: {name} is no licence that is assigned to a name"
    for name in each.contains:
        if name in known and (known[name].contains or known[name].per_object):
            yield f"{each.id}: {name} cannot be a part of a bundle"
    if each.waived_for and not each.requires:
        yield f"{each.id}: requires_waived_for without requires"
    for kind in each.group_kinds:
        if kind not in OBJECT_KINDS or each.draws(kind):
            yield f"{each.id}: group_kinds: {kind} is no kind of object that is nobody's own"
