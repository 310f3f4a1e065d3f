"""Installing and removing licences: all rows of an inventory or none, each refusal with its reason.

Nothing here ends a registration: what is removed under someone's feet becomes surplus (L.r31).
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from licensing.administration import Change, change
from licensing.catalogue import Catalogue, Row
from licensing.claims import Demands
from licensing.codes import Code, Refusal
from licensing.entitlement import Entitlement
from licensing.installation import MASTER, Pbx, normal_mac, printed_mac
from licensing.ledger import AnyEvent, Installed, Removed, evolve
from licensing.licence_type import LicenceType
from licensing.pool import master_name
from licensing.rules import LicenceWarning, quarantine_warnings, smb_refusal, tier_warnings
from licensing.state import State


@dataclass(frozen=True, slots=True)
class Item:
    """One row of an inventory: a licence type as written, how many, where (None: the master), whose MAC."""

    type: str
    count: int
    place: str | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class _Parsed:
    """An item whose type, place and MAC were understood; `place` is MASTER or the name of another PBX."""

    item: Item
    type: LicenceType
    row: Row
    place: str
    mac: str
    box: Pbx | None


def warnings(state: State) -> tuple[LicenceWarning, ...]:
    """What is wrong with the installed licences and refuses nothing (L.r2, L.r19)."""
    rows = state.entitlements.values()
    return (*tier_warnings(rows), *quarantine_warnings(rows))


def install(
    state: State,
    catalogue: Catalogue,
    items: Sequence[Item],
    *,
    document: str = "",
    again: bool = False,
    demands: Demands | None = None,
    silent: Set[str] = frozenset(),
) -> Change | tuple[Refusal, ...]:
    """Install all items or none; `document` is the digest of the file they came in (`already_installed`).

    Codes: `invalid_type`, `not_found` (place), `invalid_request` (count, MAC), `master_only`,
    `hardware_bound`, `mac_mismatch`, `smb_exclusion`, `smb_cap`.
    """
    if document and not again and any(e.document == document for e in state.entitlements.values()):
        return (Refusal(Code.ALREADY_INSTALLED),)
    events: list[AnyEvent] = []
    refusals: list[Refusal] = []
    work = state
    for item in items:
        found = _entitlement(work, catalogue, item, document)
        if isinstance(found, Refusal):
            refusals.append(found)
            continue
        events.append(Installed(found))
        work = evolve(work, events[-1])
    if refusals:
        return tuple(refusals)
    return change(state, events, demands, silent, warnings(work))


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
    parsed = _parsed(state, catalogue, item)
    if isinstance(parsed, Refusal):
        return parsed
    if parsed.row.class_ == "hardware":
        return _bound(parsed, "it cannot be deleted once it is assigned (1.4)")
    left = item.count
    events = []
    for row in sorted(state.entitlements.values(), key=lambda row: -row.number):
        if (row.type, row.place) == (str(parsed.type), parsed.place) and parsed.mac in ("", row.mac) and left:
            events.append(Removed(row.number, min(left, row.count)))
            left -= min(left, row.count)
    if left:
        where = parsed.place or "the master"
        detail = (
            f"{item.count - left} {parsed.type} are installed at {where}, {item.count} were to be removed"
        )
        return Refusal(Code.NOT_FOUND, detail, "Remove at most what licence-master licences lists.")
    return events


def _entitlement(state: State, catalogue: Catalogue, item: Item, document: str) -> Entitlement | Refusal:
    parsed = _parsed(state, catalogue, item)
    if isinstance(parsed, Refusal):
        return parsed
    row = parsed.row
    quarantined = row.class_ != "hardware" and parsed.type.version is None
    new = Entitlement(
        number=state.position,
        type=str(parsed.type),
        count=item.count,
        spelling=item.type,
        place=parsed.place,
        mac=parsed.mac or (parsed.box.mac if parsed.box and row.class_ == "hardware" else ""),
        pool=None if quarantined else row.pool,
        release=parsed.type.version,
        tier=row.tier,
        cap=row.cap,
        document=document,
    )
    if quarantined:
        return new
    refusal = _place_refusal(state, parsed) or smb_refusal(new, state.entitlements.values(), len(state.pbxs))
    return refusal or new


def _parsed(state: State, catalogue: Catalogue, item: Item) -> _Parsed | Refusal:
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
    if place != MASTER and place not in state.pbxs:
        return Refusal(Code.NOT_FOUND, f"no PBX {place} in the configuration")
    mac = "" if not item.mac else normal_mac(item.mac)
    if mac is None:
        return Refusal(Code.INVALID_REQUEST, f'"{item.mac}" is no MAC address')
    return _Parsed(item, licence_type, row, place, mac, state.pbxs.get(place or master))


def _place_refusal(state: State, parsed: _Parsed) -> Refusal | None:
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


def _hardware_refusal(parsed: _Parsed) -> Refusal | None:
    """1.4, 2.2 to 2.4: a Relay licence stays with its gateway; Channels may also be bound to an IPVA."""
    box = parsed.box
    if box is None:
        return _bound(parsed, "there is no box to bind it to")
    if box.cloud:
        return _bound(parsed, f"{box.name} is in the cloud; use PBX-Channels there")
    if parsed.mac and box.mac and parsed.mac != box.mac:
        return _bound(parsed, f"it belongs to {printed_mac(parsed.mac)}, not to {box.name}")
    if box.virtual and parsed.row.pool != "relay-channel":
        return _bound(parsed, f"{box.name} is virtual and has no ISDN interface")
    return None


def _bound(parsed: _Parsed, why: str) -> Refusal:
    return Refusal(Code.HARDWARE_BOUND, f"{parsed.type}: {why}")
