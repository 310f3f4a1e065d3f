"""Transferring software licences from one place to another, all at once (1.4); hardware stays (L.r21)."""

from collections.abc import Set
from dataclasses import replace

import msgspec

from licensing.administration import Change, change
from licensing.catalogue import Catalogue
from licensing.codes import Code, Refusal
from licensing.entitlement import Entitlement
from licensing.files.inventory import (
    Item,
    Parsed,
    bound,
    named_place,
    parse,
    place_refusal,
    units_at,
    warnings,
)
from licensing.files.stock_events import Transferred
from licensing.installation import UNASSIGNED, printed_mac
from licensing.ledger import AnyEvent, evolve
from licensing.lender.claims import Demands
from licensing.rules import smb_refusal
from licensing.state import State


def transfer(
    state: State,
    catalogue: Catalogue,
    item: Item,
    place: str | None,
    *,
    demands: Demands | None = None,
    silent: Set[str] = frozenset(),
) -> Change | Refusal:
    """Move the units of an item, which lie at its place, to another one: newest first, all or none.

    They keep file, project and release; a PBX that gets its first software unit is in local mode from now on
    (1.2, L.r23). No registration ends (L.r31). Codes: `invalid_type`, `not_found` (place, fewer units there),
    `invalid_request`, `hardware_bound`, `master_only`, `mac_mismatch`, `smb_exclusion`, `smb_cap`.
    """
    source = parse(state, catalogue, item)
    if isinstance(source, Refusal):
        return source
    target = parse(state, catalogue, replace(item, place=place))
    if isinstance(target, Refusal):
        return target
    refusal = _refusal(source, target)
    if refusal is not None:
        return refusal
    taken = units_at(state, source)
    if isinstance(taken, Refusal):
        return taken
    events: list[AnyEvent] = []
    work = state
    for number, units in taken:
        moved = _moved(work, work.entitlements[number], units, target)
        if isinstance(moved, Refusal):
            return moved
        events.append(Transferred(number, moved))
        work = evolve(work, events[-1])
    return change(state, events, demands, silent, warnings(work))


def _refusal(source: Parsed, target: Parsed) -> Refusal | None:
    if source.place == target.place:
        return Refusal(Code.INVALID_REQUEST, f"{source.type} at {named_place(source.place)}, where they are")
    if source.row.class_ == "hardware" and source.place != UNASSIGNED:
        return bound(source, "it stays with its box and cannot be transferred (1.4)")
    return None


def _moved(state: State, units: Entitlement, count: int, target: Parsed) -> Entitlement | Refusal:
    """The units as they lie at the target, or why they may not."""
    hardware = target.row.class_ == "hardware"
    idle = target.place == UNASSIGNED or (not hardware and units.release is None)
    moved = msgspec.structs.replace(
        units,
        number=state.position,
        count=count,
        place=target.place,
        mac=_mac(units, target),
        pool=None if idle else target.row.pool,
    )
    if idle:
        return moved
    others = [each for each in state.entitlements.values() if each.number != units.number]
    return (
        place_refusal(state, replace(target, mac=units.mac))
        or _file_refusal(state, units, target)
        or smb_refusal(moved, others, len(state.pbxs))
        or moved
    )


def _mac(units: Entitlement, target: Parsed) -> str:
    """Hardware and IPVA units keep the MAC that they name; that of others only says where they lie (1.4)."""
    box = target.box.mac if target.box and target.place != UNASSIGNED else ""
    if target.row.class_ == "hardware":
        return units.mac or box
    return box if units.mac and target.row.bound_to is None else units.mac


def _file_refusal(state: State, units: Entitlement, target: Parsed) -> Refusal | None:
    """A signed file that names MACs names every box that its licences may lie at."""
    document = state.documents.get(units.document)
    named = document.macs if document is not None else ()
    if not named or (target.box is not None and target.box.mac in named):
        return None
    shown = ", ".join(printed_mac(mac) for mac in named)
    where = named_place(target.place)
    return Refusal(Code.MAC_MISMATCH, f"the file of {units.type} names {shown}, which {where} does not have")
