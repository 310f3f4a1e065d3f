"""Routes of what ends and what is paid: terms, SSA, credits, rentals, devices."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field, StringConstraints

from licence_master.edges.doorkeeper import Access
from licence_master.edges.orders import DATE, Done, Name, Order
from licence_master.edges.problems import ProblemError
from licence_master.service.told import term_views
from licence_master.service.told.term_reports import (
    CreditsView,
    DeviceView,
    LotView,
    OfferView,
    RentalView,
    TermView,
    UpgradeView,
)
from licensing.codes import Code, Refusal
from licensing.files.inventory import Item
from licensing.terms import day
from licensing.terms.agreeing import Wanted

Date = Annotated[str, StringConstraints(pattern=DATE)]
Type = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Text = Annotated[str, StringConstraints(max_length=100)]
# strict: true and false are no numbers
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Years = Annotated[int, Field(strict=True, ge=1, le=50)]
Price = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Release = Annotated[int, Field(strict=True, ge=1, le=99)]
Limit = Annotated[int, Query(ge=1, le=10_000)]
Number = Annotated[str, Path(min_length=1, max_length=20)]


class LotOrder(Order):
    """A lot by its number, or by a licence type that only one lot has."""

    lot: Type


class SsaOrder(LotOrder):
    """Put a lot under SSA for `years` from its first assignment (or `until`); `ssc`: of each unit and term.

    `since`: the day of the first assignment, where it was before this master saw it.
    """

    years: Years
    ssc: Price
    auto: bool = False
    until: Date | None = None
    since: Date | None = None


class ProlongOrder(LotOrder):
    """One further term; years and SSC of each unit as agreed, or these."""

    years: Years | None = None
    ssc: Price | None = None


class AutoOrder(LotOrder):
    """Prolong it by itself, or no more."""

    auto: bool


class UpgradeOrder(Order):
    """Turn units of a type into those of a newer release; no `place`: wherever they lie, oldest first."""

    type: Type
    count: Count
    release: Release
    place: Name | None = None


class CreditOrder(Order):
    """`add` what was bought, `take` what was spent elsewhere, or `set` the balance as the portal says."""

    unit: Literal["ssc", "isc"]
    action: Literal["add", "take", "set"]
    amount: Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
    why: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class RentOrder(Order):
    """Rent units from today on, each for `isc` every `days` days."""

    type: Type
    count: Count
    isc: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    days: Annotated[int, Field(strict=True, ge=1, le=3_660)]
    place: Name | None = None


class RentEndOrder(Order):
    """Give rented units back: the row of this number, or so many units of it."""

    number: Annotated[int, Field(strict=True, ge=0, le=10**15)]
    count: Count | None = None


class DeviceOrder(Order):
    """A device and when it was bought; one that is known is corrected."""

    mac: Annotated[str, StringConstraints(max_length=20)]
    bought: Date
    model: Text = ""
    serial: Text = ""


def term_lists(routes: APIRouter, auditor: Access) -> None:
    """What ends, and what is paid."""

    @routes.get("/terms", summary="Everything that ends, the next first, with the last reminder")
    async def terms(access: Annotated[Access, auditor]) -> list[TermView]:
        own = access.installation.terms
        return term_views.terms(own.state, own.today)

    @routes.get("/ssa", summary="Lots: units by day of first assignment, with their SSA")
    async def lots(access: Annotated[Access, auditor]) -> list[LotView]:
        own = access.installation.terms
        return term_views.lots(own.state, own.today)

    @routes.get("/ssa/rights", summary="What the SSA entitle to at a release, and what not")
    async def rights(
        access: Annotated[Access, auditor], release: Annotated[int, Query(ge=1, le=99)]
    ) -> list[UpgradeView]:
        found = access.installation.terms.rights(release)
        if isinstance(found, Refusal):
            raise ProblemError(found)
        return term_views.upgrades(found)

    @routes.get("/ssa/offers", summary="Units that may be had once somebody confirms")
    async def offers(access: Annotated[Access, auditor]) -> list[OfferView]:
        return term_views.offers(access.installation.terms.state)

    @routes.get("/credits", summary="Balances of SSC and iSC, and the last bookings")
    async def balances(access: Annotated[Access, auditor], limit: Limit = 100) -> CreditsView:
        return term_views.credits_of(access.installation.terms.state, limit)

    @routes.get("/rentals", summary="Rented units")
    async def rentals(access: Annotated[Access, auditor]) -> list[RentalView]:
        return term_views.rentals(access.installation.terms.state)

    @routes.get("/devices", summary="The device register, with warranties")
    async def devices(access: Annotated[Access, auditor]) -> list[DeviceView]:
        own = access.installation.terms
        return term_views.devices(own.state, own.today)


def term_orders(routes: APIRouter, operator: Access) -> None:
    """Agree, pay, rent, register."""
    _ssa_orders(routes, operator)
    _upgrade_orders(routes, operator)
    _credit_orders(routes, operator)
    _device_orders(routes, operator)


def _ssa_orders(routes: APIRouter, operator: Access) -> None:
    @routes.post("/ssa", summary="Put a lot under SSA")
    async def agree(access: Annotated[Access, operator], order: SsaOrder) -> Done:
        wanted = Wanted(
            lot=order.lot,
            years=order.years,
            ssc=order.ssc,
            auto=order.auto,
            until_day=_optional("until", order.until),
            since_day=_optional("since", order.since),
        )
        return _done(await access.installation.terms.agree(wanted, access.caller.actor))

    @routes.post("/ssa/prolong", summary="One further term of an SSA")
    async def prolong(access: Annotated[Access, operator], order: ProlongOrder) -> Done:
        own = access.installation.terms
        return _done(await own.prolong(order.lot, order.years, order.ssc, access.caller.actor))

    @routes.post("/ssa/auto", summary="Prolong an SSA by itself, or no more")
    async def set_auto(access: Annotated[Access, operator], order: AutoOrder) -> Done:
        own = access.installation.terms
        return _done(await own.set_auto(order.lot, access.caller.actor, auto=order.auto))

    @routes.post("/ssa/end", summary="End an SSA now; no credits come back by that")
    async def end(access: Annotated[Access, operator], order: LotOrder) -> Done:
        return _done(await access.installation.terms.end_ssa(order.lot, access.caller.actor))


def _upgrade_orders(routes: APIRouter, operator: Access) -> None:
    @routes.post("/ssa/upgrade", summary="Turn units into those of a newer release, where an SSA includes it")
    async def upgrade(access: Annotated[Access, operator], order: UpgradeOrder) -> Done:
        item = Item(order.type, order.count, order.place)
        return _done(await access.installation.terms.upgrade(item, order.release, access.caller.actor))

    @routes.post("/ssa/offers/{id}/confirm", summary="Install what was offered")
    async def confirm(access: Annotated[Access, operator], id: Number) -> Done:  # noqa: A002
        number = int(id) if id.isdecimal() else -1
        return _done(await access.installation.terms.confirm(number, access.caller.actor))


def _credit_orders(routes: APIRouter, operator: Access) -> None:
    @routes.post("/credits", summary="Book credits: bought, spent, or as the portal says")
    async def book(access: Annotated[Access, operator], order: CreditOrder) -> Done:
        own = access.installation.terms
        booked = {"add": own.credit, "take": own.debit, "set": own.adjust}[order.action]
        return _done(await booked(order.unit, order.amount, order.why, access.caller.actor))

    @routes.post("/rentals", summary="Rent units, paid with iSC")
    async def rent(access: Annotated[Access, operator], order: RentOrder) -> Done:
        item = Item(order.type, order.count, order.place)
        own = access.installation.terms
        return _done(await own.rent(item, order.isc, order.days, access.caller.actor))

    @routes.post("/rentals/end", summary="Give rented units back; no registration ends")
    async def end_rent(access: Annotated[Access, operator], order: RentEndOrder) -> Done:
        own = access.installation.terms
        return _done(await own.end_rent(order.number, order.count, access.caller.actor))


def _device_orders(routes: APIRouter, operator: Access) -> None:
    @routes.post("/devices", summary="Register a device, or correct it")
    async def register(access: Annotated[Access, operator], order: DeviceOrder) -> Done:
        bought = _day("bought", order.bought)
        own, actor = access.installation.terms, access.caller.actor
        return _done(await own.register(order.mac, order.model, order.serial, bought, actor))

    @routes.post("/devices/{id}/extend", summary="Extend the warranty of a device to 5 years, once")
    async def extend(access: Annotated[Access, operator], id: Number) -> Done:  # noqa: A002
        return _done(await access.installation.terms.extend(id, access.caller.actor))

    @routes.delete("/devices/{id}", summary="Take a device out of the register")
    async def drop(access: Annotated[Access, operator], id: Number) -> Done:  # noqa: A002
        return _done(await access.installation.terms.drop(id, access.caller.actor))


def _day(name: str, text: str) -> int:
    found = day.parse(text)
    if found is None:
        raise ProblemError(Refusal(Code.INVALID_REQUEST, f"{name}: there is no date {text}"))
    return found


def _optional(name: str, text: str | None) -> int | None:
    return None if text is None else _day(name, text)


def _done(refusal: Refusal | None) -> Done:
    if refusal is not None:
        raise ProblemError(refusal)
    return Done()
