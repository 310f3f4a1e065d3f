"""What people are told of SSA, credits, rent, devices and of everything that ends; days as `2026-03-10`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TermView:
    """One thing that ends; kind: licence, ssa, rental, warranty. `ends` is its last day.

    `days_left` is 0 on that day and negative afterwards; `reminder` was said last, on the day `reminded`.
    """

    kind: str
    subject: str
    ends: str
    days_left: int
    note: str
    alarm: bool
    reminder: str | None
    reminded: str | None


@dataclass(frozen=True, slots=True)
class LotView:
    """Units of a type first assigned on the day `since`; `until` null: they are under no SSA.

    A further term is `years` long, costs `cost` SSC, and is taken by itself with `auto`.
    """

    number: int
    type: str
    count: int
    since: str
    until: str | None
    days_left: int | None
    years: int | None
    cost: int | None
    auto: bool


@dataclass(frozen=True, slots=True)
class UpgradeView:
    """Whether units may be upgraded, and why or why not; `lot` null: they are in none."""

    type: str
    count: int
    included: bool
    why: str
    lot: int | None


@dataclass(frozen=True, slots=True)
class OfferView:
    """Units that may be had and are not installed before somebody confirms."""

    number: int
    type: str
    count: int
    place: str
    why: str
    since: str


@dataclass(frozen=True, slots=True)
class BookingView:
    """One line of the statement: `amount` is negative where credits were paid; `by` whom, and `why`."""

    unit: str
    day: str
    amount: int
    balance: int
    why: str
    by: str


@dataclass(frozen=True, slots=True)
class CreditsView:
    """Both balances, and the last bookings, newest first."""

    ssc: int
    isc: int
    bookings: tuple[BookingView, ...]


@dataclass(frozen=True, slots=True)
class RentalView:
    """Rented units: each costs `isc` every `days` days; they count (`counting`) while iSC are left."""

    number: int
    type: str
    count: int
    place: str
    isc: int
    days: int
    since: str
    counting: bool


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device and the last day of its warranty."""

    mac: str
    model: str
    serial: str
    bought: str
    warranty: str
    extended: bool
    days_left: int
