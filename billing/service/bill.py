"""A customer's period from records to invoices: the one way that every command takes.

received = rated + not billable + duplicate + suspense + quarantine; the order of arrival decides nothing but
which of two records with one key is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from billing.core import atom, invoicing
from billing.core.credit import Credit, Movement, follow
from billing.core.customer import Customer, line_refusals
from billing.core.intake import Intake, LocalDay, Record, Sorted
from billing.core.invoicing import Invoices
from billing.core.number import Plan
from billing.core.offer import OfferKind
from billing.core.rated import Call, Rated, Reason, SetAside, Verdict
from billing.core.refusal import Refused
from billing.core.tariff import CUSTOMER
from billing.service.engine import Prices, Runner, rate

NO_TARIFF_ROW: Final = -1


@dataclass(frozen=True, slots=True)
class Account:
    """The credit of an account at the start of the period, micro-euro, and its top-ups."""

    start_micro: int
    top_ups: tuple[Movement, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """A customer and where it is, what it pays and by which offers: all that is written down of it."""

    customer: Customer
    plan: Plan
    local_day: LocalDay
    prices: Prices


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that decides the invoices of one customer and period (yyyymm)."""

    period: int
    intake: Intake
    prices: Prices
    records: tuple[Record, ...]
    credits: Mapping[str, Account] = field(default_factory=dict)

    @property
    def customer(self) -> Customer:
        """Who it is."""
        return self.intake.customer


@dataclass(frozen=True, slots=True)
class Rating:
    """The calls whose invoice is the period's, what they cost, and what became of every record of it."""

    calls: Mapping[str, Call]
    rated: tuple[Rated, ...]
    suspense: tuple[SetAside, ...]
    quarantine: tuple[SetAside, ...]
    counts: Mapping[Verdict, int]

    @property
    def received(self) -> int:
        """How many records came for this period."""
        return sum(self.counts.values())

    def of(self, level: str) -> Iterable[Rated]:
        """The rows of one price level."""
        return (row for row in self.rated if row.level == level)


@dataclass(frozen=True, slots=True)
class Bill:
    """The answer: what was rated, what is invoiced, and what is left of credits."""

    rating: Rating
    invoices: Invoices
    credits: Mapping[str, Credit]


def bill(case: Case, runner: Runner) -> Bill | Sequence[Refused]:
    """Rate and invoice; what is refused is refused before anything is rated, all of it at once."""
    if refused := line_refusals(case.customer):
        return refused
    rating = rated(case, runner)
    found = invoiced(case.customer, case.period, charges(case, rating))
    if isinstance(found, Refused):
        return (found,)
    return Bill(rating, found, _credits(case, rating))


def invoiced(customer: Customer, period: int, calls: Iterable[atom.Charge]) -> Invoices | Refused:
    """The invoices of a period for these calls, and for what is paid by the month."""
    atoms = (*atom.of_calls(calls), *atom.of_fees(customer, period))
    return invoicing.invoices(customer, atoms, period)


def rated(case: Case, runner: Runner) -> Rating:
    """Rate all calls, of which those of other periods count in baskets only."""
    sorted_ = case.intake.sort(case.records)
    priced = rate(sorted_.calls, case.prices, runner)
    free = [_free(each.call, each.class_, level) for each in sorted_.free for level in _levels(case)]
    calls = {call.key: call for call in (*sorted_.calls, *(each.call for each in sorted_.free))}
    own = {key: call for key, call in calls.items() if call.landing == case.period}
    rows = [row for row in (*priced.rated, *free) if row.key in own]
    rows.sort(key=lambda row: (own[row.key].answer_ms, row.key))
    waiting = [
        SetAside(key, Reason.NO_PRICE, _missing(calls[key], level), calls[key].landing)
        for key, level in priced.without.items()
    ]
    suspense = tuple(each for each in (*sorted_.suspense, *waiting) if each.landing == case.period)
    quarantine = tuple(each for each in sorted_.quarantine if each.landing == case.period)
    priced_keys = {row.key for row in rows if is_rated(row, own)}
    counts = {
        Verdict.RATED: len(priced_keys),
        Verdict.NOT_BILLABLE: len({row.key for row in rows} - priced_keys),
        Verdict.DUPLICATE: sorted_.duplicates.count(case.period),
        Verdict.SUSPENSE: len(suspense),
        Verdict.QUARANTINE: len(quarantine),
    }
    assert sum(counts.values()) == _received(sorted_, case.period), "a record is lost"
    return Rating(own, tuple(rows), suspense, quarantine, counts)


def is_rated(row: Rated, calls: Mapping[str, Call]) -> bool:
    """Whether a tariff priced it: the others are internal, incoming, unanswered, or calls for help."""
    return row.row != NO_TARIFF_ROW and calls[row.key].seconds > 0


def _received(sorted_: Sorted, period: int) -> int:
    """How many records of a period there were before anything was priced."""
    landings = [
        *(call.landing for call in sorted_.calls),
        *(each.call.landing for each in sorted_.free),
        *(each.landing for each in (*sorted_.suspense, *sorted_.quarantine)),
        *sorted_.duplicates,
    ]
    return landings.count(period)


def _levels(case: Case) -> Iterable[str]:
    return (tariff.level for tariff in case.prices.tariffs)


def _free(call: Call, class_: str, level: str) -> Rated:
    return Rated(call.key, level, class_, NO_TARIFF_ROW, 0, 0, 0)


def _missing(call: Call, level: str) -> str:
    return f"no row of {level} for {call.kind} {call.number.text} on {call.day}"


def charges(case: Case, rating: Rating) -> Iterable[atom.Charge]:
    """What the customer is charged for, call by call."""
    for row in rating.of(CUSTOMER):
        if not is_rated(row, rating.calls):
            continue
        call = rating.calls[row.key]
        label = case.prices.rows[row.row].label
        yield atom.Charge(
            call.entity, call.account, row.class_, call.period, row.price_micro, row.billed_s, label
        )


def _credits(case: Case, rating: Rating) -> Mapping[str, Credit]:
    """What pay-per-use calls leave of each credit (B.r23)."""
    used: dict[str, list[Movement]] = {}
    for row in rating.of(CUSTOMER):
        call = rating.calls[row.key]
        if case.customer.offer(call.offer).kind is OfferKind.PAY_PER_USE and row.price_micro:
            used.setdefault(call.account, []).append(Movement(call.answer_ms, -row.price_micro, row.key))
    return {
        name: follow(account.start_micro, (*account.top_ups, *used.get(name, ())))
        for name, account in case.credits.items()
    }
