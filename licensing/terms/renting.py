"""Renting software licences: units that count while iSC are left to pay them (1.4, 8.4)."""

import msgspec

from licensing.catalogue import Catalogue
from licensing.codes import Code, Refusal
from licensing.files import inventory
from licensing.files.inventory import Item
from licensing.ledger import AnyEvent, Installed, Removed, replay
from licensing.state import State
from licensing.terms.agreeing import NO_RENT, row_of
from licensing.terms.ending import rented
from licensing.terms.rental import Rental, rent
from licensing.terms.term_events import RentTaken


def start(
    state: State, catalogue: Catalogue, item: Item, isc: int, days: int, today: int
) -> list[AnyEvent] | Refusal:
    """Rent units from today on, each for `isc` every `days` days.

    Codes: `hardware_bound`, `credit_short` while there are no iSC, and those of `inventory.install`.
    """
    named = row_of(catalogue, item.type)
    if isinstance(named, Refusal):
        return named
    if not catalogue.classes[named[1].class_].rental:
        return Refusal(Code.HARDWARE_BOUND, f"{named[0]}: {NO_RENT[0]}", NO_RENT[1])
    paid = taken(state, today)
    after = replay(paid, state)
    if not after.book.isc:
        return Refusal(Code.CREDIT_SHORT, "rent is paid with iSC, and none are there")
    came = inventory.stocked(after, catalogue, [item], None)
    if isinstance(came, tuple):
        return came[0]
    rental = Rental(isc, days, today)
    return [*paid, *(_rented(event, rental) for event in came)]


def _rented(event: AnyEvent, rental: Rental) -> AnyEvent:
    assert isinstance(event, Installed), "no file came"
    return Installed(msgspec.structs.replace(event.entitlement, rental=rental))


def end(state: State, number: int, count: int | None, today: int) -> list[AnyEvent] | Refusal:
    """Give rented units back, all of a row or some; no registration ends, today is not paid any more.

    `number` is that of the row in the list of licences; `not_found` for one that is not rented.
    """
    row = state.entitlements.get(number)
    if row is None or row.rental is None:
        return Refusal(Code.NOT_FOUND, f"licence {number} is not rented", "See licence-master rent list.")
    if count is not None and count > row.count:
        return Refusal(Code.NOT_FOUND, f"{row.count} {row.type} are rented there, not {count}")
    return [*taken(state, today), Removed(number, row.count if count is None else count)]


def taken(state: State, today: int) -> list[AnyEvent]:
    """The event that takes the rent of all days before today; none while it is nothing, or nothing is left.

    After a long stop it takes what is there: units that could not be paid did not count in the end.
    """
    units, book = rented(state), state.book
    if not units or not book.isc:
        return []
    cost = rent(units, book.rent_day + 1, today - 1)
    return [RentTaken(min(cost, book.isc), today - 1, today)] if cost else []


def skipped(state: State, today: int) -> list[AnyEvent]:
    """Where the balance is 0: the event that leaves out the days before today, which cost nothing."""
    behind = state.book.rent_day < today - 1
    return [RentTaken(0, today - 1, today)] if behind and not state.book.isc and rented(state) else []
