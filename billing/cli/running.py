"""`pbx-billing run`: the invoices of a case file."""

from pathlib import Path
from typing import Annotated

import typer

from billing.core.invoice import Invoice, Sort
from billing.core.refusal import Refused
from billing.edges import answer
from billing.edges import case as cases
from billing.service.bill import Bill, Case, bill
from billing.service.runners import DuckDb
from runtime.cli import Cell, Exit, JsonFlag, fail, print_json, table
from runtime.config import ConfigErrors


def run(
    file: Annotated[Path, typer.Argument(metavar="CASE", help="A billing case: YAML or JSON.")],
    as_json: JsonFlag = False,
) -> None:
    """Rate a customer's period and make its invoices, from one file that says everything.

    Exit code 1 when the rules refuse an invoice, 4 when the file is no case or records were set aside
    (quarantine): the answer is printed all the same. Nothing is stored, nothing is numbered.

    Example: pbx-billing run october.yaml --json
    """
    case = read_or_fail(file)
    found = bill(case, DuckDb())
    if not isinstance(found, Bill):
        if as_json:
            print_json(answer.of_refusals(found))
        fail(Exit.REFUSED, _refusals(found))
    if as_json:
        print_json(answer.of_bill(case, found))
    else:
        _show(case, found)
    if found.rating.quarantine:
        raise typer.Exit(Exit.BAD_DATA)


def read_or_fail(file: Path) -> Case:
    """The case; or all its errors on stderr, and exit code 2 without a file, 4 with one that is no case."""
    if not file.is_file():
        fail(Exit.USAGE, f"{file}: there is no such file")
    try:
        return cases.read(file)
    except ConfigErrors as errors:
        fail(Exit.BAD_DATA, errors.report("nothing was rated"))


def _refusals(refused: object) -> str:
    assert isinstance(refused, list | tuple)
    return "\n".join(f"{each.code}: {each.why}" for each in refused if isinstance(each, Refused))


def _show(case: Case, found: Bill) -> None:
    for invoice in found.invoices.invoices:
        typer.echo(f"Invoice {answer.month(invoice.period)} {invoice.entity}".rstrip())
        _lines(invoice)
        typer.echo()
    if not found.invoices.invoices:
        typer.echo("Nothing to bill: no invoice.\n")
    levels = [
        (tariff.level, answer.micro(sum(row.price_micro for row in found.rating.of(tariff.level))))
        for tariff in case.prices.tariffs
    ]
    table(levels, ("LEVEL", "CALLS"))
    counts = ", ".join(
        f"{number} {verdict.replace('_', ' ')}" for verdict, number in found.rating.counts.items()
    )
    typer.echo(f"\n{found.rating.received} received = {counts}")
    _waiting(found)


def _lines(invoice: Invoice) -> None:
    rows: list[tuple[Cell, ...]] = [
        (
            line.entity, line.account, "calls" if line.sort is Sort.CALLS else line.item,
            line.item if line.sort is Sort.CALLS else "", line.quantity, line.seconds or None,
            answer.cents(line.unit_cents), answer.cents(line.net_cents),
        )
        for line in invoice.lines
    ]  # fmt: skip
    for name, value in (
        ("net", invoice.net_cents),
        ("VAT", invoice.vat_cents),
        ("gross", invoice.gross_cents),
    ):
        rows.append(("", "", "", "", None, None, name, answer.cents(value)))
    width = max(len(str(row[-1])) for row in rows)
    rows = [(*row[:-1], str(row[-1]).rjust(width)) for row in rows]
    table(rows, ("ENTITY", "ACCOUNT", "ITEM", "CLASS", "QUANTITY", "SECONDS", "UNIT", "NET"))


def _waiting(found: Bill) -> None:
    for name, asides in (("suspense", found.rating.suspense), ("quarantine", found.rating.quarantine)):
        if asides:
            typer.echo()
            table(
                [(each.key, each.reason, each.detail) for each in asides], (name.upper(), "REASON", "DETAIL")
            )
    for account, credit in found.credits.items():
        alerts = "".join(f", alert below {alert.percent} %" for alert in credit.alerts)
        typer.echo(f"\nCredit of {account}: {answer.micro(credit.left_micro)}{alerts}")
    if found.invoices.without:
        typer.echo(f"\nNothing to bill: {', '.join(found.invoices.without)}")
