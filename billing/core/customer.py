"""A customer as far as its invoice goes: accounts, options, entities, and how they are billed.

Source: seed 000. Days are local; what changes in time is `Timed`; money is cents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from billing.core.calendar import Span, Timed
from billing.core.offer import PAY_PER_USE, Actor, Offer, channels, fits, may_change
from billing.core.proration import Rule
from billing.core.refusal import Refused
from billing.core.switching import Switch

NO_ENTITY: Final = ""
NO_PRICE: Final = Timed.always(0)
NOWHERE: Final = Timed.always(NO_ENTITY)
ALWAYS: Final = Span(date.min, date.max)
_PER_USE: Final = Timed.always(PAY_PER_USE.name)


class Mode(StrEnum):
    """The four kinds of invoice of seed 000."""

    GLOBAL = "global"
    BY_ENTITY = "by_entity"
    PER_ENTITY = "per_entity"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Invoicing:
    """How a customer gets its invoices; `groups` are the entities of one invoice each in the mode mixed.

    `entity_option`: the paid option is there; it costs `entity_fee`, shared by the weights of the entities.
    """

    mode: Mode = Mode.GLOBAL
    entity_option: bool = False
    entity_fee: Timed[int] = NO_PRICE
    groups: tuple[tuple[str, ...], ...] = ()
    entities: tuple[str, ...] = ()
    """In configured order."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """1 where none is named."""


@dataclass(frozen=True, slots=True)
class Line:
    """Numbers, and the offer at each time; `changed_by` has the actor of each change."""

    numbers: tuple[str, ...] = ()
    offer: Timed[str] = _PER_USE
    changed_by: tuple[Actor, ...] = ()
    channels: int | None = None
    """Calls at once that were asked for; None: as offer and contract say."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who is billed for calls; it counts from `span.first` to `span.last`, both included (B.r13)."""

    id: str
    monthly: Timed[int] = NO_PRICE
    entity: Timed[str] = NOWHERE
    span: Span = ALWAYS
    line: Line = Line()


@dataclass(frozen=True, slots=True)
class Option:
    """A monthly option on the days it was on: of an account, of an entity, or of the whole customer."""

    kind: str
    monthly: Timed[int]
    active: tuple[Span, ...]
    account: str = ""
    entity: str = NO_ENTITY
    label: str = ""
    quantity: int = 1
    history: tuple[Switch, ...] = ()
    """The commands of which `active` was made, where it was made of commands."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Everything but the calls and the tariffs."""

    accounts: tuple[Account, ...] = ()
    options: tuple[Option, ...] = ()
    offers: Mapping[str, Offer] = field(default_factory=dict)
    invoicing: Invoicing = Invoicing()
    vat_bp: int = 2000
    proration: Rule = Rule.ACTUAL
    channels: int = 2
    """Calls at once of a line by contract."""

    def offer(self, name: str) -> Offer:
        """An offer by name; pay per use needs no row."""
        return PAY_PER_USE if name == PAY_PER_USE.name and name not in self.offers else self.offers[name]

    def by_id(self) -> dict[str, Account]:
        """Each account under its id."""
        return {account.id: account for account in self.accounts}

    def entities(self) -> tuple[str, ...]:
        """All entities: those configured in their order, then as accounts and options name them."""
        named = [entity for account in self.accounts for _, entity in account.entity.changes]
        named += [option.entity for option in self.options]
        grouped = [entity for group in self.invoicing.groups for entity in group]
        return tuple(dict.fromkeys(name for name in (*self.invoicing.entities, *grouped, *named) if name))


def line_refusals(customer: Customer) -> Sequence[Refused]:
    """What the offers of its lines forbid: numbers, channels, changes by the wrong actor."""
    found: list[Refused | None] = []
    for account in customer.accounts:
        offers = [customer.offer(name) for _, name in account.line.offer.changes]
        found += [fits(offer, account.line.numbers) for offer in offers]
        changes = zip(offers, offers[1:], account.line.changed_by, strict=False)
        found += [may_change(old, new, by) for old, new, by in changes]
        allowed = channels(offers[-1], customer.channels, account.line.channels)
        found.append(allowed if isinstance(allowed, Refused) else None)
    return [each for each in found if each]


def line_channels(customer: Customer, day: date) -> dict[str, int]:
    """Calls at once of each line that there is on this day, by its first number (seed 002; B.E21, B.E22)."""
    found: dict[str, int] = {}
    for account in customer.accounts:
        line = account.line
        if not line.numbers or not account.span.first <= day <= account.span.last:
            continue
        allowed = channels(customer.offer(line.offer.on(day)), customer.channels, line.channels)
        if isinstance(allowed, int):
            found[line.numbers[0]] = allowed
    return found
