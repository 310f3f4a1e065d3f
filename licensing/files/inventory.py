"""Installing and removing licences: all rows of an inventory or none, each refusal with its reason.

Nothing here ends a registration: what is removed under someone's feet becomes surplus (L.r31).
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from licensing.administration import Change, change
from licensing.catalogue import Catalogue, Row
from licensing.codes import Code, Refusal
from licensing.entitlement import Entitlement
from licensing.files.document import Document
from licensing.files.file_events import DocumentInstalled
from licensing.installation import MASTER, UNASSIGNED, Pbx, normal_mac, printed_mac
from licensing.ledger import AnyEvent, Installed, Removed, evolve, replay
from licensing.lender.claims import Demands
from licensing.licence_type import LicenceType
from licensing.pool import master_name
from licensing.rules import (
    LicenceWarning,
    quarantine_warnings,
    smb_refusal,
    tier_warnings,
    unassigned_warnings,
)
from licensing.state import State

MAX_ROWS: Final = 1_000
"""Rows of one order: the pools are counted anew after each, which takes the square of their number."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row of an inventory: a licence type as written, how many, where, whose MAC, of which project.

    No place: at the master; `-`: assigned to no PBX yet.
    """

    type: str
    count: int
    place: str | None = None
    mac: str | None = None
    project: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """An item whose type, place and MAC were understood; `place` is MASTER, UNASSIGNED or another PBX."""

    item: Item
    type: LicenceType
    row: Row
    place: str
    mac: str
    box: Pbx | None


def warnings(state: State) -> tuple[LicenceWarning, ...]:
    """What is wrong with the installed licences and refuses nothing (L.r2, L.r19, 8.2)."""
    rows = state.entitlements.values()
    return (*tier_warnings(rows), *quarantine_warnings(rows), *unassigned_warnings(rows))


def install(
    state: State,
    catalogue: Catalogue,
    items: Sequence[Item],
    *,
    document: Document | None = None,
    again: bool = False,
    demands: Demands | None = None,
    silent: Set[str] = frozenset(),
) -> Change | tuple[Refusal, ...]:
    """Install all items or none; `document` is the file they came in (`already_installed`).

    Codes: `invalid_type`, `not_found` (place), `invalid_request` (count, MAC), `master_only`,
    `hardware_bound`, `mac_mismatch`, `smb_exclusion`, `smb_cap`.
    """
    if document is not None and not again and holds(state, document.id):
        return (Refusal(Code.ALREADY_INSTALLED),)
    events = stocked(state, catalogue, items, document)
    if isinstance(events, tuple):
        return events
    change_ = change(state, events, demands, silent)
    return replace(change_, warnings=warnings(change_.state))


def at_their_boxes(state: State, items: Sequence[Item]) -> list[Item] | tuple[Refusal, ...]:
    """Items of the vendor's file, each at the PBX whose MAC it names; without a MAC it is assigned to none.

    `mac_mismatch` for each MAC that no PBX of the configuration has, `invalid_request` for what is no MAC.
    """
    master = master_name(state.pbxs)
    boxes = {pbx.mac: pbx.name for pbx in reversed([*state.pbxs.values()]) if pbx.mac}  # the first of two
    placed: list[Item] = []
    refusals: list[Refusal] = []
    for item in items:
        mac = normal_mac(item.mac or "")
        if not item.mac:
            placed.append(replace(item, place=UNASSIGNED))
        elif mac is None:
            refusals.append(Refusal(Code.INVALID_REQUEST, f'"{item.mac}" is no MAC address'))
        elif mac not in boxes:
            advice = "Write it beside its PBX in master.yaml, or install the file where that box is."
            refusals.append(Refusal(Code.MAC_MISMATCH, f"no PBX here has {printed_mac(mac)}", advice))
        else:
            placed.append(replace(item, place=None if boxes[mac] == master else boxes[mac]))
    return tuple(refusals) or placed


def holds(state: State, document: str) -> bool:
    """Whether licences that came in the file of this id are installed, or were used up by a conversion."""
    return document in state.spent or any(
        entitlement.document == document for entitlement in state.entitlements.values()
    )


def stocked(
    state: State, catalogue: Catalogue, items: Sequence[Item], document: Document | None
) -> list[AnyEvent] | tuple[Refusal, ...]:
    """The events that install these items after `state`, or all refusals; codes as for `install`."""
    events: list[AnyEvent] = [] if document is None else [DocumentInstalled(document)]
    refusals: list[Refusal] = []
    work = replay(events, state)
    for item in items:
        found = _entitlement(work, catalogue, item, document.id if document else "")
        if isinstance(found, Refusal):
            refusals.append(found)
            continue
        events.append(Installed(found))
        # Pools are not asked for here, and counting them anew for each row takes long for many rows.
        installed = {**work.entitlements, found.number: found}
        work = replace(work, entitlements=installed, position=work.position + 1)
    return tuple(refusals) or events


def remove(
    state: State,
    catalogue: Catalogue,
    items: Sequence[Item],
    *,
    demands: Demands | None = None,
    silent: Set[str] = frozenset(),
) -> Change | tuple[Refusal, ...]:
    """Remove all items or none, newest rows first; no registration ends (L.r31).

    Codes: as for `install`, and `not_found` where fewer are installed.
    """
    events: list[AnyEvent] = []
    refusals: list[Refusal] = []
    work = state
    for item in items:
        found = _removed(work, catalogue, item)
        if isinstance(found, Refusal):
            refusals.append(found)
            continue
        for event in found:
            work = evolve(work, event)
        events.extend(found)
    if refusals:
        return tuple(refusals)
    return change(state, events, demands, silent, warnings(work))


def _removed(state: State, catalogue: Catalogue, item: Item) -> list[Removed] | Refusal:
    parsed = parse(state, catalogue, item)
    if isinstance(parsed, Refusal):
        return parsed
    if parsed.row.class_ == "hardware" and parsed.place != UNASSIGNED:
        return bound(parsed, "it cannot be deleted once it is assigned (1.4)")
    taken = units_at(state, parsed)
    if isinstance(taken, Refusal):
        return taken
    return [Removed(number, units) for number, units in taken]


def units_at(state: State, wanted: Parsed) -> list[tuple[int, int]] | Refusal:
    """Numbers of entitlements and units of each, newest first, that an item means; `not_found`: too few."""
    left, taken = wanted.item.count, []
    for row in sorted(state.entitlements.values(), key=lambda row: -row.number):
        meant = (row.type, row.place) == (str(wanted.type), wanted.place) and wanted.mac in ("", row.mac)
        if meant and left:
            taken.append((row.number, min(left, row.count)))
            left -= taken[-1][1]
    if not left:
        return taken
    there = f"{wanted.item.count - left} {wanted.type} are installed at {named_place(wanted.place)}"
    advice = "Name at most what licence-master licences lists."
    return Refusal(Code.NOT_FOUND, f"{there}, {wanted.item.count} were asked for", advice)


def named_place(place: str) -> str:
    """A place as people call it."""
    return "no PBX" if place == UNASSIGNED else place or "the master"


def _entitlement(state: State, catalogue: Catalogue, item: Item, document: str) -> Entitlement | Refusal:
    parsed = parse(state, catalogue, item)
    if isinstance(parsed, Refusal):
        return parsed
    row = parsed.row
    quarantined = row.class_ != "hardware" and parsed.type.version is None
    idle = quarantined or parsed.place == UNASSIGNED
    new = Entitlement(
        number=state.position,
        type=str(parsed.type),
        count=item.count,
        spelling=item.type,
        place=parsed.place,
        mac=parsed.mac or (parsed.box.mac if parsed.box and row.class_ == "hardware" else ""),
        pool=None if idle else row.pool,
        release=parsed.type.version,
        tier=row.tier,
        cap=row.cap,
        document=document,
        project=item.project,
    )
    if idle:
        return new
    refusal = place_refusal(state, parsed) or smb_refusal(new, state.entitlements.values(), len(state.pbxs))
    return refusal or new


def parse(state: State, catalogue: Catalogue, item: Item) -> Parsed | Refusal:
    """What an item says; codes `invalid_type`, `invalid_request`, `not_found` (place)."""
    licence_type = LicenceType.parse(item.type)
    if isinstance(licence_type, Refusal):
        return licence_type
    row = catalogue.row_of(licence_type)
    if isinstance(row, Refusal):
        return row
    if item.count < 1:
        return Refusal(Code.INVALID_REQUEST, f"{item.count} units of {licence_type}")
    master = master_name(state.pbxs)
    place = MASTER if item.place in (None, MASTER, master) else str(item.place)
    if place not in (MASTER, UNASSIGNED) and place not in state.pbxs:
        return Refusal(Code.NOT_FOUND, f"no PBX {place} in the configuration")
    mac = "" if not item.mac else normal_mac(item.mac)
    if mac is None:
        return Refusal(Code.INVALID_REQUEST, f'"{item.mac}" is no MAC address')
    return Parsed(item, licence_type, row, place, mac, state.pbxs.get(place or master))


def place_refusal(state: State, parsed: Parsed) -> Refusal | None:
    """Where this type may lie: 1.4 hardware at its own box, 3.2 Standby on the master, 3.3 IPVA by MAC."""
    if parsed.row.class_ == "hardware":
        return _hardware_refusal(parsed)
    if parsed.row.install_at == "master" and parsed.place != MASTER:
        return Refusal(Code.MASTER_ONLY, f"{parsed.type} at {parsed.place}")
    if parsed.row.bound_to is None or not parsed.mac:
        return None
    if state.settings.ipva_binding == "consumer":
        boxes = [pbx.mac for pbx in state.pbxs.values() if pbx.mac]
    else:
        boxes = [parsed.box.mac] if parsed.box and parsed.box.mac else []
    if boxes and parsed.mac not in boxes:
        shown = ", ".join(printed_mac(mac) for mac in boxes)
        return Refusal(Code.MAC_MISMATCH, f"the licence names {printed_mac(parsed.mac)}, the box has {shown}")
    return None


def _hardware_refusal(parsed: Parsed) -> Refusal | None:
    """1.4, 2.2 to 2.4: a Relay licence stays with its gateway; Channels may also be bound to an IPVA."""
    box = parsed.box
    if box is None:
        return bound(parsed, "there is no box to bind it to")
    if box.cloud:
        return bound(parsed, f"{box.name} is in the cloud; use PBX-Channels there")
    if parsed.mac and box.mac and parsed.mac != box.mac:
        return bound(parsed, f"it belongs to {printed_mac(parsed.mac)}, not to {box.name}")
    if box.virtual and parsed.row.pool != "relay-channel":
        return bound(parsed, f"{box.name} is virtual and has no ISDN interface")
    return None


def bound(parsed: Parsed, why: str) -> Refusal:
    """1.4, L.r21: hardware licences stay with their box; each refusal says which way was tried."""
    return Refusal(Code.HARDWARE_BOUND, f"{parsed.type}: {why}")
