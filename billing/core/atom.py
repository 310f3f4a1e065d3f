"""Atoms: the amounts that are rounded to cents, once each, before anybody asks how they are put on invoices.

For calls an atom is (entity, account, class, origin period); for a fee or an option it is one price segment
of one instance, whose cents are then split over entities (B.r3). The atoms are the same in all four modes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from billing.core import calendar, money, proration
from billing.core.calendar import Span, Timed
from billing.core.customer import NO_ENTITY, Account, Customer, Option
from billing.core.invoice import Sort
from billing.core.offer import PAY_PER_USE
from billing.core.proration import Segment

ACCOUNT_FEE = "account"
ENTITIES_FEE = "entities"


@dataclass(frozen=True, slots=True)
class Atom:
    """Cents of one entity ("": none). `instance` is equal for the parts of what was rounded as one."""

    sort: Sort
    item: str
    label: str
    entity: str
    account: str
    origin: int
    instance: tuple[str, ...]
    cents: int
    quantity: int = 1
    calls: int = 0
    seconds: int = 0
    days: tuple[Span, ...] = ()
    is_shared: bool = False
    """Of the customer as a whole: entities with invoices of their own share it."""


@dataclass(slots=True)
class _Sum:
    micro: int = 0
    calls: int = 0
    seconds: int = 0
    labels: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Charge:
    """One rated call of the level `customer`, as far as its atom goes."""

    entity: str
    account: str
    class_: str
    origin: int
    price_micro: int
    billed_s: int
    label: str = ""


def of_calls(charges: Iterable[Charge]) -> tuple[Atom, ...]:
    """The atoms of consumption, in order of entity, account, class and origin."""
    sums: dict[tuple[str, str, str, int], _Sum] = {}
    for charge in charges:
        found = sums.setdefault((charge.entity, charge.account, charge.class_, charge.origin), _Sum())
        found.micro += charge.price_micro
        found.calls += 1
        found.seconds += charge.billed_s
        found.labels.add(charge.label)
    return tuple(_call_atom(*key, found) for key, found in sorted(sums.items()))


def _call_atom(entity: str, account: str, class_: str, origin: int, found: _Sum) -> Atom:
    label = next(iter(found.labels)) if len(found.labels) == 1 else ""
    cents = money.half_up(found.micro, money.MICRO_PER_CENT)
    instance = (account, class_, str(origin))
    return Atom(
        Sort.CALLS, class_, label, entity, account, origin, instance, cents, 1, found.calls, found.seconds
    )


def of_fees(customer: Customer, period: int) -> tuple[Atom, ...]:
    """The atoms of accounts, offers, options and of the entity option, for the days of a month."""
    accounts = customer.by_id()
    found: list[Atom] = []
    for account in customer.accounts:
        found += _account(customer, account, period)
    for number, option in enumerate(customer.options):
        found += _option(customer, option, number, accounts, period)
    return (*found, *_entity_option(customer, period))


@dataclass(frozen=True, slots=True)
class _Instance:
    """What is billed by the month: what it is called, and whose it is."""

    sort: Sort
    item: str
    label: str
    account: str
    entity: Timed[str]
    number: int = 0
    quantity: int = 1
    is_shared: bool = False

    def atoms(self, period: int, found: Iterable[Segment]) -> Iterator[Atom]:
        """Each segment over its entities; what costs nothing leaves no atom."""
        for segment in found:
            if not segment.monthly_cents:
                continue
            first = segment.spans[0].first.isoformat()
            instance = (self.item, self.account, str(self.number), first)
            for entity, cents in proration.over_entities(segment, self.entity):
                yield Atom(
                    self.sort,
                    self.item,
                    self.label,
                    entity,
                    self.account,
                    period,
                    instance,
                    cents,
                    self.quantity,
                    days=self._days(segment, entity),
                    is_shared=self.is_shared,
                )

    def _days(self, segment: Segment, entity: str) -> tuple[Span, ...]:
        whole = Span(segment.spans[0].first, segment.spans[-1].last)
        parts = [part for part, name in self.entity.segments(whole) if name == entity]
        return tuple(both for part in parts for both in calendar.common(segment.spans, part))


def _account(customer: Customer, account: Account, period: int) -> Iterator[Atom]:
    fee = _Instance(Sort.FEE, ACCOUNT_FEE, "", account.id, account.entity)
    yield from fee.atoms(
        period, proration.segments(period, [account.span], account.monthly, customer.proration)
    )
    here = account.span.within(calendar.month(period))
    if here is None:
        return
    for span, name in account.line.offer.segments(here):
        offer = customer.offer(name)
        if offer is PAY_PER_USE:
            continue
        line = _Instance(Sort.FEE, offer.name, "", account.id, account.entity)
        yield from line.atoms(period, proration.segments(period, [span], offer.monthly, customer.proration))


def _option(
    customer: Customer, option: Option, number: int, accounts: Mapping[str, Account], period: int
) -> Iterator[Atom]:
    """An option ends with its account, and moves with it (B.r12, B.r13)."""
    active: tuple[Span, ...] = option.active
    entity = Timed.always(option.entity)
    if option.account:
        account = accounts[option.account]
        active, entity = calendar.common(active, account.span), account.entity
    shared = not option.account and option.entity == NO_ENTITY
    instance = _Instance(
        Sort.OPTION, option.kind, option.label, option.account, entity, number, option.quantity, shared
    )
    yield from instance.atoms(period, proration.segments(period, active, option.monthly, customer.proration))


def _entity_option(customer: Customer, period: int) -> Iterator[Atom]:
    if not customer.invoicing.entity_option:
        return
    fee = _Instance(Sort.ENTITIES, ENTITIES_FEE, "", "", Timed.always(NO_ENTITY), is_shared=True)
    yield from fee.atoms(
        period,
        proration.segments(
            period, [calendar.month(period)], customer.invoicing.entity_fee, customer.proration
        ),
    )
