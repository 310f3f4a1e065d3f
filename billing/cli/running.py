"""`pbx-billing run`: the invoices of a case file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from billing.cli.opening import NowOption, instant
from billing.core.invoice import Invoice, Sort
from billing.core.refusal import Refused
from billing.edges import answer, houses
from billing.edges import case as cases
from billing.edges.artefacts import directory
from billing.edges.artefacts.printer import Printer
from billing.service import drafting
from billing.service.bill import Bill, Case, bill
from billing.service.house import House
from billing.service.month import Month, Part
from billing.service.runners import DuckDb
from runtime.cli import Cell, Exit, JsonFlag, fail, print_json, table
from runtime.config import ConfigErrors

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", metavar="DIR", help="Write drafts of all artefacts into it; it is made."),
]


def run(
    file: Annotated[Path, typer.Argument(metavar="CASE", help="A billing case: YAML or JSON.")],
    output: OutputOption = None,
    now: NowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Rate a customer's period and make its invoices, from one file that says everything.

    With --output also as PDF, Factur-X, call detail and statements, all that a close would write, numbered
    as drafts. Exit code 1 when the rules or a validator refuse an invoice, 4 when the file is no case or
    records were set aside (quarantine): the answer is printed all the same. Nothing is stored or issued.

    Example: pbx-billing run october.yaml --output invoices
    """
    case = read_or_fail(file)
    house = None if output is None else _house(file, output)
    found = bill(case, DuckDb())
    if not isinstance(found, Bill):
        if as_json:
            print_json(answer.of_refusals(found))
        fail(Exit.REFUSED, _refusals(found))
    if as_json:
        print_json(answer.of_bill(case, found))
    else:
        _show(case, found)
    if house is not None and output is not None:
        _write(case, found, house, output, instant(now))
    if found.rating.quarantine:
        raise typer.Exit(Exit.BAD_DATA)


def _house(file: Path, output: Path) -> House:
    """Who sells to whom, before anything is rated: what --output needs and is not there ends the program."""
    house = houses.of_case(file)
    if house is None:
        fail(Exit.USAGE, f"{file}: seller, buyer: missing; --output prints invoices and needs both")
    if output.exists():
        fail(Exit.USAGE, f"{output}: is there already; remove it, or name a directory that is not there")
    return house


def _write(case: Case, found: Bill, house: House, output: Path, now_ms: int) -> None:
    """The files of drafts, by the printer that a close uses."""
    if found.rating.suspense:
        fail(
            Exit.REFUSED, f"suspense: {len(found.rating.suspense)} calls have no price; no files were written"
        )
    ((name, contract),) = house.contracts.items()
    month = Month(contract, case.period, (Part(case, found.rating),), found.rating.suspense)
    ((_, papers),) = drafting.papers(house, case.period, now_ms, [month], {name: found.invoices})
    printer = Printer()
    files = printer.print(contract, case.period, papers)
    if not isinstance(files, Mapping):
        fail(Exit.REFUSED, "\n".join(f"invalid_invoice: {each.number}: {each.text}" for each in files))
    try:
        if papers:
            directory.write(output / name, files)
        for level, statement in printer.statements(contract, case.period, month.details).items():
            directory.write(output / f"{name}.{level}", statement)
    except OSError as error:
        fail(Exit.REFUSED, f"{output}: {error.strerror}")
    told = [path.relative_to(output).as_posix() for path in sorted(output.rglob("*")) if path.is_file()]
    typer.echo(f"\n{output}: {', '.join(told)}", err=True)
    if notice := printer.notice():
        typer.echo(notice, err=True)


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
