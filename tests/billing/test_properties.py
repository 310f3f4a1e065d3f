"""What holds for any customer: modes cost the same, no record is lost, a part never costs more than all."""

import datetime
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.core import atom, calendar, invoicing, money, proration
from billing.core.atom import Charge
from billing.core.calendar import Span, Timed
from billing.core.customer import Account, Customer, Invoicing, Mode, Option
from billing.core.invoicing import Invoices
from billing.core.proration import Rule
from billing.core.rated import Verdict
from billing.service.bill import Case, rated
from billing.service.runners import DuckDb
from tests.billing.months import month

PERIOD = 202610
FIXED = settings(max_examples=150, derandomize=True, deadline=None)
ENTITIES = ("Lyon", "Nancy", "Metz")

days = st.integers(-10, 45).map(lambda n: datetime.date(2026, 10, 1) + datetime.timedelta(days=n))
spans = st.tuples(days, days).map(lambda pair: Span(min(pair), max(pair)))
prices = st.integers(0, 5_000)


def timed(values: st.SearchStrategy[object]) -> st.SearchStrategy[Timed[object]]:
    """A value with up to two changes."""
    changes = st.lists(st.tuples(days, values), max_size=2, unique_by=lambda change: change[0])
    return st.tuples(values, changes).map(
        lambda made: Timed(((datetime.date.min, made[0]), *sorted(made[1], key=lambda change: change[0])))
    )


accounts = st.builds(
    Account, id=st.just(""), monthly=timed(prices), entity=timed(st.sampled_from(ENTITIES)), span=spans
)
options = st.builds(
    Option,
    kind=st.sampled_from(("ivr", "queue")),
    monthly=timed(prices),
    active=st.lists(spans, max_size=3).map(tuple),
    account=st.sampled_from(("", "200")),
    entity=st.sampled_from(("", *ENTITIES)),
    quantity=st.integers(1, 3),
)
customers = st.builds(
    lambda accounts, options, rule: Customer(
        accounts=tuple(replace(account, id=f"{200 + n}") for n, account in enumerate(accounts)),
        options=tuple(replace(each, entity="" if each.account else each.entity) for each in options),
        proration=rule,
    ),
    st.lists(accounts, min_size=1, max_size=4),
    st.lists(options, max_size=3),
    st.sampled_from(list(Rule)),
)
charges = st.lists(
    st.builds(
        Charge,
        entity=st.sampled_from(ENTITIES),
        account=st.sampled_from(("200", "201")),
        class_=st.sampled_from(("FR_FIXE", "FR_MOBILE")),
        origin=st.sampled_from((202609, PERIOD)),
        price_micro=st.integers(0, 20_000),
        billed_s=st.integers(0, 600),
    ),
    max_size=12,
)


def modes() -> list[Invoicing]:
    shared = Invoicing(entity_option=True, entity_fee=Timed.always(1_000), entities=ENTITIES)
    groups = (("Lyon", "Nancy"),)
    return [replace(shared, mode=mode, groups=groups if mode is Mode.MIXED else ()) for mode in Mode]


@FIXED
@given(customers, charges)
def test_d11_all_modes_cost_the_same(customer: Customer, called: list[Charge]) -> None:
    """B.D11, B.I16: the net is that of the atoms, and quantity x unit is each line's."""
    atoms = (*atom.of_calls(called), *atom.of_fees(customer, PERIOD))
    if not any(each.cents for each in atoms if each.entity):
        return  # nobody to share with
    found = []
    for how in modes():
        own = replace(customer, invoicing=how)
        all_atoms = (*atom.of_calls(called), *atom.of_fees(own, PERIOD))
        made = invoicing.invoices(own, all_atoms, PERIOD)
        assert isinstance(made, Invoices)
        found.append(sum(invoice.net_cents for invoice in made.invoices))
        assert found[-1] == sum(each.cents * each.quantity for each in all_atoms)
    assert len(set(found)) == 1


@FIXED
@given(customers)
def test_d11_each_day_is_on_one_line(customer: Customer) -> None:
    """B.D11: the days of an instance lie on one line each, whatever its entity."""
    atoms = atom.of_fees(customer, PERIOD)
    instances: dict[tuple[str, ...], list[Span]] = {}
    for each in atoms:
        instances.setdefault((each.sort, *each.instance[:3]), []).extend(each.days)
    for parts in instances.values():
        assert calendar.days(calendar.merged(parts)) == sum(part.days for part in parts)


@FIXED
@given(
    st.lists(spans, max_size=4), prices, st.sampled_from(list(Rule)), st.lists(days, max_size=3, unique=True)
)
def test_a14_between_nothing_and_the_whole(
    active: list[Span], monthly: int, rule: Rule, cuts: list[datetime.date]
) -> None:
    """B.A14: also when the price is cut into equal pieces, which stay one."""
    same = Timed(((datetime.date.min, monthly), *((day, monthly) for day in sorted(cuts))))
    found = proration.segments(PERIOD, active, same, rule)
    assert 0 <= sum(segment.cents for segment in found) <= monthly
    assert [segment.cents for segment in found] == [
        segment.cents for segment in proration.segments(PERIOD, active[::-1], Timed.always(monthly), rule)
    ]


@FIXED
@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(any))
def test_splits_lose_nothing(amount: int, weights: list[int]) -> None:
    """B.r5: and no part is further than one from its exact share."""
    parts = money.split(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - amount * weight) < sum(weights)


@FIXED
@given(st.integers(-(10**18), 10**18), st.sampled_from((2, 6, 9)))
def test_money_reads_what_it_prints(value: int, places: int) -> None:
    small = value % 10 ** (places + 12)
    assert money.read(money.shown(small, places), places) == small
    assert money.read(money.shown(-small, places), places) == -small


def test_half_up_is_away_from_zero() -> None:
    """B.r1."""
    assert [money.half_up(n, 10) for n in (-55, -54, -5, 4, 5, 14, 15)] == [-6, -5, -1, 0, 1, 1, 2]


def test_no_record_is_lost() -> None:
    """B.I16: received is the sum of all verdicts, for the period and for the next one."""
    made = month(5, 400)
    received = 0
    for period in (202610, 202611):
        found = rated(Case(period, made.intake, made.prices, made.records), DuckDb())
        assert found.received == sum(found.counts.values())
        keys = [row.key for row in found.rated if row.level == "customer"]
        waiting = [each.key for each in (*found.suspense, *found.quarantine)]
        assert (
            len(keys) + len(waiting)
            == len({*keys, *waiting})
            == found.received - found.counts[Verdict.DUPLICATE]
        )
        received += found.received
    assert received == len(made.records)


@FIXED
@given(st.lists(spans, max_size=3), timed(prices), st.sampled_from(Rule))
def test_a14_a_change_of_price_costs_something_between(
    active: list[Span], monthly: Timed[int], rule: Rule
) -> None:
    """B.A14: no more than the dearest price, but for what the segments are rounded up by."""
    found = proration.segments(PERIOD, active, monthly, rule)
    assert 0 <= sum(segment.cents for segment in found) <= max(p for _, p in monthly.changes) + len(found)
