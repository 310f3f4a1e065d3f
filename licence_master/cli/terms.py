"""Commands about what ends: terms, ssa."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from licence_master.cli.client import Api, remote
from licence_master.service.told.term_reports import LotView, OfferView, TermView, UpgradeView
from runtime.cli import table

LotArgument = Annotated[
    str, typer.Argument(metavar="LOT", help="Its number, or a type that only one lot has.")
]
YEARS = "How many years from the first assignment."
SSC = "SSC for each unit and term; 0 when it is paid already."


@remote
def terms(api: Api) -> None:
    """Everything that ends, the next first: validity, SSA, rent, warranties; and what was said last.

    Example: licence-master terms
    """
    answer = api.get("/terms")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[TermView])
    shown = [
        (r.ends, r.days_left, r.kind, r.subject, "ALARM" if r.alarm else "", r.note, r.reminded) for r in rows
    ]
    table(shown, ("ENDS", "DAYS LEFT", "KIND", "WHAT", "ALARM", "NOTE", "LAST SAID"))


@remote
def list_lots(api: Api) -> None:
    """Lots: units of a type by the day of their first assignment, and their SSA.

    Example: licence-master ssa list
    """
    answer = api.get("/ssa")
    if not api.show(answer):
        _tell_lots(msgspec.convert(answer, list[LotView]))


@remote
def start(
    api: Api,
    lot: LotArgument,
    years: Annotated[int, typer.Option("--years", min=1, max=50, help=YEARS)],
    ssc: Annotated[int, typer.Option("--ssc", min=0, help=SSC)],
    auto: Annotated[bool, typer.Option("--auto", help="Prolong it by itself while SSC are there.")] = False,
    until: Annotated[str | None, typer.Option("--until", help="Its last day, when it is another.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="First assignment, when it was earlier.")
    ] = None,
) -> None:
    """Put a lot under SSA; the term begins with its first assignment to a device.

    Example: licence-master ssa start PBX-Port13 --years 1 --ssc 2 --auto
    """
    order = {"lot": lot, "years": years, "ssc": ssc, "auto": auto, "until": until, "since": since}
    _made(api, "/ssa", order)


@remote
def prolong(
    api: Api,
    lot: LotArgument,
    years: Annotated[int | None, typer.Option("--years", min=1, max=50, help="Default: as agreed.")] = None,
    ssc: Annotated[
        int | None, typer.Option("--ssc", min=0, help="For each unit; default: as agreed.")
    ] = None,
) -> None:
    """One further term, which follows without a gap and takes SSC from the balance.

    Example: licence-master ssa prolong 1
    """
    _made(api, "/ssa/prolong", {"lot": lot, "years": years, "ssc": ssc})


@remote
def set_auto(
    api: Api,
    lot: LotArgument,
    auto: Annotated[bool, typer.Option("--on/--off", help="Default: on.")] = True,
) -> None:
    """Prolong an SSA by itself in the last 7 days while SSC are there, or no more.

    Example: licence-master ssa auto 1 --off
    """
    _made(api, "/ssa/auto", {"lot": lot, "auto": auto})


@remote
def end(api: Api, lot: LotArgument) -> None:
    """End an SSA now, or take back one that was entered wrongly; SSC come back by `credits set`.

    Example: licence-master ssa end 1
    """
    _made(api, "/ssa/end", {"lot": lot})


@remote
def rights(api: Api, release: Annotated[int, typer.Argument(metavar="RELEASE", min=1, max=99)]) -> None:
    """What is included when this release appears, what not, and why.

    Example: licence-master ssa rights 14
    """
    answer = api.get("/ssa/rights", release=release)
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[UpgradeView])
    shown = [(r.type, r.count, r.lot, r.included, r.why) for r in rows]
    table(shown, ("TYPE", "COUNT", "LOT", "INCLUDED", "WHY"))


@remote
def upgrade(
    api: Api,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="As installed, such as PBX-Port13.")],
    count: Annotated[int, typer.Argument(min=1)],
    release: Annotated[int, typer.Option("--release", min=1, max=99)],
    place: Annotated[str | None, typer.Option("--place", help="A PBX; default: wherever they lie.")] = None,
) -> None:
    """Turn units into those of a newer release, where an SSA includes it; Operator brings an offer.

    Example: licence-master ssa upgrade PBX-Port13 40 --release 14
    """
    order = {"type": type_, "count": count, "release": release, "place": place}
    answer = api.post("/ssa/upgrade", order)
    if api.show(answer):
        return
    typer.echo(f"{count} {type_}: now of release {release}")
    offered = msgspec.convert(api.get("/ssa/offers"), list[OfferView])
    for row in offered:
        typer.echo(f"offered: {row.count} {row.type} ({row.why}); licence-master ssa confirm {row.number}")


@remote
def offers(api: Api) -> None:
    """Units that may be had and are not installed before somebody confirms.

    Example: licence-master ssa offers
    """
    answer = api.get("/ssa/offers")
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[OfferView])
    shown = [(r.number, r.type, r.count, r.place or "master", r.since, r.why) for r in rows]
    table(shown, ("OFFER", "TYPE", "COUNT", "PLACE", "SINCE", "WHY"))


@remote
def confirm(api: Api, offer: Annotated[int, typer.Argument(metavar="OFFER", min=0)]) -> None:
    """Install what was offered.

    Example: licence-master ssa confirm 31
    """
    if not api.show(api.post(f"/ssa/offers/{offer}/confirm", {})):
        typer.echo(f"offer {offer}: installed; see licence-master licences")


def _made(api: Api, path: str, order: dict[str, object]) -> None:
    """Do it, and show how things stand."""
    if not api.show(api.post(path, order)):
        _tell_lots(msgspec.convert(api.get("/ssa"), list[LotView]))


def _tell_lots(rows: Sequence[LotView]) -> None:
    shown = [
        (r.number, r.type, r.count, r.since, r.until or "no SSA", r.days_left, r.auto, r.years, r.cost)
        for r in rows
    ]
    table(
        shown, ("LOT", "TYPE", "COUNT", "SINCE", "SSA UNTIL", "DAYS LEFT", "AUTO", "NEXT YEARS", "NEXT SSC")
    )
