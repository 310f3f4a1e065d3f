"""Commands on what was issued: invoice shows it, credit takes it back."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from billing.cli.opening import (
    ARTEFACTS,
    ConfigOption,
    NowOption,
    Opened,
    period_of,
    refuse,
    with_ledger,
)
from billing.core import crediting, money
from billing.core.document import Document
from billing.edges import answer
from billing.edges.billing_file import DEFAULT
from billing.service import correcting
from billing.service.correcting import Wanted
from billing.store import chain
from billing.store.chain import Issued
from runtime.cli import Exit, JsonFlag, fail, print_json, table

LineOption = Annotated[
    list[str] | None,
    typer.Option("--line", help="Number of a line, or number=amount (2=1.20); may be given several times."),
]


def invoice(
    number: Annotated[str | None, typer.Argument(metavar="NUMBER", help="F2026-10-0001; none: all.")] = None,
    period: Annotated[str | None, typer.Option("--period", help="Of this month only.")] = None,
    config: ConfigOption = DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show an invoice or a credit note with its lines and files, or list all of them.

    Exit code 1 when there is none of that number.

    Example: pbx-billing invoice F2026-10-0001
    """
    month = None if period is None else period_of(period)

    async def work(opened: Opened) -> tuple[list[Issued], dict[str, list[crediting.Credited]]]:
        found = await chain.documents(opened.ledger.database, number=number, period=month)
        notes: dict[str, list[crediting.Credited]] = {}
        for note in correcting.notes(opened.ledger):
            notes.setdefault(note.corrects, []).append(note.credited)
        return found, notes

    found, notes = with_ledger(config, None, work)
    if number is not None and not found:
        fail(Exit.REFUSED, f"{number}: no such invoice or credit note; `pbx-billing invoice` lists all")
    if as_json:
        print_json([_told(each, notes.get(each.document.number, ())) for each in found])
    elif number is None:
        rows = [
            (
                each.document.number, each.customer, each.document.invoice.entity,
                answer.month(each.document.invoice.period), each.document.issued.isoformat(),
                each.document.corrects, answer.cents(each.document.invoice.net_cents),
                answer.cents(each.document.invoice.gross_cents),
            )
            for each in found
        ]  # fmt: skip
        table(rows, ("NUMBER", "CUSTOMER", "ENTITY", "PERIOD", "ISSUED", "CORRECTS", "NET", "GROSS"))
    else:
        _show(found[0], notes.get(number, ()))


def _told(each: Issued, before: Sequence[crediting.Credited]) -> dict[str, Any]:
    document = each.document
    left = {} if document.corrects else crediting.left(document.invoice, before)
    return {
        "number": document.number,
        "customer": each.customer,
        "period": answer.month(document.invoice.period),
        "issued": document.issued.isoformat(),
        "due": document.due.isoformat(),
        "corrects": document.corrects or None,
        "invoice": answer.of_invoice(document.invoice),
        "left_to_credit": {str(number): answer.cents(cents) for number, cents in left.items()},
        "folder": folder(each),
    }


def folder(each: Issued) -> str:
    """Where its files stand below the data directory."""
    document = each.document
    if document.corrects:
        return f"{ARTEFACTS}/{correcting.FOLDER}/{document.number}/{each.customer}"
    return f"{ARTEFACTS}/{answer.month(document.invoice.period)}/{each.customer}"


def _show(each: Issued, before: Sequence[crediting.Credited]) -> None:
    document, found = each.document, each.document.invoice
    about = f", credits {document.corrects}" if document.corrects else ""
    typer.echo(f"{document.number} of {document.issued} for {each.customer} {found.entity}".rstrip() + about)
    left = {} if document.corrects else crediting.left(found, before)
    rows = [
        (
            number, line.entity, line.account, line.item, answer.month(line.origin), line.quantity,
            answer.cents(line.unit_cents), answer.cents(line.net_cents),
            "" if document.corrects else answer.cents(left.get(number, 0)),
        )
        for number, line in enumerate(found.lines, 1)
    ]  # fmt: skip
    columns = ("LINE", "ENTITY", "ACCOUNT", "ITEM", "PERIOD", "QUANTITY", "UNIT", "NET", "LEFT TO CREDIT")
    table(rows, columns)
    typer.echo(
        f"net {answer.cents(found.net_cents)}, VAT {answer.cents(found.vat_cents)},"
        f" gross {answer.cents(found.gross_cents)}\nfiles in {folder(each)}"
    )


def credit(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="The invoice that is wrong.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the ledger.")],
    line: LineOption = None,
    config: ConfigOption = DEFAULT,
    now: NowOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Issue a credit note: for all that is left of an invoice, or for lines and parts of lines of it.

    Credit notes of an invoice never exceed it; the one that credits the rest takes the VAT that is left. Exit
    code 1 when it is refused.

    Example: pbx-billing credit F2026-10-0001 --line 3 --reason "wrong tariff"
    """
    wanted = Wanted(number, None if line is None else _wanted(line), reason)

    async def work(opened: Opened) -> Any:
        return await correcting.credit(opened.ledger, wanted, opened.now_ms, opened.printer, opened.shelf)

    found: Document | tuple[()] = with_ledger(config, now, work)
    if not isinstance(found, Document):
        refuse(found, as_json=as_json)
    made = found.invoice
    if as_json:
        print_json({"number": found.number, "corrects": number, "invoice": answer.of_invoice(made)})
    else:
        typer.echo(
            f"{found.number} credits {answer.cents(made.net_cents)} + {answer.cents(made.vat_cents)} VAT"
            f" = {answer.cents(made.gross_cents)} of {number}"
        )


def _wanted(lines: Sequence[str]) -> Mapping[int, int | None]:
    found: dict[int, int | None] = {}
    for text in lines:
        name, equals, amount = text.partition("=")
        cents = money.read(amount, money.CENT_PLACES) if equals else None
        if not (name.isascii() and name.isdigit()) or (equals and cents is None) or int(name) in found:
            fail(Exit.USAGE, f"--line: expected lines such as 2 or 2=1.20, each once, found {text}")
        found[int(name)] = cents
    return found
