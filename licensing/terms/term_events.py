"""The events of SSA, credits, rent, devices and reminders; a day is a number of `licensing.terms.day`.

Whether rented units count follows from the balance, so the events that book iSC count the pools anew.
"""

from dataclasses import replace

import msgspec

from licensing.event import Event
from licensing.state import State
from licensing.terms.book import Book, Offer, Reminder
from licensing.terms.credit import Unit
from licensing.terms.lot import Lot, Ssa
from licensing.terms.warranty import Device


class LotsSettled(Event, frozen=True):
    """Units were first assigned, went, or became others: the lots that changed, and those gone."""

    lots: tuple[Lot, ...] = ()
    gone: tuple[int, ...] = ()

    def after(self, state: State) -> State:
        lots = {number: lot for number, lot in state.book.lots.items() if number not in self.gone}
        return _with(state, lots={**lots, **{lot.number: lot for lot in self.lots}})


class SsaAgreed(Event, frozen=True):
    """A lot is under SSA, as agreed now; it was first assigned on `since_day`."""

    lot: int
    since_day: int
    ssa: Ssa

    def after(self, state: State) -> State:
        lot = msgspec.structs.replace(state.book.lots[self.lot], since_day=self.since_day, ssa=self.ssa)
        return _with(state, lots={**state.book.lots, self.lot: lot})


class SsaProlonged(Event, frozen=True):
    """A further term follows without a gap."""

    lot: int
    until_day: int

    def after(self, state: State) -> State:
        return _with_ssa(state, self.lot, until_day=self.until_day)


class SsaLapsed(Event, frozen=True):
    """The term ended and the balance was too small for another: it is prolonged by hand only."""

    lot: int

    def after(self, state: State) -> State:
        return _with_ssa(state, self.lot, auto=False)


class SsaEnded(Event, frozen=True):
    """An administrator ended it, or took back what was entered wrongly."""

    lot: int

    def after(self, state: State) -> State:
        lot = msgspec.structs.replace(state.book.lots[self.lot], ssa=None)
        return _with(state, lots={**state.book.lots, self.lot: lot})


class Credited(Event, frozen=True):
    """Credits were bought."""

    unit: Unit
    amount: int
    why: str
    by: str
    day: int

    def after(self, state: State) -> State:
        return _booked(state, state.book.booked(self.unit, self.amount, self.why, self.by, self.day))


class Debited(Event, frozen=True):
    """Credits paid for something."""

    unit: Unit
    amount: int
    why: str
    by: str
    day: int

    def after(self, state: State) -> State:
        return _booked(state, state.book.booked(self.unit, -self.amount, self.why, self.by, self.day))


class Adjusted(Event, frozen=True):
    """The balance is what the vendor's portal says."""

    unit: Unit
    balance: int
    why: str
    by: str
    day: int

    def after(self, state: State) -> State:
        change = self.balance - state.book.balance(self.unit)
        return _booked(state, state.book.booked(self.unit, change, self.why, self.by, self.day))


class RentTaken(Event, frozen=True):
    """The rent of all days up to `until_day` was taken; 0 for days on which rented units did not count."""

    isc: int
    until_day: int
    day: int

    def after(self, state: State) -> State:
        book = state.book
        if self.isc:
            book = book.booked("isc", -self.isc, "rent", "rent", self.day)
        return _booked(state, replace(book, rent_day=self.until_day))


class Offered(Event, frozen=True):
    """The installation may have these units; they exist only once confirmed (L.r34)."""

    offer: Offer

    def after(self, state: State) -> State:
        return _with(state, offers={**state.book.offers, self.offer.number: self.offer})


class OfferTaken(Event, frozen=True):
    """An administrator confirmed; the units were installed beside this event."""

    number: int

    def after(self, state: State) -> State:
        offers = {number: offer for number, offer in state.book.offers.items() if number != self.number}
        return _with(state, offers=offers)


class DeviceRegistered(Event, frozen=True):
    """A device is in the register, with what is known of it now."""

    device: Device

    def after(self, state: State) -> State:
        return _with(state, devices={**state.book.devices, self.device.mac: self.device})


class WarrantyExtended(Event, frozen=True):
    """The warranty of a device was extended, once and for good."""

    mac: str

    def after(self, state: State) -> State:
        device = msgspec.structs.replace(state.book.devices[self.mac], extended=True)
        return _with(state, devices={**state.book.devices, self.mac: device})


class DeviceDropped(Event, frozen=True):
    """A device is in the register no more."""

    mac: str

    def after(self, state: State) -> State:
        devices = {mac: device for mac, device in state.book.devices.items() if mac != self.mac}
        return _with(state, devices=devices)


class Reminded(Event, frozen=True):
    """It was said that something ends on `ends_day`, at most `before` days before (-1: it has ended)."""

    kind: str
    ends_day: int
    before: int
    day: int
    text: str

    def after(self, state: State) -> State:
        said = Reminder(self.before, self.day, self.text)
        return _with(state, reminders={**state.book.reminders, (self.kind, self.ends_day): said})


TermEvent = (
    LotsSettled
    | SsaAgreed
    | SsaProlonged
    | SsaLapsed
    | SsaEnded
    | Credited
    | Debited
    | Adjusted
    | RentTaken
    | Offered
    | OfferTaken
    | DeviceRegistered
    | WarrantyExtended
    | DeviceDropped
    | Reminded
)

BY_HAND = (
    SsaAgreed,
    SsaProlonged,
    SsaEnded,
    Credited,
    Debited,
    Adjusted,
    OfferTaken,
    DeviceRegistered,
    WarrantyExtended,
    DeviceDropped,
)
"""What administrators order; the rest, and what the terms do by themselves, comes again by itself."""

EVENT_NAMES = {
    "LotsSettled": "lots.settled",
    "SsaAgreed": "ssa.agreed",
    "SsaProlonged": "ssa.prolonged",
    "SsaLapsed": "ssa.lapsed",
    "SsaEnded": "ssa.ended",
    "Credited": "credits.credited",
    "Debited": "credits.debited",
    "Adjusted": "credits.adjusted",
    "RentTaken": "rent.taken",
    "Offered": "offer.made",
    "OfferTaken": "offer.taken",
    "DeviceRegistered": "device.registered",
    "WarrantyExtended": "warranty.extended",
    "DeviceDropped": "device.dropped",
    "Reminded": "reminder.said",
}
"""As logs and history call them."""


def _with(state: State, **changes: object) -> State:
    return replace(state, book=replace(state.book, **changes))  # type: ignore[arg-type] # fields of Book


def _with_ssa(state: State, number: int, **changes: object) -> State:
    lot = state.book.lots[number]
    assert lot.ssa is not None, "only an agreement goes on or lapses"
    ssa = msgspec.structs.replace(lot.ssa, **changes)
    return _with(state, lots={**state.book.lots, number: msgspec.structs.replace(lot, ssa=ssa)})


def _booked(state: State, book: Book) -> State:
    turned = state.rental and (book.isc > 0) != (state.book.isc > 0)
    state = replace(state, book=book)
    return state.restocked() if turned else state
