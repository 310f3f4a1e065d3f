"""Commands about what is paid and what stands where: credits, rent, devices."""

from typing import Annotated

import msgspec
import typer

from licence_master.cli.client import Api, remote
from licence_master.service.told.term_reports import CreditsView, DeviceView, RentalView
from runtime.cli import Exit, fail, table

UnitArgument = Annotated[str, typer.Argument(metavar="UNIT", help="ssc or isc.")]
AmountArgument = Annotated[int, typer.Argument(min=0, max=1_000_000_000)]
WhyOption = Annotated[str, typer.Option("--why", help="For the statement, such as the number of an order.")]
MacArgument = Annotated[str, typer.Argument(metavar="MAC")]


@remote
def list_credits(
    api: Api,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many, newest first.")] = 20,
) -> None:
    """Balances of SSC and iSC, and the statement: what changed them, why, and who.

    Example: licence-master credits list
    """
    answer = api.get("/credits", limit=limit)
    if not api.show(answer):
        _tell_credits(msgspec.convert(answer, CreditsView))


@remote
def add_credits(api: Api, unit: UnitArgument, amount: AmountArgument, why: WhyOption) -> None:
    """Book credits that were bought; rented units that stopped count again at once.

    Example: licence-master credits add ssc 500 --why "order 4711"
    """
    _book(api, unit, "add", amount, why)


@remote
def take_credits(api: Api, unit: UnitArgument, amount: AmountArgument, why: WhyOption) -> None:
    """Book credits that were spent on something else.

    Example: licence-master credits take ssc 40 --why "SSA of another system"
    """
    _book(api, unit, "take", amount, why)


@remote
def set_credits(api: Api, unit: UnitArgument, amount: AmountArgument, why: WhyOption) -> None:
    """Set a balance to what the vendor's portal says.

    Example: licence-master credits set isc 1250 --why "portal, 1 March"
    """
    _book(api, unit, "set", amount, why)


@remote
def list_rent(api: Api) -> None:
    """Rented units and what they cost; they count while iSC are left.

    Example: licence-master rent list
    """
    answer = api.get("/rentals")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[RentalView])
    shown = [
        (r.number, r.type, r.count, r.place or "master", r.isc, r.days, r.since, r.counting) for r in rows
    ]
    table(shown, ("NO", "TYPE", "COUNT", "PLACE", "ISC", "PER DAYS", "SINCE", "COUNTING"))


@remote
def start_rent(
    api: Api,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="Software, such as PBX-Port13.")],
    count: Annotated[int, typer.Argument(min=1, max=1_000_000)],
    isc: Annotated[int, typer.Option("--isc", min=1, max=1_000_000, help="What one unit costs ...")],
    days: Annotated[int, typer.Option("--days", min=1, max=3_660, help="... for so many days.")],
    place: Annotated[str | None, typer.Option("--place", help="A PBX; default: the master.")] = None,
) -> None:
    """Rent units from today on; the balance of iSC pays them day by day.

    Example: licence-master rent start PBX-Port13 50 --isc 2 --days 30
    """
    order = {"type": type_, "count": count, "isc": isc, "days": days, "place": place}
    if not api.show(api.post("/rentals", order)):
        typer.echo(f"{count} {type_}: rented; licence-master terms says for how long the iSC pay them")


@remote
def end_rent(
    api: Api,
    number: Annotated[int, typer.Argument(metavar="NO", min=0, help="As rent list shows it.")],
    count: Annotated[int | None, typer.Option("--count", min=1, help="Only so many of them.")] = None,
) -> None:
    """Give rented units back; no registration ends, what is in use becomes surplus.

    Example: licence-master rent end 17
    """
    if not api.show(api.post("/rentals/end", {"number": number, "count": count})):
        typer.echo(f"{number}: given back; today costs nothing any more")


@remote
def list_devices(api: Api) -> None:
    """The device register: what was bought when, and until when its warranty lasts.

    Example: licence-master devices list
    """
    answer = api.get("/devices")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[DeviceView])
    shown = [(r.mac, r.model, r.serial, r.bought, r.warranty, r.days_left, r.extended) for r in rows]
    table(shown, ("MAC", "MODEL", "SERIAL", "BOUGHT", "WARRANTY UNTIL", "DAYS LEFT", "EXTENDED"))


@remote
def add_device(
    api: Api,
    mac: MacArgument,
    bought: Annotated[str, typer.Option("--bought", metavar="DATE", help="Such as 2026-03-10.")],
    model: Annotated[str, typer.Option("--model")] = "",
    serial: Annotated[str, typer.Option("--serial")] = "",
) -> None:
    """Register a device; one that is known is corrected.

    Example: licence-master devices add 00-90-33-01-02-03 --bought 2026-03-10 --model IP3011
    """
    order = {"mac": mac, "bought": bought, "model": model, "serial": serial}
    if not api.show(api.post("/devices", order)):
        typer.echo(f"{mac}: registered")


@remote
def extend_device(api: Api, mac: MacArgument) -> None:
    """Extend the warranty of a device by 4 years to 5; once.

    Example: licence-master devices extend 00-90-33-01-02-03
    """
    if not api.show(api.post(f"/devices/{mac}/extend", {})):
        typer.echo(f"{mac}: its warranty is extended; see licence-master devices list")


@remote
def remove_device(api: Api, mac: MacArgument) -> None:
    """Take a device out of the register.

    Example: licence-master devices remove 00-90-33-01-02-03
    """
    if not api.show(api.delete(f"/devices/{mac}")):
        typer.echo(f"{mac}: removed")


def _book(api: Api, unit: str, action: str, amount: int, why: str) -> None:
    if unit not in ("ssc", "isc"):
        fail(Exit.USAGE, f'UNIT: expected ssc or isc, found "{unit}"')
    answer = api.post("/credits", {"unit": unit, "action": action, "amount": amount, "why": why})
    if not api.show(answer):
        _tell_credits(msgspec.convert(api.get("/credits", limit=1), CreditsView))


def _tell_credits(view: CreditsView) -> None:
    typer.echo(f"{view.ssc} SSC, {view.isc} iSC")
    shown = [(r.day, r.unit, r.amount, r.balance, r.by, r.why) for r in view.bookings]
    table(shown, ("DAY", "UNIT", "AMOUNT", "BALANCE", "BY", "WHY"))
