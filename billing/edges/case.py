"""Case files to the values of the core: reads what they name, and turns instants into local days.

Errors of tariffs and of calls name file and line, also of rows that stand in the case file itself.
"""

import datetime
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from billing.core import money, tariff_text
from billing.core.calendar import Span, Timed
from billing.core.credit import Movement
from billing.core.customer import NO_ENTITY, Account, Customer, Invoicing, Line, Mode, Option
from billing.core.intake import Intake, LocalDay, Record
from billing.core.number import Plan
from billing.core.offer import Actor, Basket, Offer, OfferKind
from billing.core.proration import Rule
from billing.core.switching import history, intervals
from billing.core.tariff import CUSTOMER, LIST, Problem, Row, Tariff
from billing.core.tariff_text import TariffProblems
from billing.edges import calls_file, case_file, instants, tariff_file
from billing.edges.call_fields import CallFields
from billing.edges.case_file import CaseFile, CustomerFields, EntityFee, EntityFields
from billing.edges.case_values import EntityChange, OfferChange, PriceChange
from billing.edges.tariff_file import Read
from billing.service.bill import Account as CreditAccount
from billing.service.bill import Case, Terms
from billing.service.engine import Prices
from runtime import config, yaml_values
from runtime.config import ConfigError, ConfigErrors, text_of
from runtime.yaml_values import Key, Place

_MICRO: Final = money.MICRO_PER_CENT


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a customer is written: a file, the keys above it there, and how files that it names are read."""

    path: Path
    at: tuple[Key, ...] = ()
    read: Read = Path.read_bytes


def read(path: Path) -> Case:
    """The case of a file; ConfigErrors with everything that is wrong with it or with files that it names."""
    written = config.load(path, CaseFile)
    terms = terms_of(written, Standing(path))
    return Case(
        period=written.period,
        intake=Intake(terms.customer, terms.plan, terms.local_day, dict(written.closed), written.now),
        prices=terms.prices,
        records=_records(written.calls),
        credits={
            account.id: CreditAccount(
                account.credit * _MICRO,
                tuple(Movement(top_up.at, top_up.amount * _MICRO) for top_up in account.top_ups),
            )
            for account in written.accounts
            if account.credit is not None
        },
    )


def terms_of(written: CustomerFields, standing: Standing) -> Terms:
    """A customer as the core knows it; ConfigErrors of its tariffs."""
    where = instants.zone(written.zone)
    assert where is not None, "the model has looked"
    local_day = instants.local_days(where)
    offers = {name: _offer(name, fields) for name, fields in written.offers.items()}
    plan = Plan(
        written.country, written.trunk_prefix, re.compile(written.internal, re.ASCII), written.dom_as_france
    )
    customer = _customer(written, offers, local_day)
    return Terms(customer, plan, local_day, Prices(_tariffs(standing, written), offers))


def zone_of(path: Path) -> ZoneInfo:
    """The zone of a case that can be read."""
    found = instants.zone(config.load(path, CaseFile).zone)
    assert found is not None, "the model has looked"
    return found


def schema() -> dict[str, object]:
    """Its JSON Schema, for editors."""
    return config.schema(CaseFile)


def _offer(name: str, fields: case_file.OfferFields) -> Offer:
    baskets = [
        Basket(basket.name or f"{number:02}", basket.classes, basket.minutes, basket.priority)
        for number, basket in enumerate(fields.baskets, 1)
    ]
    return Offer(name, OfferKind(fields.kind), _price(fields.monthly), tuple(baskets), fields.channels)


def _price(written: int | tuple[PriceChange, ...]) -> Timed[int]:
    return Timed.always(written) if isinstance(written, int) else _timed(written)


def _timed(changes: Sequence[PriceChange]) -> Timed[int]:
    return Timed(tuple((change.from_ or datetime.date.min, change.value) for change in changes))


def _entity(written: str | tuple[EntityChange, ...] | None) -> Timed[str]:
    if written is None or isinstance(written, str):
        return Timed.always(written or NO_ENTITY)
    return Timed(tuple((change.from_ or datetime.date.min, change.value) for change in written))


def _customer(written: CustomerFields, offers: Mapping[str, Offer], local_day: LocalDay) -> Customer:
    return Customer(
        accounts=tuple(_account(fields) for fields in written.accounts),
        options=tuple(_option(fields, local_day) for fields in written.options),
        offers=offers,
        invoicing=_invoicing(written),
        vat_bp=written.vat,
        proration=Rule(str(written.proration)),
        channels=written.channels,
    )


def _invoicing(written: CustomerFields) -> Invoicing:
    fee = written.invoices.entity_option
    entities = [
        each if isinstance(each, EntityFields) else EntityFields(name=each) for each in written.entities
    ]
    return Invoicing(
        mode=Mode(written.invoices.mode),
        entity_option=bool(fee),
        entity_fee=_price(fee.monthly) if isinstance(fee, EntityFee) else Timed.always(0),
        groups=written.invoices.groups,
        entities=tuple(each.name for each in entities),
        weights={each.name: each.weight for each in entities},
    )


def _account(fields: case_file.AccountFields) -> Account:
    return Account(
        id=fields.id,
        monthly=_price(fields.monthly),
        entity=_entity(fields.entity),
        span=Span(fields.from_ or datetime.date.min, fields.until or datetime.date.max),
        line=_line(fields.line),
    )


def _line(fields: case_file.LineFields) -> Line:
    if isinstance(fields.offer, str):
        return Line(fields.numbers, Timed.always(fields.offer), channels=fields.channels)
    changes: tuple[OfferChange, ...] = fields.offer
    offers = Timed(tuple((change.from_ or datetime.date.min, change.value) for change in changes))
    by = tuple(Actor(change.by) for change in changes[1:])
    return Line(fields.numbers, offers, by, fields.channels)


def _option(fields: case_file.OptionFields, local_day: LocalDay) -> Option:
    switches = history(each.switch for each in fields.switched or ())
    pairs: Iterable[tuple[datetime.date | int, datetime.date | int | None]]
    if fields.switched is not None:
        pairs = intervals(switches)
    else:
        pairs = ((datetime.date.min, None),) if fields.active is None else fields.active
    spans = [_span(on, off, local_day) for on, off in pairs]
    return Option(
        kind=fields.kind,
        monthly=_price(fields.monthly),
        active=tuple(span for span in spans if span.days),
        account=fields.account or "",
        entity=fields.entity or NO_ENTITY,
        label=fields.label,
        quantity=fields.quantity,
        history=switches,
    )


def _span(on: datetime.date | int, off: datetime.date | int | None, local_day: LocalDay) -> Span:
    """Days are both included; the instant of switching off is not (B.r9)."""
    if isinstance(on, int) and isinstance(off, int) and off <= on:
        return Span(datetime.date.max, datetime.date.min)
    first = local_day(on) if isinstance(on, int) else on
    if off is None:
        return Span(first, datetime.date.max)
    return Span(first, local_day(off - 1) if isinstance(off, int) else off)


def _tariffs(standing: Standing, written: CustomerFields) -> tuple[Tariff, ...]:
    """All levels, customer first; the errors of all tariffs at once."""
    found, errors = [], []
    names = sorted(written.tariffs, key=lambda name: name != LIST)
    for name in names:
        try:
            found.append(
                Tariff(CUSTOMER if name == LIST else name, _rows(standing, name, written.tariffs[name]))
            )
        except ConfigErrors as wrong:
            errors += wrong.errors
    if errors:
        raise ConfigErrors(errors)
    return tuple(found) or (Tariff(CUSTOMER, ()),)


def _rows(standing: Standing, name: str, rows: Sequence[case_file.TariffRow] | Path) -> tuple[Row, ...]:
    if isinstance(rows, Path):
        return tariff_file.read(rows, standing.read)
    at = (*standing.at, "tariffs", name)
    places = _places(standing, at)
    try:
        return tariff_text.rows_of(
            (_placed(standing, place), row.cells) for place, row in zip(places, rows, strict=True)
        )
    except TariffProblems as wrong:
        index = {_placed(standing, place): number for number, place in enumerate(places)}
        raise ConfigErrors(
            [_inline(standing, at, places, index[problem.place], problem) for problem in wrong.problems]
        ) from wrong


def _placed(standing: Standing, place: Place) -> str:
    """Where a row stands: with its column, since several may stand in one line."""
    return f"{standing.path}:{place.line}:{place.column}"


def _inline(
    standing: Standing, at: Sequence[Key], places: Sequence[Place], number: int, problem: Problem
) -> ConfigError:
    """A problem of a row in the file itself: at the cell, or at the row that lacks it."""
    cell = places[number].items.get(problem.column, places[number])
    path = config.path_of((*at, number, *([problem.column] if problem.column else [])))
    return ConfigError(str(standing.path), cell.line, cell.column, path, problem.message)


def _places(standing: Standing, at: Sequence[Key]) -> Sequence[Place]:
    """Where each row of a tariff begins."""
    place, _ = yaml_values.read(text_of(str(standing.path), standing.read(standing.path)))
    for key in at:
        place = place.items[key]
    return [place.items[index] for index in range(len(place.items))]


def _records(written: Sequence[CallFields] | Path) -> tuple[Record, ...]:
    calls = calls_file.read(written) if isinstance(written, Path) else written
    return tuple(_record(call) for call in calls)


def _record(call: CallFields) -> Record:
    content = json.dumps(call.model_dump(exclude={"received"}, mode="json"), sort_keys=True)
    return Record(
        key=call.id,
        content=content,
        dialled=call.dialled,
        instant_ms=call.instant_ms,
        seconds=call.talk_s,
        account=call.account,
        caller=call.caller,
        kind=call.kind,
        incoming=call.direction == "in",
        received_ms=call.received,
    )
