"""What an SSA entitles to when a release appears, and taking it (8.1, 7.1; L.r32, L.r34)."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from licensing.catalogue import Catalogue, Row
from licensing.codes import Code, Refusal
from licensing.entitlement import Entitlement
from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.installation import MASTER, UNASSIGNED
from licensing.ledger import AnyEvent, Installed, Removed
from licensing.licence_type import LicenceType
from licensing.pool import master_name
from licensing.state import State
from licensing.terms import day
from licensing.terms.agreeing import row_of
from licensing.terms.book import Offer
from licensing.terms.ending import subject
from licensing.terms.lot import Lot, Lots, moved_to
from licensing.terms.release import Release
from licensing.terms.term_events import LotsSettled, Offered, OfferTaken


@dataclass(frozen=True, slots=True)
class Right:
    """Whether units may be upgraded to a release, and why or why not; `lot` 0: none."""

    type: str
    count: int
    included: bool
    why: str
    lot: int = 0


def rights(state: State, release: Release) -> list[Right]:
    """What all installed units, and the release's new features, are entitled to."""
    found = [_right(lot, release) for lot in state.book.lots.values() if _below(lot.type, release.release)]
    found += [_apart(each, release) for each in state.entitlements.values() if _has_no_lot(each)]
    why = f"new in {release.release}, with a licence of its own (8.1)"
    return found + [Right(type_, 0, included=False, why=why) for type_ in release.new]


def _right(lot: Lot, release: Release) -> Right:
    """8.1: releases published during the term, its first and its last day included (L.r32)."""
    if lot.ssa is None:
        return Right(lot.type, lot.count, included=False, why="it is not under SSA", lot=lot.number)
    included = lot.since_day <= release.day <= lot.ssa.until_day
    term = f"SSA from {day.shown(lot.since_day)} to {day.shown(lot.ssa.until_day)}"
    why = f"published on {day.shown(release.day)}, {term}"
    return Right(lot.type, lot.count, included, why, lot.number)


def _has_no_lot(each: Entitlement) -> bool:
    return each.hardware or each.rental is not None


def _apart(each: Entitlement, release: Release) -> Right:
    if each.hardware:
        return Right(
            each.type, each.count, included=False, why="hardware has no version: it serves any (1.3)"
        )
    return Right(each.type, each.count, included=False, why="rented units are under no SSA")


def _below(type_: str, release: int) -> bool:
    parsed = LicenceType.parse(type_)
    return isinstance(parsed, LicenceType) and parsed.version is not None and parsed.version < release


def upgrade(
    state: State, catalogue: Catalogue, item: Item, release: Release, today: int
) -> list[AnyEvent] | Refusal:
    """Turn units of a type into the same of a newer release, where an SSA includes it.

    No place: wherever they lie. Operator brings an offer of Switchboard licences (7.1, L.r34), nothing more.
    Codes: `hardware_bound`, `invalid_type`, `invalid_request`, `not_included`, `not_found`.
    """
    named = row_of(catalogue, item.type)
    if isinstance(named, Refusal):
        return named
    type_, row = named
    if not catalogue.classes[row.class_].ssa:
        return Refusal(Code.HARDWARE_BOUND, f"{type_}: it has no version to upgrade (1.3, 1.4)")
    if type_.version is None or type_.version >= release.release:
        return Refusal(Code.INVALID_REQUEST, f"{type_} is not older than {release.release}")
    chosen = _entitled(state, str(type_), item.count, release, today)
    if isinstance(chosen, Refusal):
        return chosen
    newer = str(row.type_for(release.release))
    swapped = _swapped(state, str(type_), newer, item, release.release)
    if isinstance(swapped, Refusal):
        return swapped
    lots = moved_to(state.book.lots, chosen, item.count, newer)
    events = [*swapped, changed(state.book.lots, lots)]
    gift = _gift(catalogue, row, type_.version, item, release)
    if gift is not None:
        events.append(Offered(msgspec.structs.replace(gift, number=state.position + len(events), day=today)))
    return events


def changed(before: Lots, after: Lots) -> LotsSettled:
    """The event that makes one the other."""
    lots = tuple(lot for number, lot in after.items() if before.get(number) != lot)
    return LotsSettled(lots, tuple(number for number in before if number not in after))


def _entitled(state: State, type_: str, count: int, release: Release, today: int) -> Sequence[int] | Refusal:
    """The lots that may be upgraded, oldest first; `not_included` when they are too few."""
    if release.day > today:
        detail = f"{release.release} appears on {day.shown(release.day)}"
        return Refusal(Code.NOT_INCLUDED, detail, "Upgrade when it has been published.")
    lots = sorted(
        (lot for lot in state.book.lots.values() if lot.type == type_), key=lambda lot: lot.since_day
    )
    found = [(lot, _right(lot, release)) for lot in lots]
    have = sum(lot.count for lot, right in found if right.included)
    if have >= count:
        return [lot.number for lot, right in found if right.included]
    reasons = "; ".join(f"{subject(lot)}: {right.why}" for lot, right in found if not right.included)
    return Refusal(Code.NOT_INCLUDED, f"{have} of {count} {type_} may be upgraded. {reasons}".strip())


def _swapped(state: State, type_: str, newer: str, item: Item, release: int) -> list[AnyEvent] | Refusal:
    """The oldest units leave and come back as the newer release, at the same place and of the same file."""
    place = MASTER if item.place in (MASTER, master_name(state.pbxs)) else item.place
    events: list[AnyEvent] = []
    left = item.count
    for each in state.entitlements.values():
        fits = each.type == type_ and each.rental is None and place in (None, each.place)
        out = min(left, each.count) if fits and each.place != UNASSIGNED else 0
        if out:
            number = state.position + len(events) + 1
            new = msgspec.structs.replace(
                each, number=number, type=newer, spelling=newer, count=out, release=release
            )
            events += [Removed(each.number, out), Installed(new)]
            left -= out
    if left:
        where = "" if place is None else f" at {place or 'the master'}"
        return Refusal(Code.NOT_FOUND, f"{item.count - left} {type_} are installed{where}, not {item.count}")
    return events


def _gift(catalogue: Catalogue, row: Row, old: int, item: Item, release: Release) -> Offer | None:
    """7.1: who updates Operator under SSA has a right to Switchboard licences, and need not want them."""
    gift = row.ssa_update_gift
    if gift is None or not old < gift.to_release <= release.release:
        return None
    type_ = str(catalogue.rows[gift.licence].type_for(release.release))
    why = f"{item.count} {item.type} updated to {release.release} under SSA"
    return Offer(0, type_, gift.units * item.count, why, 0, item.place or "")


def confirm(state: State, catalogue: Catalogue, number: int) -> list[AnyEvent] | Refusal:
    """Install what was offered; codes: `not_found`, and those of `inventory.install`."""
    offer = state.book.offers.get(number)
    if offer is None:
        return Refusal(Code.NOT_FOUND, f"no offer {number}", "See licence-master ssa offers.")
    item = Item(offer.type, offer.count, offer.place or None)
    came = inventory.stocked(state, catalogue, [item], None)
    return came[0] if isinstance(came, tuple) else [*came, OfferTaken(number)]
