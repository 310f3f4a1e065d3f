"""Commands that bring records in and price them: import, and rate for a month that is open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from billing.cli.opening import (
    ConfigOption,
    NowOption,
    Opened,
    PeriodArgument,
    period_of,
    refuse,
    with_ledger,
)
from billing.core import period as periods
from billing.core.rated import Verdict
from billing.core.refusal import Code, Refused
from billing.edges import answer, export_file
from billing.edges.billing_file import DEFAULT
from billing.service import ledger as ledgers
from billing.service import taking
from billing.service.taking import Taken
from billing.store.ratings import Result
from runtime.cli import Cell, Exit, JsonFlag, fail, print_json, table
from runtime.config import ConfigErrors

SHOWN = 20


def take(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Exports: CSV or JSON Lines.")],
    config: ConfigOption = DEFAULT,
    now: NowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take call records that a master exported, each once, and rate the open months that they belong to.

    The same file again changes nothing. Exit code 4 when records were set aside (quarantine), the others are
    taken all the same; 4 and nothing taken when a file is no export.

    Example: pbx-billing import october.csv
    """
    try:
        read = [(file, list(export_file.read(file))) for file in files]
    except ConfigErrors as errors:
        fail(Exit.BAD_DATA, errors.report("nothing was taken"))

    async def work(opened: Opened) -> list[Taken]:
        found = []
        for file, rows in read:
            with _bar(file, len(rows)) as tell:
                found.append(await taking.take(opened.ledger, str(file), rows, opened.now_ms, tell))
        return found

    taken = with_ledger(config, now, work, begins=True)
    if as_json:
        print_json([{"file": str(file), **_told(each)} for file, each in zip(files, taken, strict=True)])
    else:
        for file, each in zip(files, taken, strict=True):
            _show(file, each)
    if any(each.asides for each in taken):
        raise typer.Exit(Exit.BAD_DATA)


@contextmanager
def _bar(file: Path, rows: int) -> Iterator[taking.Tell]:
    """A bar for whoever watches a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(file.name, total=rows)
        yield lambda done: shown.update(task, completed=done)


def _told(taken: Taken) -> dict[str, Any]:
    return {
        "received": taken.received,
        "new": taken.new,
        **{verdict.value: count for verdict, count in taken.counts.items()},
        "set_aside": [
            {"reason": each.reason, "detail": each.detail, "record": each.record} for each in taken.asides
        ],
    }


def _show(file: Path, taken: Taken) -> None:
    counts = " + ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in taken.counts.items())
    typer.echo(f"{file}: {taken.new} new, {taken.counts[Verdict.DUPLICATE]} duplicates")
    typer.echo(f"{taken.received} received = {counts}")
    if taken.asides:
        typer.echo()
        rows = [(each.reason, each.detail, each.record[:60]) for each in taken.asides[:SHOWN]]
        table(rows, ("QUARANTINE", "WHY", "RECORD"))


def rate(
    period: PeriodArgument, config: ConfigOption = DEFAULT, now: NowOption = None, as_json: JsonFlag = False
) -> None:
    """Rate an open month anew, from its records and from billing.yaml as it is: nothing is added to anything.

    The same inputs give the same digest, in whatever order records came. Exit code 1 for a closed month.

    Example: pbx-billing rate 2026-10
    """
    month = period_of(period)

    async def work(opened: Opened) -> list[Result] | Refused:
        if opened.ledger.closed_period(month) or month in opened.ledger.closings:
            return Refused(Code.CLOSED, f"{period} is closed; what comes late goes on the next invoice")
        return (await opened.ledger.rate(month))[1]

    results = with_ledger(config, now, work)
    if isinstance(results, Refused):
        refuse([results], as_json=as_json)
    if as_json:
        print_json({"period": period, "customers": [_customer(result) for result in results]})
        return
    rows: list[tuple[Cell, ...]] = [
        (
            result.customer or "(nobody)", *(result.counts[name] for name in ledgers.COUNTED),
            answer.micro(result.levels.get("customer", 0)), result.digest[:12],
        )
        for result in results
    ]  # fmt: skip
    table(rows, ("CUSTOMER", "RATED", "NOT BILLABLE", "SUSPENSE", "CALLS", "DIGEST"))
    waiting = [
        (each.customer or "(nobody)", each.key, each.reason, each.detail)
        for result in results
        for each in result.waiting
    ]
    if waiting:
        typer.echo(f"\n{len(waiting)} calls of {periods.named(month)} have no price:")
        table(waiting[:SHOWN], ("CUSTOMER", "CALL", "REASON", "DETAIL"))


def _customer(result: Result) -> dict[str, Any]:
    return {
        "customer": result.customer or None,
        "digest": result.digest,
        "counts": result.counts,
        "levels": {name: answer.micro(price) for name, price in result.levels.items()},
        "suspense": [
            {"call": each.key, "reason": each.reason, "detail": each.detail} for each in result.waiting
        ],
    }
