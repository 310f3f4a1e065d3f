"""`pbx-billing close`: invoices with numbers for a month, or, with --dry-run, what they would be."""

from pathlib import Path
from typing import Annotated, Any

import typer

from billing.cli.opening import (
    ConfigOption,
    NowOption,
    Opened,
    PeriodArgument,
    period_of,
    refuse,
    with_ledger,
)
from billing.edges import answer
from billing.edges.billing_file import DEFAULT
from billing.service import closing, correcting
from billing.service.closing import Closing, Previews
from runtime.cli import Cell, Exit, JsonFlag, print_json, table

SHOWN = 20
DryRun = Annotated[bool, typer.Option("--dry-run", help="Issue nothing; print the difference to last month.")]
AllowSuspense = Annotated[
    bool, typer.Option("--allow-suspense", help="Calls without a price go on to the next month.")
]


def close(
    period: PeriodArgument,
    dry_run: DryRun = False,
    allow_suspense: AllowSuspense = False,
    config: ConfigOption = DEFAULT,
    now: NowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Close a month whose days of grace are over: invoices are numbered, their files written, and stay.

    A second time it says so, with the same files and hashes; after a crash it is simply run again. Exit code
    1 when it is too early, when calls have no price, or when an invoice is not valid: nothing is issued then.

    Example: pbx-billing close 2026-10 --dry-run
    """
    month = period_of(period)

    async def work(opened: Opened) -> tuple[Any, Path]:
        ledger, place = opened.ledger, opened.shelf.place(period)
        correcting.finish(ledger, opened.shelf)
        if dry_run and ledger.closed_period(month) is None:
            return await closing.preview(ledger, month, opened.now_ms), place
        if notice := opened.printer.notice():
            typer.echo(notice, err=True)
        closed = await closing.close(
            ledger, month, opened.now_ms, opened.printer, opened.shelf, allow_suspense=allow_suspense
        )
        return closed, place

    found: Closing | Previews | tuple[()]
    found, place = with_ledger(config, now, work, begins=True)
    match found:
        case Closing():
            _closed(period, found, place, as_json)
        case Previews():
            _previewed(found, as_json)
            if found.refused or (found.waiting and not allow_suspense):
                raise typer.Exit(Exit.REFUSED)
        case refused:
            refuse(refused, as_json=as_json)


def _closed(period: str, found: Closing, place: Path, as_json: bool) -> None:
    entry = found.closed
    if as_json:
        print_json(
            {
                "period": period,
                "already_closed": found.again,
                "hash": found.link.hash.hex(),
                "waiting": entry.waiting,
                "documents": entry.documents,
                "artefacts": entry.artefacts,
                "no_invoice": entry.without,
            }
        )
        return
    already = "already closed" if found.again else "closed"
    typer.echo(
        f"{period} {already}: {len(entry.documents)} invoices, {len(entry.artefacts)} files in {place}"
    )
    typer.echo(f"hash {found.link.hash.hex()}")
    if entry.waiting:
        typer.echo(f"{entry.waiting} calls had no price and wait for the next month")
    for name, entities in entry.without.items():
        typer.echo(f"no invoice: {name} {', '.join(entities)}".rstrip())


def _previewed(found: Previews, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "customers": [
                    {
                        "customer": each.customer,
                        "invoices": [answer.of_invoice(invoice) for invoice in each.invoices],
                        "net": answer.cents(each.net_cents),
                        "last_month": answer.cents(each.before_cents),
                        "difference": answer.cents(each.difference_cents),
                    }
                    for each in found.customers
                ],
                "suspense": [
                    {"customer": each.customer or None, "call": each.key, "reason": each.reason,
                     "detail": each.detail} for each in found.waiting
                ],
                "refused": [{"code": each.code, "why": each.why} for each in found.refused],
            }
        )  # fmt: skip
        return
    rows: list[tuple[Cell, ...]] = [
        (
            each.customer, len(each.invoices), answer.cents(each.net_cents), answer.cents(each.before_cents),
            answer.cents(each.difference_cents),
        )
        for each in found.customers
    ]  # fmt: skip
    table(rows, ("CUSTOMER", "INVOICES", "NET", "LAST MONTH", "DIFFERENCE"))
    for refused in found.refused:
        typer.echo(f"\n{refused.code}: {refused.why}")
    if found.waiting:
        typer.echo(f"\n{len(found.waiting)} calls have no price:")
        waiting = [
            (each.customer or "(nobody)", each.key, each.reason, each.detail)
            for each in found.waiting[:SHOWN]
        ]
        table(waiting, ("CUSTOMER", "CALL", "REASON", "DETAIL"))
    typer.echo("\nNothing was issued.")
