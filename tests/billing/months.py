"""Months of calls made of a seed: tariffs with slices, offers with baskets, a night when clocks change."""

import datetime
import random
from dataclasses import dataclass

from billing.core.calendar import Timed
from billing.core.customer import Account, Customer, Line
from billing.core.intake import Intake, Record
from billing.core.number import Plan
from billing.core.offer import Basket, Offer, OfferKind
from billing.core.rated import Call
from billing.core.tariff import CUSTOMER, Row, Tariff
from billing.edges import instants
from billing.service.engine import Prices

ZONE = "Europe/Paris"
CHANGE = datetime.date(2026, 11, 1)
CLASSES = ("FR_FIXE", "FR_MOBILE", "SPECIAL", "FREE")
NUMBERS = (
    "0612345678",
    "0611111111",
    "0142681234",
    "0172000000",
    "0892123456",
    "0800123456",
    "3615",
    "+4412345678",
)
NIGHT_MS = 1_792_882_800_000  # 2026-10-24T23:00:00Z, two hours before clocks go back
CLOSED_MS = 1_793_869_200_000  # 2026-11-05


@dataclass(frozen=True)
class Month:
    """What is rated; `records` in order of arrival, some of them twice."""

    intake: Intake
    prices: Prices
    records: tuple[Record, ...]

    @property
    def calls(self) -> tuple[Call, ...]:
        """What is left to price."""
        return self.intake.sort(self.records).calls


def month(seed: int, count: int, *, plain: bool = False) -> Month:
    """October and some of November: `count` calls and a tenth as many duplicates, in any order.

    `plain`: two lengths of prefixes and two baskets at most, for engines that take long to plan.
    """
    chosen = random.Random(seed)
    offers = _offers(chosen)[: 2 if plain else 3]
    customer = Customer(
        accounts=tuple(_account(f"{n}", chosen, [o.name for o in offers]) for n in range(201, 206)),
        offers={o.name: o for o in offers},
    )
    zone = instants.zone(ZONE)
    assert zone is not None
    records = [_record(n, chosen) for n in range(count)]
    records += chosen.choices(records, k=count // 10)
    chosen.shuffle(records)
    tariffs = (_tariff(CUSTOMER, chosen, plain), _tariff("resale", chosen, plain))
    intake = Intake(customer, Plan(), instants.local_days(zone), {202610: CLOSED_MS})
    return Month(intake, Prices(tariffs, customer.offers), tuple(records))


def _offers(chosen: random.Random) -> tuple[Offer, ...]:
    def baskets(count: int) -> tuple[Basket, ...]:
        return tuple(
            Basket(
                f"b{n}",
                tuple(chosen.sample(CLASSES, chosen.randint(1, 3))),
                chosen.randint(0, 90),
                chosen.randint(0, 1),
            )
            for n in range(count)
        )

    return (
        Offer("business", OfferKind.FLAT_BUSINESS, baskets=baskets(2)),
        Offer("flat", OfferKind.FLAT_ON_CONSUMPTION, baskets=baskets(1)),
        Offer("recipe", OfferKind.RECIPE, baskets=baskets(3)),
    )


def _account(name: str, chosen: random.Random, offers: list[str]) -> Account:
    first, second = chosen.choices((*offers, "pay_per_use"), k=2)
    change = datetime.date(2026, 10, chosen.randint(2, 31))
    return Account(name, line=Line(offer=Timed(((datetime.date.min, first), (change, second)))))


def _tariff(level: str, chosen: random.Random, plain: bool) -> Tariff:
    """Rows of two slices, some with set-up, service, cap, grace or none."""
    rows: list[Row] = []
    blocks = (("+33", 0), ("+331", 0), ("+336", 1), ("+3361", 1), ("+3389", 2), ("+3380", 3), ("FR:3", 2))
    for prefix, class_ in blocks[:3] if plain else blocks:
        for from_, to in (
            (datetime.date.min, CHANGE - datetime.timedelta(days=1)),
            (CHANGE, datetime.date.max),
        ):
            if prefix != "+33" and chosen.random() < 0.1:
                continue
            free = CLASSES[class_] == "FREE"
            rows.append(
                Row(
                    prefix,
                    CLASSES[class_],
                    per_minute=0 if free else chosen.choice((10**7, 123_456_789, 15 * 10**6, 30_000)),
                    first=chosen.choice((1, 30, 60)),
                    next=chosen.choice((1, 6, 60)),
                    setup=0 if free else chosen.choice((0, 0, 8 * 10**7)),
                    service_per_min=0 if free else chosen.choice((0, 0, 35 * 10**7)),
                    max_price=chosen.choice((None, None, 10**9)),
                    grace=chosen.choice((0, 0, 3)),
                    from_=from_,
                    to=to,
                )
            )
    return Tariff(level, tuple(rows))


def _record(number: int, chosen: random.Random) -> Record:
    at = NIGHT_MS + chosen.choice(
        (chosen.randint(0, 4 * 3_600_000), chosen.randint(-20 * 86_400_000, 12 * 86_400_000))
    )
    received = chosen.choice((None, None, None, max(at, CLOSED_MS) + 1))
    seconds = chosen.choice((0, 1, 59, 60, 61, chosen.randint(1, 5_000)))
    key = f"c{number:05}"
    return Record(
        key, f"{at}", chosen.choice(NUMBERS), at, seconds, str(chosen.randint(201, 205)), received_ms=received
    )
