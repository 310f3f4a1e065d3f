"""What stands in the book of an installation, as people are told (`term_reports`); nothing changes here."""

from collections.abc import Sequence

from licence_master.service.told.term_reports import (
    BookingView,
    CreditsView,
    DeviceView,
    LotView,
    OfferView,
    RentalView,
    TermView,
    UpgradeView,
)
from licensing.installation import printed_mac
from licensing.state import State
from licensing.terms import ending
from licensing.terms.day import shown
from licensing.terms.upgrading import Right


def terms(state: State, today: int) -> list[TermView]:
    """Everything that ends or has ended, the next first."""
    said = state.book.reminders
    views = []
    for each in ending.endings(state, today):
        reminder = said.get((each.kind, each.ends_day))
        views.append(
            TermView(
                kind=each.kind,
                subject=each.subject,
                ends=shown(each.ends_day),
                days_left=each.days_left(today),
                note=each.note,
                alarm=each.alarm(today),
                reminder=reminder.text if reminder else None,
                reminded=shown(reminder.day) if reminder else None,
            )
        )
    return views


def lots(state: State, today: int) -> list[LotView]:
    """All lots in the order of their numbers."""
    return [
        LotView(
            number=lot.number,
            type=lot.type,
            count=lot.count,
            since=shown(lot.since_day),
            until=shown(lot.ssa.until_day) if lot.ssa else None,
            days_left=lot.ssa.until_day - today if lot.ssa else None,
            years=lot.ssa.years if lot.ssa else None,
            cost=lot.ssa.ssc * lot.count if lot.ssa else None,
            auto=lot.ssa is not None and lot.ssa.auto,
        )
        for _, lot in sorted(state.book.lots.items())
    ]


def upgrades(rights: Sequence[Right]) -> list[UpgradeView]:
    """What is included in an upgrade, and what not."""
    return [UpgradeView(r.type, r.count, r.included, r.why, r.lot or None) for r in rights]


def offers(state: State) -> list[OfferView]:
    """Offers that nobody has confirmed."""
    return [
        OfferView(each.number, each.type, each.count, each.place, each.why, shown(each.day))
        for each in state.book.offers.values()
    ]


def credits_of(state: State, limit: int) -> CreditsView:
    """Balances, and so many of the last bookings."""
    book = state.book
    rows = [
        BookingView(row.unit, shown(row.day), row.amount, row.balance, row.why, row.by)
        for row in reversed(book.bookings[-limit:])
    ]
    return CreditsView(book.ssc, book.isc, tuple(rows))


def rentals(state: State) -> list[RentalView]:
    """All rented units, as they were rented."""
    return [
        RentalView(
            number=each.number,
            type=each.type,
            count=each.count,
            place=each.place,
            isc=each.rental.isc,
            days=each.rental.days,
            since=shown(each.rental.since_day),
            counting=state.book.isc > 0,
        )
        for each in state.entitlements.values()
        if each.rental is not None
    ]


def devices(state: State, today: int) -> list[DeviceView]:
    """The device register by MAC."""
    return [
        DeviceView(
            mac=printed_mac(each.mac),
            model=each.model,
            serial=each.serial,
            bought=shown(each.bought_day),
            warranty=shown(each.warranty_day),
            extended=each.extended,
            days_left=each.warranty_day - today,
        )
        for _, each in sorted(state.book.devices.items())
    ]
