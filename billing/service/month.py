"""One customer's month out of stored records: its own calls, and late ones at the terms of their own months.

A late call is priced as its month was closed: configuration and tariffs stand in the store since then, and
its baskets have what the calls that were in time left (B.r32). A call that had no price then gets today's.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from billing.core import atom
from billing.core.customer import line_refusals
from billing.core.detail import Detail
from billing.core.intake import Intake, Record
from billing.core.invoicing import Invoices
from billing.core.rated import Rated, SetAside, Verdict
from billing.core.refusal import Refused
from billing.core.tariff import CUSTOMER
from billing.service import bill
from billing.service.bill import Case, Rating, Terms
from billing.service.details import details
from billing.service.engine import Runner
from billing.service.house import Contract
from billing.store.ratings import Result, Row, Waiting
from billing.store.records import Stored
from telephony.cdr.payer import Free, dues
from telephony.cdr.record import Key

Then = Callable[[int], Contract | None]
"""The contract as it stood when a month was closed; None: it was not, or had no such customer."""


@dataclass(frozen=True, slots=True)
class Part:
    """The calls of one month at its terms."""

    case: Case
    rating: Rating

    @property
    def charges(self) -> Iterable[atom.Charge]:
        """What the customer pays for them."""
        return bill.charges(self.case, self.rating)

    def row(self, rated: Rated) -> Row:
        """A rated call as it is stored."""
        digest = place = ""
        if rated.row >= 0:
            digest = next(t.digest for t in self.case.prices.tariffs if t.level == rated.level)
            place = self.case.prices.rows[rated.row].place
        return Row(
            rated.key, rated.level, rated.class_, digest, place, rated.billed_s, rated.in_basket_s,
            rated.price_micro,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Month:
    """What goes on the invoices of one customer and month."""

    contract: Contract
    landing: int
    parts: tuple[Part, ...]
    suspense: tuple[SetAside, ...]

    @property
    def details(self) -> tuple[Detail, ...]:
        """Every rated call at every level, in order of answer and key."""
        found = [
            each
            for part in self.parts
            for tariff in part.case.prices.tariffs
            for each in details(part.case, part.rating, tariff.level)
        ]
        return tuple(sorted(found, key=lambda each: (each.start_ms, each.key, each.level)))

    def invoices(self) -> Invoices | Sequence[Refused]:
        """Its invoices, or why there are none."""
        customer = self.contract.terms.customer
        if refused := line_refusals(customer):
            return refused
        charges = [charge for part in self.parts for charge in part.charges]
        found = bill.invoiced(customer, self.landing, charges)
        return (found,) if isinstance(found, Refused) else found

    def result(self) -> Result:
        """As it is stored: the same rows and digest whatever the order in which records came."""
        rows = sorted(
            (part.row(rated) for part in self.parts for rated in part.rating.rated),
            key=lambda row: (row.key, row.level),
        )
        name = self.contract.name
        waiting = sorted(
            (Waiting(name, each.key, each.reason, each.detail) for each in self.suspense),
            key=lambda each: each.key,
        )
        levels: dict[str, int] = {}
        for row in rows:
            levels[row.level] = levels.get(row.level, 0) + row.price_micro
        return Result(name, _digest(rows, waiting), self.counts(), levels, rows, waiting)

    def counts(self) -> dict[str, int]:
        """How many of its records are rated, cost nothing, or wait."""
        counts = [part.rating.counts for part in self.parts]
        return {
            Verdict.RATED.value: sum(each[Verdict.RATED] for each in counts),
            Verdict.NOT_BILLABLE.value: sum(each[Verdict.NOT_BILLABLE] for each in counts),
            Verdict.SUSPENSE.value: len(self.suspense),
        }

    def verdicts(self) -> dict[str, Verdict]:
        """What became of each record, by key."""
        found = {each.key: Verdict.SUSPENSE for each in self.suspense}
        for part in self.parts:
            for row in part.rating.of(CUSTOMER):
                is_rated = bill.is_rated(row, part.rating.calls)
                found[row.key] = Verdict.RATED if is_rated else Verdict.NOT_BILLABLE
        return found


def rate_month(
    contract: Contract,
    landing: int,
    stored: Sequence[Stored],
    closings: Mapping[int, int],
    then: Then,
    runner: Runner,
) -> Month:
    """Rate what goes on the invoice of `landing`; `stored` has all records of each month concerned."""
    by_origin: dict[int, list[Stored]] = {landing: []}
    for each in stored:
        if each.landing <= landing:
            by_origin.setdefault(each.period, []).append(each)
    parts: list[Part] = []
    for origin, own in sorted(by_origin.items()):
        former = then(origin) if origin != landing else None
        first = _part((former or contract).terms, landing, own, closings, runner)
        waiting = {each.key for each in first.rating.suspense}
        if former is not None and waiting:
            parts.append(_only(first, waiting, inside=False))
            first = _only(_part(contract.terms, landing, own, closings, runner), waiting, inside=True)
        parts.append(first)
    suspense = tuple(each for part in parts for each in part.rating.suspense)
    return Month(contract, landing, tuple(parts), suspense)


def _part(
    terms: Terms, landing: int, stored: Sequence[Stored], closings: Mapping[int, int], runner: Runner
) -> Part:
    """Local days are those that were found when the records came: no instant is asked for its month again."""
    days = {each.instant_ms: each.day for each in stored}
    intake = Intake(terms.customer, terms.plan, days.__getitem__, closings)
    case = Case(landing, intake, terms.prices, tuple(_records(stored)))
    return Part(case, bill.rated(case, runner))


def _only(part: Part, keys: set[str], *, inside: bool) -> Part:
    """The part with these calls alone, or without them."""
    rating = part.rating
    calls = {key: call for key, call in rating.calls.items() if (key in keys) is inside}
    rows = tuple(row for row in rating.rated if (row.key in keys) is inside)
    suspense = tuple(each for each in rating.suspense if (each.key in keys) is inside)
    rated = {row.key for row in rows if bill.is_rated(row, calls)}
    counts = {
        **rating.counts,
        Verdict.RATED: len(rated),
        Verdict.NOT_BILLABLE: len({row.key for row in rows} - rated),
        Verdict.SUSPENSE: len(suspense),
    }
    return Part(part.case, replace(rating, calls=calls, rated=rows, suspense=suspense, counts=counts))


def key_text(key: Key) -> str:
    """A key as one text that no other key has: a blank between its parts, and none inside."""
    return " ".join(part.replace("%", "%25").replace(" ", "%20") for part in key)


def key_of(text: str) -> Key | None:
    """The key that is written so; None: no key is."""
    parts = [part.replace("%20", " ").replace("%25", "%") for part in text.split(" ")]
    return Key(*parts) if len(parts) == len(Key._fields) else None


def _records(stored: Sequence[Stored]) -> list[Record]:
    """Who pays and for how many seconds is the same for every PBX; late records pay what is left (B.r32)."""
    found = []
    for landing in sorted({each.landing for each in stored}):
        so_far = {each.cdr.key: each for each in stored if each.landing <= landing}
        for due in dues(each.cdr for each in so_far.values()):
            each = so_far[due.record.key]
            if each.landing != landing:
                continue
            cdr = due.record
            found.append(
                Record(
                    key=key_text(cdr.key),
                    content=each.hash.hex(),
                    dialled=cdr.called or cdr.dialled,
                    instant_ms=each.instant_ms,
                    seconds=due.seconds,
                    account=cdr.account,
                    caller=cdr.caller,
                    kind=cdr.kind,
                    incoming=due.free in (Free.RECEIVED, Free.RELATED),
                    received_ms=each.received_ms,
                )
            )
    return found


def _digest(rows: Sequence[Row], waiting: Sequence[Waiting]) -> str:
    found = hashlib.sha256()
    for row in rows:
        cells = (row.key, row.level, row.class_, row.tariff, row.billed_s, row.inside_s, row.price_micro)
        found.update(json.dumps(cells).encode())
    for each in waiting:
        found.update(json.dumps((each.key, each.reason, each.detail)).encode())
    return found.hexdigest()
