"""Usage of the pools: peaks, when one is full, how many units are right and what the missing ones cost."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from licence_master.catalogue import read_catalogue
from licence_master.cli import prices as price_file
from licence_master.cli.asking import PbxOption, when
from licence_master.cli.client import Api, remote
from licence_master.cli.prices import Prices
from licence_master.service.told.reports import HourView, InstallationView, LicenceView, UsageView
from licensing.catalogue import Catalogue
from licensing.codes import Refusal
from licensing.demand import PoolKey
from licensing.licence_type import LicenceType
from licensing.usage.sizing import Purchase, cheapest
from runtime.cli import Exit, fail, table
from runtime.config import ConfigErrors

DaysOption = Annotated[int, typer.Option("--days", min=1, max=3_660, help="So many days until now.")]
PoolOption = Annotated[str | None, typer.Option("--pool", help="This pool only, as pools shows it.")]
PricesOption = Annotated[
    Path | None, typer.Option("--prices", help="Prices by licence type (YAML or CSV): what to buy.")
]
MarginOption = Annotated[int, typer.Option("--margin", min=0, max=1_000, help="Per cent above the peak.")]
HoursFlag = Annotated[bool, typer.Option("--hours", help="Every hour instead of the summary.")]
CsvFlag = Annotated[bool, typer.Option("--csv", help="Every hour as CSV.")]
ChartFlag = Annotated[bool, typer.Option("--chart", help="A bar for each day below the table.")]

Bought = Sequence[Purchase] | None
"""What to buy; None where nothing is missing, or nothing has a price."""

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 50


@remote
def usage(
    api: Api,
    days: DaysOption = 90,
    pool: PoolOption = None,
    pbx: PbxOption = None,
    margin: MarginOption = 10,
    prices: PricesOption = None,
    chart: ChartFlag = False,
    hours: HoursFlag = False,
    as_csv: CsvFlag = False,
) -> None:
    """Peaks of each pool at all sites together and at each, when it is full, and how many units are right.

    A peak is the most units that objects held at one moment. Times are UTC. Where somebody was refused more
    was wanted than the peak.

    Example: licence-master usage --pool port --days 365 --prices prices.yaml --chart
    """
    listed = _prices(prices) if prices is not None else None
    if hours or as_csv:
        _tell_hours(api, api.get("/usage/hours", days=days, pool=pool, pbx=pbx), as_csv)
        return
    answer = api.get("/usage", days=days, pool=pool, pbx=pbx, margin=margin)
    rows = msgspec.convert(answer, list[UsageView])
    bought = _purchases(api, rows, listed) if listed is not None else {}
    if api.show([{**msgspec.to_builtins(row), "buy": _priced(bought.get(_key(row)))} for row in rows]):
        return
    _tell(rows)
    for row in rows:
        if row.needed is not None:
            typer.echo(_advice(row, bought.get(_key(row)), listed))
    for row in rows if chart else ():
        _tell_days(row)


def _key(row: UsageView) -> tuple[str, str]:
    return row.pool, row.pbx


def _prices(path: Path) -> Prices:
    try:
        return price_file.read(path)
    except ConfigErrors as errors:
        fail(Exit.BAD_DATA, errors.report("nothing was asked"))


def _tell(rows: Sequence[UsageView]) -> None:
    shown = [
        (
            row.pool,
            row.pbx or "all",
            row.usable if not row.pbx else None,
            row.peak,
            when(row.peak_ms)[:16],
            row.refused,
            when(row.full_ms)[:10],
            row.trend,
            sparkline(row.hours),
        )
        for row in rows
    ]
    heads = (
        "POOL",
        "SITE",
        "USABLE",
        "PEAK",
        "IN THE HOUR OF",
        "REFUSED",
        "FULL ON",
        "TREND",
        "0 TO 23 H UTC",
    )
    table(shown, heads)
    if not rows:
        typer.echo("Nobody has held a licence in this time.")


def _advice(row: UsageView, bought: Bought, prices: Prices | None) -> str:
    """One sentence for a pool: right, too few with what to buy, or too many."""
    more = f", and {row.refused} refusals: more was wanted" if row.refused else ""
    text = f"{row.pool}: {row.needed} are right (peak {row.peak} and a margin{more});"
    if not row.missing:
        return f"{text} {row.over} more are there."
    text = f"{text} {row.missing} are missing."
    if prices is None:
        return text
    if bought is None:
        return f"{text} The price file has no price for them."
    items = " + ".join(f"{each.count} {each.type} at {_money(each.price)}" for each in bought)
    total = sum(each.count * each.price for each in bought)
    return f"{text} Cheapest: {items} = {_money(total)} {prices.currency}."


def _purchases(api: Api, rows: Sequence[UsageView], prices: Prices) -> dict[tuple[str, str], Bought]:
    """What to buy for each pool that has too few, with the tiers that what is installed opens (L.r19)."""
    catalogue = read_catalogue()
    licences = msgspec.convert(api.get("/licences"), list[LicenceView])
    software = msgspec.convert(api.own(), InstallationView).software
    found: dict[tuple[str, str], Bought] = {}
    for row in rows:
        if row.missing:
            name = PoolKey.parse(row.pool).pool
            offers = prices.of_pool(catalogue, name, software)
            found[_key(row)] = cheapest(row.missing, _by_tier(catalogue, licences, name), offers)
    return found


def _priced(bought: Bought) -> list[dict[str, object]] | None:
    """What to buy as JSON, money as text."""
    if bought is None:
        return None
    return [{"type": each.type, "count": each.count, "price": _money(each.price)} for each in bought]


def _by_tier(catalogue: Catalogue, licences: Sequence[LicenceView], pool: str) -> dict[int, int]:
    """Installed units of a pool, at all places, by volume tier."""
    found: dict[int, int] = {}
    for licence in licences:
        kind = LicenceType.parse(licence.type)
        row = catalogue.row_of(kind) if isinstance(kind, LicenceType) else kind
        if not isinstance(row, Refusal) and row.pool == pool and not licence.quarantined:
            found[row.tier] = found.get(row.tier, 0) + licence.count
    return found


def _tell_hours(api: Api, answer: object, as_csv: bool) -> None:
    rows = msgspec.convert(answer, list[HourView])
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("hour", "pool", "site", "peak", "refused"))
        writer.writerows((when(r.hour_ms), r.pool, r.pbx or "all", r.peak, r.refused) for r in rows)
        return
    if api.show(answer):
        return
    shown = [(when(r.hour_ms)[:16], r.pool, r.pbx or "all", r.peak, r.refused) for r in rows]
    table(shown, ("HOUR", "POOL", "SITE", "PEAK", "REFUSED"))


def _tell_days(row: UsageView) -> None:
    """The days as bars, full width for what is usable, or for the peak where that is more."""
    whole = max(row.usable, row.peak, 1)
    typer.echo(f"\n{row.pool}, {row.pbx or 'all sites'}; a full bar is {whole}")
    for day in row.days:
        bar = "█" * -(-day.peak * WIDTH // whole)
        refused = f"  {day.refused} refused" if day.refused else ""
        typer.echo(f"{when(day.day_ms)[:10]} {day.peak:>6} {bar}{refused}")


def sparkline(values: Sequence[int]) -> str:
    """A row of small bars, the highest full; nothing is the lowest."""
    top = max(values, default=0) or 1
    return "".join(BARS[-(-value * (len(BARS) - 1) // top)] for value in values)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
