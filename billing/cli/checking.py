"""`pbx-billing tariff check`: a tariff before it counts."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from billing.cli.opening import ConfigOption, Opened, period_of, with_ledger
from billing.cli.pricing import Country, On, day_of, known, rows_of
from billing.cli.running import read_or_fail
from billing.core.destinations import unpriced
from billing.core.number import Plan
from billing.core.tariff import CUSTOMER, LIST, Row, Tariff
from billing.core.tariff_reach import unreachable
from billing.edges import answer
from billing.edges.billing_file import DEFAULT
from billing.edges.destinations_file import destinations
from billing.service import comparing
from billing.service.bill import Case
from billing.service.comparing import Difference
from billing.service.runners import DuckDb
from runtime.cli import Cell, Exit, JsonFlag, fail, print_json, table

MAX_SHOWN = 20

Against = Annotated[
    Path | None,
    typer.Option("--list", metavar="FILE", help="The list prices, where TARIFF is a resale tariff."),
]
CaseOption = Annotated[
    Path | None,
    typer.Option("--case", metavar="FILE", help="Calls to price by both tariffs: those of a case."),
]
MonthOption = Annotated[
    str | None,
    typer.Option("--month", metavar="PERIOD", help="Calls to price by both: a month of the ledger."),
]
Level = Annotated[str, typer.Option("--level", help="Which tariff of the calls it would take the place of.")]


def check(
    file: Annotated[Path, typer.Argument(metavar="TARIFF", help="A tariff: CSV.")],
    country: Country = "FR",
    on: On = None,
    against: Against = None,
    case_file: CaseOption = None,
    month: MonthOption = None,
    level: Level = LIST,
    config: ConfigOption = DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Check a tariff before it counts: its errors, and what it would do.

    All errors of its rows at once; destinations of a country that it does not price; rows that no call
    reaches; with --list where it costs more than the list; with --case or --month what the calls there
    cost by it and by their own tariff. Exit code 4 with errors; 1 when destinations are missing, when rows
    are out of reach or dearer than the list; else 0.

    Example: pbx-billing tariff check list.csv --month 2026-10
    """
    rows, day = rows_of(file), day_of(on)
    tariff = Tariff(CUSTOMER, rows)
    missing = unpriced(tariff, destinations(known(country)), day)
    lost = unreachable(tariff, Plan(country), day)
    dear = comparing.dearer(rows_of(against), rows, day, DuckDb()) if against else ()
    cases = _cases(case_file, month, config)
    differences = _differences(cases, CUSTOMER if level == LIST else level, rows, day)
    told: dict[str, Any] = {
        "rows": len(rows),
        "tariff": tariff.digest,
        "not_valid_on_day": [row.place for row in rows if not row.valid(day)],
        "missing": [{"prefix": each.prefix, "kind": each.kind, "class": each.class_} for each in missing],
        "unreachable": [
            {"row": row.place, "prefix": row.prefix, "kind": row.kind, "why": why} for row, why in lost
        ],
        "dearer": [
            {"row": each.place, "prefix": each.prefix, "kind": each.kind, "day": each.day.isoformat(),
             "seconds": each.seconds, "price": answer.micro(each.micro),
             "list_price": answer.micro(each.before_micro)}
            for each in dear
        ],
        "difference": {name: _difference(each) for name, each in differences.items()},
    }  # fmt: skip
    if as_json:
        print_json(told)
    else:
        _show(told, [each.label for each in missing], country, day)
    if missing or lost or dear:
        raise typer.Exit(Exit.REFUSED)


def _cases(case_file: Path | None, month: str | None, config: Path) -> Mapping[str, Case]:
    """The calls to compare, by customer."""
    if case_file is not None and month is not None:
        fail(Exit.USAGE, "--case and --month: expected one of them")
    if case_file is not None:
        return {str(case_file): read_or_fail(case_file)}
    if month is None:
        return {}
    period = period_of(month)

    async def work(opened: Opened) -> Mapping[str, Case]:
        return await opened.ledger.cases(period)

    return with_ledger(config, None, work)


def _differences(
    cases: Mapping[str, Case], level: str, rows: Sequence[Row], day: date
) -> Mapping[str, Difference]:
    able = {
        name: case for name, case in cases.items() if level in [each.level for each in case.prices.tariffs]
    }
    if cases and not able:
        fail(Exit.USAGE, f"--level: none of {', '.join(cases)} has a tariff of this name")
    return {name: comparing.difference(case, level, rows, day, DuckDb()) for name, case in able.items()}


def _difference(found: Difference) -> dict[str, Any]:
    classes = sorted({*found.before, *found.after})
    return {
        "calls": found.calls,
        "before": answer.micro(sum(found.before.values())),
        "after": answer.micro(sum(found.after.values())),
        "difference": answer.micro(found.micro),
        "without_price_before": found.unpriced_before,
        "without_price_after": found.unpriced_after,
        "classes": {
            name: answer.micro(found.after.get(name, 0) - found.before.get(name, 0)) for name in classes
        },
    }


def _show(told: Mapping[str, Any], labels: Sequence[str], country: str, day: date) -> None:
    ended = len(told["not_valid_on_day"])
    typer.echo(f"{told['rows']} rows, {ended} of them not valid on {day}, tariff {told['tariff'][:12]}")
    missing = [{**each, "what": label} for each, label in zip(told["missing"], labels, strict=True)]
    _table(missing, f"Destinations of {country} without a price")
    _table(told["unreachable"], "Rows out of reach")
    _table(told["dearer"], "Dearer than the list")
    if told["difference"]:
        typer.echo()
        names = ("calls", "before", "after", "difference", "without_price_after")
        rows: list[tuple[Cell, ...]] = [
            (name, *(each[column] for column in names)) for name, each in told["difference"].items()
        ]
        table(rows, ("CALLS OF", "CALLS", "BY ITS OWN", "BY THIS", "DIFFERENCE", "WITHOUT PRICE"))


def _table(found: Sequence[Mapping[str, Cell]], what: str) -> None:
    if not found:
        return
    shown = "" if len(found) <= MAX_SHOWN else f", the first {MAX_SHOWN} of them"
    typer.echo(f"\n{what}: {len(found)}{shown}")
    table(
        [tuple(each.values()) for each in found[:MAX_SHOWN]],
        [name.upper().replace("_", " ") for name in found[0]],
    )
