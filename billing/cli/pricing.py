"""`pbx-billing simulate`: the price of a call that nobody has made yet; what commands on tariffs share."""

import datetime
from pathlib import Path
from typing import Annotated

import typer

from billing.core.customer import NO_ENTITY
from billing.core.number import COUNTRIES, Form, Plan, normalise
from billing.core.offer import PAY_PER_USE
from billing.core.rated import Call, Rated
from billing.core.tariff import CUSTOMER, KINDS, Row, Tariff
from billing.edges import answer, tariff_file
from billing.service.engine import Prices, rate
from billing.service.runners import DuckDb
from runtime.cli import Exit, JsonFlag, fail, print_json, table
from runtime.config import ConfigErrors

Country = Annotated[str, typer.Option("--country", help="Where the line is: FR or IT.")]
On = Annotated[str | None, typer.Option("--on", help="Local day, such as 2026-11-01; default: today.")]


def simulate(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="As it is dialled.")],
    seconds: Annotated[int, typer.Argument(metavar="SECONDS", min=0, max=604_800)],
    tariff: Annotated[Path, typer.Option("--tariff", help="A tariff: CSV.")],
    country: Country = "FR",
    trunk_prefix: Annotated[str, typer.Option("--trunk-prefix", help="Digits for an outside line.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="voice, fax or sms.")] = "voice",
    on: On = None,
    as_json: JsonFlag = False,
) -> None:
    """Price a call that nobody has made, by the engine that rates real ones, without any offer.

    Exit code 1 when it would have no price (suspense).

    Example: pbx-billing simulate 0612345678 125 --tariff list.csv
    """
    found = normalise(number, Plan(known(country), trunk_prefix))
    if kind not in KINDS:
        fail(Exit.USAGE, f"--kind: expected {', '.join(KINDS)}, found {kind}")
    if found is None:
        fail(Exit.REFUSED, f'number: "{number}" has no form of a number of {country}; the call would wait')
    day = day_of(on)
    prices = Prices((Tariff(CUSTOMER, rows_of(tariff)),), {})
    call = Call(
        number, "", "", NO_ENTITY, PAY_PER_USE.name, kind, found, 0, day, day.year * 100 + day.month, seconds
    )
    if found.form in (Form.EMERGENCY, Form.INTERNAL):
        _show(Rated(number, CUSTOMER, found.form, -1, 0, 0, 0), None, found.text, as_json)
        return
    priced = rate([call], prices, DuckDb())
    if priced.without:
        fail(
            Exit.REFUSED,
            f"no_price: no row of {tariff} for {kind} {found.text} on {day}; the call would wait",
        )
    rated = priced.rated[0]
    _show(rated, prices.rows[rated.row] if rated.row >= 0 else None, found.text, as_json)


def _show(rated: Rated, row: Row | None, number: str, as_json: bool) -> None:
    facts = {
        "number": number,
        "class": rated.class_,
        "prefix": row.prefix if row else None,
        "row": row.place if row else None,
        "billed_seconds": rated.billed_s,
        "price": answer.micro(rated.price_micro),
    }
    if as_json:
        print_json(facts)
    else:
        table(
            [(name, "" if value is None else str(value)) for name, value in facts.items()], ("WHAT", "FOUND")
        )


def rows_of(file: Path) -> tuple[Row, ...]:
    """The rows of a tariff file; or all its errors, and exit code 4."""
    if not file.is_file():
        fail(Exit.USAGE, f"{file}: there is no such file")
    try:
        return tariff_file.read(file)
    except ConfigErrors as errors:
        fail(Exit.BAD_DATA, errors.report("nothing was loaded"))


def known(country: str) -> str:
    """A country whose numbers can be read; or exit code 2."""
    if country not in COUNTRIES:
        fail(Exit.USAGE, f"--country: expected {' or '.join(COUNTRIES)}, found {country}")
    return country


def day_of(text: str | None) -> datetime.date:
    """The day of --on, or today; or exit code 2."""
    if text is None:
        return datetime.datetime.now(datetime.UTC).astimezone().date()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        fail(Exit.USAGE, f"--on: expected a day such as 2026-11-01, found {text}")
