"""Converting SMB-Port licences to Port by their upgrade: all of them, or nothing changes (3.4, L.r18)."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from typing import Final

import msgspec

from licensing.administration import Change, change
from licensing.catalogue import Catalogue, Row
from licensing.codes import Code, Refusal
from licensing.entitlement import Entitlement
from licensing.files.inventory import warnings
from licensing.files.stock_events import Converted
from licensing.lender.claims import Demands
from licensing.licence_type import LicenceType
from licensing.state import State

SMB_PORT: Final = "smb-port"


def convert(
    state: State,
    catalogue: Catalogue,
    pool: str,
    *,
    demands: Demands | None = None,
    silent: Set[str] = frozenset(),
) -> Change | Refusal:
    """Make all units of a pool standard units, each of its own release, one upgrade unit for each.

    The upgrade units of the lowest release that will do are used first, and stay where there are more; a
    file whose upgrade units were used is not installed a second time. Codes: `invalid_type` (nothing converts
    this pool), `not_found` (no unit of it), `conversion_short`.
    """
    row = next((row for row in catalogue.rows.values() if row.converts and row.converts.from_ == pool), None)
    if row is None or row.converts is None:
        return Refusal(Code.INVALID_TYPE, f"no licence converts {pool}", f"What converts is {SMB_PORT}.")
    old = [each for each in state.entitlements.values() if each.pool == pool]
    if not old:
        return Refusal(Code.NOT_FOUND, f"no {pool} licences are installed", "There is nothing to convert.")
    needed, release = sum(each.count for each in old), max(each.serves for each in old)
    spent = _spent(_upgrades(state, row, release), needed)
    if spent is None:
        have = sum(each.count for each in _upgrades(state, row, release))
        name = row.type_for(release)
        detail = f"{needed} {name} (or newer) are needed, one for each {pool} unit; {have} are installed"
        return Refusal(Code.CONVERSION_SHORT, detail, f"Install {needed - have} more {name}.")
    converted = tuple(_standard(each, row.converts.to) for each in old)
    event = Converted(converted, spent, row.converts.from_, row.converts.to)
    made = change(state, [event], demands, silent)
    return replace(made, warnings=warnings(made.state))


def _upgrades(state: State, row: Row, release: int) -> list[Entitlement]:
    """Upgrade units, new enough, assigned and not rented: the lowest release first, then the oldest."""
    found = [e for e in state.entitlements.values() if _is_upgrade(e, row) and e.serves >= release]
    return sorted(found, key=lambda each: (each.serves, each.number))


def _is_upgrade(units: Entitlement, row: Row) -> bool:
    usable = not (units.quarantined or units.unassigned or units.rental)
    return usable and units.release is not None and units.type == str(row.type_for(units.release))


def _spent(upgrades: Sequence[Entitlement], needed: int) -> dict[int, int] | None:
    """Units to use of each, or None where all of them are too few."""
    spent = dict(_taken(upgrades, needed))
    return spent if sum(spent.values()) == needed else None


def _taken(upgrades: Sequence[Entitlement], needed: int) -> Iterator[tuple[int, int]]:
    for each in upgrades:
        units = min(each.count, needed)
        needed -= units
        if units:
            yield each.number, units


def _standard(units: Entitlement, pool: str) -> Entitlement:
    """The same units without their size; how they were written stays for people."""
    parsed = LicenceType.parse(units.type)
    assert isinstance(parsed, LicenceType), "it was installed"
    return msgspec.structs.replace(units, type=str(replace(parsed, modifier="")), pool=pool, cap=0)
