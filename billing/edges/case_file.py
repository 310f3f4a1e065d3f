"""A billing case as people write it: one customer, one period, everything that decides the invoices.

Source: contract.md "Billing case file". Strict as all configuration: every error at once, with its place.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, Tag, model_validator

from billing.core.number import COUNTRIES, INTERNAL_PLAN
from billing.core.offer import MAX_BASKETS, PAY_PER_USE, OfferKind
from billing.core.switching import Do, Switch, conflict
from billing.core.tariff import LIST
from billing.core.tariff_text import COLUMNS
from billing.edges.call_fields import CallFields
from billing.edges.case_values import (
    ONE_OR_LIST,
    Cents,
    Day,
    Entity,
    EntityChange,
    Instant,
    Moment,
    Month,
    Name,
    OfferName,
    Pattern,
    PhoneNumber,
    Price,
    Rate,
    Weight,
    Zone,
)
from billing.edges.party_fields import Language, PartyFields, PaymentFields
from runtime.config import ConfigModel, ConfigPath, FieldError

MAX_MINUTES = 1_000_000


class EntityFee(ConfigModel):
    """The paid entity option and its price."""

    monthly: Price


class InvoicesFields(ConfigModel):
    """How the customer gets its invoices (seed 000); `groups` belong to the mode mixed."""

    mode: Literal["global", "by_entity", "per_entity", "mixed"] = "global"
    groups: tuple[tuple[Name, ...], ...] = ()
    entity_option: bool | EntityFee = False

    @model_validator(mode="after")
    def _groups_count(self) -> "InvoicesFields":
        if self.groups and self.mode != "mixed":
            raise FieldError(f"only the mode mixed has groups, this one is {self.mode}", "groups")
        return self


class EntityFields(ConfigModel):
    """An entity, and its part of what all entities share."""

    name: Name
    weight: Weight = 1


class TariffRow(ConfigModel):
    """One row of a tariff, as in CSV; prices are in quotes."""

    prefix: str
    class_: Annotated[str, Field(alias="class")]
    kind: str = ""
    per_minute: str | int = ""
    first: str | int = ""
    next: str | int = ""
    setup: str | int = ""
    service_per_call: str | int = ""
    service_per_min: str | int = ""
    max_price: str | int = ""
    grace: str | int = ""
    from_: Annotated[datetime.date | str, Field(alias="from")] = ""
    to: datetime.date | str = ""
    label: str = ""

    @property
    def cells(self) -> Mapping[str, str]:
        """Its cells by column."""
        return {name: str(getattr(self, _attribute(name))) for name in COLUMNS}


def _attribute(column: str) -> str:
    return f"{column}_" if column in ("class", "from") else column


class BasketFields(ConfigModel):
    """Minutes of some classes; a basket without a name has that of its place in the list."""

    name: str = ""
    priority: Annotated[int, Field(ge=0, le=1_000)] = 0
    classes: Annotated[tuple[Name, ...], Field(min_length=1)]
    minutes: Annotated[int, Field(ge=0, le=MAX_MINUTES)]


class OfferFields(ConfigModel):
    """What a line can have (seed 002)."""

    kind: Literal["pay_per_use", "flat_business", "flat_on_consumption", "recipe"]
    monthly: Price = 0
    baskets: Annotated[tuple[BasketFields, ...], Field(max_length=MAX_BASKETS)] = ()
    channels: Annotated[int, Field(ge=1, le=10_000)] | None = None

    @model_validator(mode="after")
    def _pays_or_counts(self) -> "OfferFields":
        if OfferKind(self.kind) is OfferKind.PAY_PER_USE and self.baskets:
            raise FieldError("pay_per_use has no baskets; expected another kind", "baskets")
        return self


class LineFields(ConfigModel):
    """The line of an account; who names no offer pays per use."""

    numbers: tuple[PhoneNumber, ...] = ()
    offer: OfferName = PAY_PER_USE.name
    channels: Annotated[int, Field(ge=1, le=10_000)] | None = None


class TopUp(ConfigModel):
    """Credit that was added."""

    at: Instant
    amount: Cents


class AccountFields(ConfigModel):
    """Who is billed, from `from` to `until`, both included."""

    id: Name
    entity: Entity | None = None
    monthly: Price = 0
    from_: Annotated[Day | None, Field(alias="from")] = None
    until: Day | None = None
    line: LineFields = LineFields()
    credit: Cents | None = None
    top_ups: tuple[TopUp, ...] = ()

    @model_validator(mode="after")
    def _ends_behind_its_beginning(self) -> "AccountFields":
        if self.from_ and self.until and self.until < self.from_:
            raise FieldError(f"expected a day not before {self.from_}, found {self.until}", "until")
        return self

    def meets(self, other: "AccountFields") -> bool:
        """Whether there is a day on which both are there."""
        first = max(self.from_ or datetime.date.min, other.from_ or datetime.date.min)
        return first <= min(self.until or datetime.date.max, other.until or datetime.date.max)


class SwitchFields(ConfigModel):
    """A command that started or stopped an option; sent again with the same key it is the same command."""

    key: Name
    at: Instant
    do: Literal["start", "stop"]
    by: str = ""

    @property
    def switch(self) -> Switch:
        """As the core knows it."""
        return Switch(self.key, self.at, Do(self.do), self.by)


class OptionFields(ConfigModel):
    """A monthly option; `active`: days, both included, or instants, the second excluded; or its commands."""

    kind: Name
    label: str = ""
    account: Name | None = None
    entity: Name | None = None
    monthly: Price
    quantity: Annotated[int, Field(ge=1, le=100_000)] = 1
    active: tuple[tuple[Moment, Moment | None], ...] | None = None
    switched: tuple[SwitchFields, ...] | None = None

    @model_validator(mode="after")
    def _is_of_one(self) -> "OptionFields":
        if self.account is not None and self.entity is not None:
            raise FieldError("an option is of an `account` or of an `entity`, not of both", "entity")
        for index, (on, off) in enumerate(self.active or ()):
            if _is_backwards(on, off):
                raise FieldError("it ends before it begins", "active", index)
        return self

    @model_validator(mode="after")
    def _is_switched_once(self) -> "OptionFields":
        if self.switched is None:
            return self
        if self.active is not None:
            raise FieldError("an option has `active` or `switched`, not both", "switched")
        index = conflict(each.switch for each in self.switched)
        if index is not None:
            raise FieldError(
                f'another command has the key "{self.switched[index].key}"; give each its own',
                "switched", index, "key",
            )  # fmt: skip
        return self


TariffRows = Annotated[
    Annotated[ConfigPath, Tag("one")] | Annotated[tuple[TariffRow, ...], Tag("list")], ONE_OR_LIST
]
Calls = Annotated[
    Annotated[ConfigPath, Tag("one")] | Annotated[tuple[CallFields, ...], Tag("list")], ONE_OR_LIST
]


class CustomerFields(ConfigModel):
    """One customer, and everything that decides the invoices but the month and its calls."""

    zone: Zone = "Europe/Paris"
    vat: Rate = 2000
    country: Literal["FR", "IT"] = "FR"
    trunk_prefix: Annotated[str, StringConstraints(pattern=r"^[0-9*#]{0,4}$")] = ""
    internal: Pattern = INTERNAL_PLAN
    dom_as_france: bool = False
    proration: Literal["actual", "30"] | Literal[30] = "actual"
    channels: Annotated[int, Field(ge=1, le=10_000)] = 2
    invoices: InvoicesFields = InvoicesFields()
    entities: tuple[Name | EntityFields, ...] = ()
    tariffs: Mapping[str, TariffRows] = {}
    offers: Mapping[Name, OfferFields] = {}
    accounts: tuple[AccountFields, ...] = ()
    options: tuple[OptionFields, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> "CustomerFields":
        assert set(COUNTRIES) == {"FR", "IT"}
        if self.tariffs and LIST not in self.tariffs:
            raise FieldError(f"missing; the tariff `{LIST}` prices the level customer", "tariffs", LIST)
        accounts = [account.id for account in self.accounts]
        for index, name in enumerate(accounts):
            if name in accounts[:index]:
                raise FieldError(f'"{name}" is there twice', "accounts", index, "id")
        self._offers_are_there()
        self._numbers_differ()
        self._groups_fit()
        for index, option in enumerate(self.options):
            if option.account is not None and option.account not in accounts:
                raise FieldError(f'there is no account "{option.account}"', "options", index, "account")
            if self.entities and option.entity and option.entity not in self._entities():
                raise FieldError(f'there is no entity "{option.entity}"', "options", index, "entity")
        return self

    def _entities(self) -> frozenset[str]:
        """Those that are listed, and those of accounts."""
        listed = (each if isinstance(each, str) else each.name for each in self.entities)
        return frozenset(
            (*listed, *(entity for account in self.accounts for entity in _names(account.entity)))
        )

    def _numbers_differ(self) -> None:
        """A number belongs to one account at a time."""
        known: dict[str, list[AccountFields]] = {}
        for index, account in enumerate(self.accounts):
            for place, number in enumerate(account.line.numbers):
                for other in known.setdefault(number, []):
                    if account.meets(other):
                        why = f'"{number}" is a number of account "{other.id}" on the same days'
                        raise FieldError(why, "accounts", index, "line", "numbers", place)
                known[number].append(account)

    def _offers_are_there(self) -> None:
        for index, account in enumerate(self.accounts):
            named = account.line.offer
            for name in (named,) if isinstance(named, str) else [change.value for change in named]:
                if name not in self.offers and name != PAY_PER_USE.name:
                    raise FieldError(f'there is no offer "{name}"', "accounts", index, "line", "offer")

    def _groups_fit(self) -> None:
        """A group names entities that there are, each once."""
        known = self._entities() | {option.entity for option in self.options if option.entity}
        seen: set[str] = set()
        for index, group in enumerate(self.invoices.groups):
            for place, name in enumerate(group):
                if name not in known:
                    raise FieldError(f'there is no entity "{name}"', "invoices", "groups", index, place)
                if name in seen:
                    raise FieldError(f'"{name}" is in groups twice', "invoices", "groups", index, place)
                seen.add(name)


class CaseFile(CustomerFields):
    """One customer and one period, and everything that decides the invoices."""

    period: Month
    calls: Calls = ()
    closed: Mapping[Month, Instant] = {}
    now: Instant | None = None
    seller: PartyFields | None = None
    buyer: PartyFields | None = None
    payment: PaymentFields = PaymentFields()
    due_days: Annotated[int, Field(ge=0, le=365)] = 30
    language: Language = "fr"
    vat_reason: str = ""


def _is_backwards(on: datetime.date | int, off: datetime.date | int | None) -> bool:
    """Of two days, or of two instants."""
    if isinstance(on, int):
        return isinstance(off, int) and off < on
    return isinstance(off, datetime.date) and off < on


def _names(entity: str | tuple[EntityChange, ...] | None) -> Sequence[str]:
    if entity is None or isinstance(entity, str):
        return (entity,) if entity else ()
    return [change.value for change in entity]
