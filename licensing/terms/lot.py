"""Lots: units of one licence type that were first assigned on one day, with the SSA they are under (8.1).

Units of a type are alike, so a lot says how many and not which. Its day is that of the first assignment to
a device and stays when units are moved, issued again or upgraded (L.r32).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from licensing.codes import Refusal
from licensing.licence_type import LicenceType
from licensing.terms import day


class Ssa(msgspec.Struct, frozen=True, omit_defaults=True):
    """A software service agreement: its last day, and what it costs to go on.

    A further term is `years` long and costs `ssc` for each unit; with `auto` it is taken before the end.
    The seed gives no length (decision 24): start and end are data.
    """

    until_day: int
    years: int
    ssc: int
    auto: bool = False

    @property
    def next_until_day(self) -> int:
        """The last day of the next term, which begins the day after this one."""
        return day.last_of_years(self.until_day + 1, self.years)


class Lot(msgspec.Struct, frozen=True, omit_defaults=True):
    """So many units of a type, first assigned on `since_day`."""

    number: int
    type: str
    count: int
    since_day: int
    ssa: Ssa | None = None


Lots = Mapping[int, Lot]


@dataclass(frozen=True, slots=True)
class Owned:
    """Units of a type: all of them, and those that lie at a PBX."""

    all: int
    assigned: int


def family(type_: str) -> str:
    """What stays when units are issued again: `PBX-Port` for every release, tier and SMB size."""
    parsed = LicenceType.parse(type_)
    return type_ if isinstance(parsed, Refusal) else f"{parsed.component}-{parsed.name}"


def settled(lots: Lots, owned: Mapping[str, Owned], today: int) -> Lots:
    """The lots of these units: those gone leave the newest lots first, new ones begin today.

    What leaves one type and comes as another of its family keeps its day and its SSA, oldest first: an
    upgrade, a conversion, a file that takes the place of another.
    """
    left = dict(lots)
    loose = _taken_out(left, owned)
    for type_, units in sorted(owned.items()):
        missing = units.assigned - sum(lot.count for lot in left.values() if lot.type == type_)
        for lot in _handed_on(loose.get(family(type_), []), missing):
            missing -= lot.count
            number = lot.number if lot.number not in left else _next(left, lots)
            left[number] = msgspec.structs.replace(lot, number=number, type=type_)
        if missing > 0:
            _begun(left, lots, type_, missing, today)
    return left


def _taken_out(left: dict[int, Lot], owned: Mapping[str, Owned]) -> dict[str, list[Lot]]:
    """Shrink `left` to what is owned; what comes out, by family, oldest first."""
    loose: dict[str, list[Lot]] = {}
    for type_ in {lot.type for lot in left.values()}:
        of_type = _by_age(lot for lot in left.values() if lot.type == type_)
        over = sum(lot.count for lot in of_type) - (owned[type_].all if type_ in owned else 0)
        for lot in reversed(of_type):
            out = min(over, lot.count)
            if out <= 0:
                break
            over -= out
            loose.setdefault(family(type_), []).append(msgspec.structs.replace(lot, count=out))
            if out == lot.count:
                del left[lot.number]
            else:
                left[lot.number] = msgspec.structs.replace(lot, count=lot.count - out)
    return {name: _by_age(out) for name, out in loose.items()}


def _handed_on(loose: list[Lot], missing: int) -> list[Lot]:
    """At most `missing` units out of `loose`, which keeps the rest."""
    taken = []
    while loose and missing > 0:
        lot = loose.pop(0)
        if lot.count > missing:
            loose.insert(0, msgspec.structs.replace(lot, count=lot.count - missing))
            lot = msgspec.structs.replace(lot, count=missing)
        missing -= lot.count
        taken.append(lot)
    return taken


def _begun(left: dict[int, Lot], before: Lots, type_: str, count: int, today: int) -> None:
    same = next(
        (each for each in left.values() if (each.type, each.since_day, each.ssa) == (type_, today, None)),
        None,
    )
    if same is not None:
        left[same.number] = msgspec.structs.replace(same, count=same.count + count)
    else:
        number = _next(left, before)
        left[number] = Lot(number, type_, count, today)


def _next(left: Lots, before: Lots) -> int:
    return max((*left, *before), default=0) + 1


def _by_age(lots: Iterable[Lot]) -> list[Lot]:
    return sorted(lots, key=lambda lot: (lot.since_day, lot.number))


def moved_to(lots: Lots, chosen: Sequence[int], count: int, type_: str) -> Lots:
    """The lots after so many units of the chosen ones, in this order, became another type."""
    left = dict(lots)
    for number in chosen:
        lot = left[number]
        out = min(count, lot.count)
        if out == lot.count:
            left[number] = msgspec.structs.replace(lot, type=type_)
        elif out:
            left[number] = msgspec.structs.replace(lot, count=lot.count - out)
            new = _next(left, lots)
            left[new] = msgspec.structs.replace(lot, number=new, count=out, type=type_)
        count -= out
    return left
