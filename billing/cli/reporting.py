"""`pbx-billing report`: where every month stands, what has no price, what waits for a person."""

from typing import Annotated, Any

import typer

from billing.cli.issuing import folder
from billing.cli.opening import ConfigOption, NowOption, Opened, period_of, with_ledger
from billing.core import period as periods
from billing.core.period import Closed
from billing.edges import answer, instants
from billing.edges.billing_file import DEFAULT
from billing.service import ledger as ledgers
from billing.service.ledger import Ledger
from billing.store import chain, ratings, records
from runtime.cli import Cell, JsonFlag, print_json, table

SHOWN = 50


def report(
    period: Annotated[str | None, typer.Argument(metavar="PERIOD", help="A month; none: all.")] = None,
    config: ConfigOption = DEFAULT,
    now: NowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Say where months stand: state, calls, invoices, hashes; then calls without a price, and quarantine.

    The chain of hashes is checked, and every document with it; exit code 4 when something was changed.

    Example: pbx-billing report 2026-10
    """
    month = None if period is None else period_of(period)

    async def work(opened: Opened) -> dict[str, Any]:
        return await _found(opened.ledger, month, opened.now_ms)

    found = with_ledger(config, now, work)
    if as_json:
        print_json(found)
        return
    rows: list[tuple[Cell, ...]] = [
        (
            each["period"], each["state"], each["closable_from"], *(each[name] for name in ledgers.COUNTED),
            len(each["documents"]), each["net"], (each["hash"] or "")[:12],
        )
        for each in found["periods"]
    ]  # fmt: skip
    columns = (
        "PERIOD",
        "STATE",
        "CLOSABLE FROM",
        "RATED",
        "NOT BILLABLE",
        "SUSPENSE",
        "INVOICES",
        "NET",
        "HASH",
    )
    table(rows, columns)
    for each in found["periods"]:
        for customer, entities in each["no_invoice"].items():
            typer.echo(f"no invoice in {each['period']}: {customer} {', '.join(entities)}".rstrip())
    for name in ("suspense", "quarantine"):
        if found[name]:
            typer.echo(f"\n{len(found[name])} in {name}:")
            table(
                [tuple(row.values()) for row in found[name][:SHOWN]], [key.upper() for key in found[name][0]]
            )
    typer.echo(f"\nchain of {found['entries']} entries: as it was written")


async def _found(ledger: Ledger, wanted: int | None, now_ms: int) -> dict[str, Any]:
    await chain.verify_documents(ledger.database, ledger.links)
    known = {each.period for each in ledger.closed} | set(await records.landings(ledger.database))
    months = sorted(known if wanted is None else {wanted})
    waiting = [
        {"period": periods.named(month), "customer": each.customer, "call": each.key, "reason": each.reason,
         "detail": each.detail}
        for month in months if ledger.closed_period(month) is None
        for each in await ratings.waiting(ledger.database, month)
    ]  # fmt: skip
    return {
        "periods": [await _period(ledger, month, now_ms) for month in months],
        "suspense": waiting,
        "quarantine": [
            {"reason": each.reason, "detail": each.detail, "record": each.record[:200]}
            for each in await records.quarantined(ledger.database)
        ],
        "imports": [
            {"at": instants.utc(each.at_ms), "file": each.file, "received": each.received, "new": each.new,
             "duplicate": each.duplicate, "quarantine": each.quarantine}
            for each in await records.arrivals(ledger.database)
        ],
        "entries": len(ledger.links),
    }  # fmt: skip


async def _period(ledger: Ledger, month: int, now_ms: int) -> dict[str, Any]:
    results = await ratings.results(ledger.database, month)
    issued = await chain.documents(ledger.database, period=month)
    closed = ledger.closed_period(month)
    closings = [Closed(each.period, each.at_ms) for each in ledger.closed]
    link = next((link for link in ledger.links if link.entry is closed), None) if closed else None
    levels = sorted({name for result in results for name in result.levels})
    return {
        "period": periods.named(month),
        "state": periods.state(month, ledger.house.today(now_ms), closings),
        "closable_from": periods.closable_from(month, ledger.house.grace_days).isoformat(),
        "closed": instants.utc(closed.at_ms) if closed else None,
        "hash": link.hash.hex() if link else None,
        **{name: sum(result.counts[name] for result in results) for name in ledgers.COUNTED},
        "ratings": {result.customer: result.digest for result in results if result.customer},
        "levels": {
            level: answer.micro(sum(result.levels.get(level, 0) for result in results)) for level in levels
        },
        "net": answer.cents(
            sum(each.document.invoice.net_cents * (-1 if each.document.corrects else 1) for each in issued)
        ),
        "documents": [
            {"number": each.document.number, "customer": each.customer,
             "corrects": each.document.corrects or None,
             "gross": answer.cents(each.document.invoice.gross_cents), "folder": folder(each)}
            for each in issued
        ],
        "no_invoice": closed.without if closed else {},
    }  # fmt: skip
