"""The ledger in use: its store, the house as it is today and as it was at each close, and its own clock.

Stamps never go back, whatever the machine's clock does: each is behind the last one, so that what came before
a close and what came after it are told apart for good.
"""

import datetime
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain as chained
from typing import Final

from billing.core import calendar
from billing.core import period as periods
from billing.core.period import Closed
from billing.core.rated import Reason, Verdict
from billing.service.bill import Case
from billing.service.engine import Runner
from billing.service.house import Contract, House
from billing.service.month import Month, key_of, key_text, rate_month
from billing.store import chain, ratings, records
from billing.store.chain import Link, PeriodClosed
from billing.store.ratings import Result, Waiting
from billing.store.records import Stored
from runtime.store import Database
from telephony.cdr.record import Cdr

NOBODY: Final = ""
COUNTED: Final = (Verdict.RATED.value, Verdict.NOT_BILLABLE.value, Verdict.SUSPENSE.value)
"""What can become of a record that is kept."""

Reader = Callable[[Mapping[str, bytes]], House]
"""The house that these files describe."""


@dataclass(slots=True)
class Ledger:
    """billing.db, opened; `links` is its chain, checked."""

    database: Database
    house: House
    read_house: Reader
    runner: Runner
    links: list[Link]
    stamp: int
    closings: Mapping[int, int] = field(default_factory=dict)
    """When each period was closed."""
    _then: dict[int, House] = field(default_factory=dict)

    @staticmethod
    async def opened(database: Database, house: House, read_house: Reader, runner: Runner) -> "Ledger":
        """With its chain; chain.ChainBrokenError."""
        ledger = Ledger(database, house, read_house, runner, [], await records.last_stamp(database))
        for link in await chain.links(database):
            ledger.add(link)
        return ledger

    def add(self, link: Link) -> None:
        """An entry that is durable."""
        self.links.append(link)
        self.closings = periods.closings(Closed(each.period, each.at_ms) for each in self.closed)

    @property
    def closed(self) -> list[PeriodClosed]:
        """Closed periods in order."""
        return [link.entry for link in self.links if isinstance(link.entry, PeriodClosed)]

    def closed_period(self, period: int) -> PeriodClosed | None:
        """What was closed; None while it is open."""
        return next((each for each in self.closed if each.period == period), None)

    def next_stamp(self, now_ms: int) -> int:
        """Now, and behind every stamp before."""
        self.stamp = max(now_ms, self.stamp + 1)
        return self.stamp

    def placed(self, cdr: Cdr, hash_: bytes, received_ms: int) -> Stored:
        """A record with its customer, day, month, and the first open month from there on (B.r32)."""
        customer = self.house.owner(cdr)
        found = Stored(cdr, hash_, customer, datetime.date.min, 0, 0, received_ms)
        day = self.house.local_day_of(customer, found.instant_ms)
        period = landing = calendar.period_of(day)
        while landing in self.closings and received_ms >= self.closings[landing]:
            landing = periods.following(landing)
        return replace(found, day=day, period=period, landing=landing)

    async def settle(self, stored: Iterable[Stored]) -> set[str]:
        """Give records of open months to those whose they are by billing.yaml of today; which ones.

        What is rated of these months counts no more.
        """
        moved: list[Stored] = []
        stale: dict[int, set[str]] = {}
        for before in stored:
            after = self.placed(before.cdr, before.hash, before.received_ms)
            if after.customer not in (NOBODY, before.customer):
                moved.append(after)
                stale.setdefault(before.landing, set()).add(before.customer)
                stale.setdefault(after.landing, set()).add(after.customer)
        if moved:
            cleared = (ratings.replace(landing, [], names) for landing, names in stale.items())
            await self.database.write([records.place(moved), *chained.from_iterable(cleared)])
        return {each.customer for each in moved}

    async def months(self, landing: int, only: Collection[str] | None) -> list[Month]:
        """The month of these customers, rated, in the order of billing.yaml; None: of all."""
        await self._remember_then()
        found = []
        for name, contract in self.house.contracts.items():
            if only is not None and name not in only:
                continue
            stored = await records.of_month(self.database, name, landing)
            then = self.contracts_then(name)
            found.append(rate_month(contract, landing, stored, self.closings, then, self.runner))
        return found

    async def cases(self, period: int) -> dict[str, Case]:
        """The calls of a month, open or closed, by customer, at the terms of today; nothing is written."""
        found = {}
        for name, contract in self.house.contracts.items():
            stored = [
                each
                for each in await records.of_month(self.database, name, period)
                if each.period == each.landing == period
            ]
            if stored:
                found[name] = (
                    rate_month(contract, period, stored, {}, lambda _: None, self.runner).parts[-1].case
                )
        return found

    async def nobodys(self, landing: int) -> Result | None:
        """The records of a month that no customer has: they wait."""
        stored = [each for each in await records.of_nobody(self.database) if each.landing == landing]
        strangers = [
            each
            for name in await records.customers(self.database, landing)
            if name not in (NOBODY, *self.house.contracts)
            for each in await records.of_month(self.database, name, landing)
            if each.landing == landing
        ]
        together = sorted((*stored, *strangers), key=lambda each: each.cdr.key)
        waiting = [_unowned(each, self.house.claiming(each.cdr)) for each in together]
        counts = {**dict.fromkeys(COUNTED, 0), Verdict.SUSPENSE.value: len(waiting)}
        return Result(NOBODY, "", counts, {}, (), waiting) if waiting else None

    async def oldest(self) -> int | None:
        """The first month on whose invoices records go that is not closed; None: no record waits."""
        found = [each for each in await records.landings(self.database) if each not in self.closings]
        return min(found, default=None)

    async def unrated(self) -> dict[int, set[str]]:
        """Customers of today, and nobody, with records of open months that were not rated since they came."""
        found: dict[int, set[str]] = {}
        for landing, customer in await ratings.missing(self.database, max(self.closings, default=0)):
            if customer == NOBODY or customer in self.house.contracts:
                found.setdefault(landing, set()).add(customer)
        return found

    async def carried(self, landing: int, keys: Collection[str], at_ms: int) -> list[Stored]:
        """Records that wait when their month is closed, as if they came behind it."""
        following = periods.following(landing)
        return [
            replace(each, landing=following, received_ms=at_ms) for each in await self._of_keys(landing, keys)
        ]

    async def rate(
        self, landing: int, only: Collection[str] | None = None
    ) -> tuple[list[Month], list[Result]]:
        """Rate an open month anew from its records and write it in place of what was there.

        `only`: of these customers, and of nobody; None: of all.
        """
        assert self.closed_period(landing) is None
        settled = await self.settle(await records.of_nobody(self.database))
        asked = None if only is None else {*only, *settled, NOBODY}
        months, results = await self._rated(landing, asked)
        if settled := await self.settle(await self._lost(landing, results)):
            asked = None if asked is None else asked | settled
            months, results = await self._rated(landing, asked)
        await self.database.write(ratings.replace(landing, results, asked))
        return months, results

    async def _rated(self, landing: int, asked: Collection[str] | None) -> tuple[list[Month], list[Result]]:
        months = await self.months(landing, asked)
        nobody = await self.nobodys(landing)
        return months, [month.result() for month in months] + ([nobody] if nobody else [])

    async def _lost(self, landing: int, results: Iterable[Result]) -> list[Stored]:
        """Records of this month whose customer has no such account, or is gone: another may have it now."""
        keys = {each.key for result in results for each in result.waiting if each.reason == Reason.ACCOUNT}
        return await self._of_keys(landing, keys)

    async def _of_keys(self, landing: int, keys: Collection[str]) -> list[Stored]:
        found = await records.these(self.database, [key for text in keys if (key := key_of(text))])
        return [each for each in found if each.landing == landing]

    def contracts_then(self, customer: str) -> Callable[[int], Contract | None]:
        """The customer's contract at each close."""

        def then(period: int) -> Contract | None:
            house = self._then.get(period)
            return house.contracts.get(customer) if house else None

        return then

    async def contract_then(self, customer: str, period: int) -> Contract:
        """The contract that a closed period was billed by."""
        await self._remember_then()
        return self._then[period].contracts[customer]

    async def _remember_then(self) -> None:
        """The house at each close; months before the first one are priced as that was."""
        for closed in self.closed:
            if closed.period not in self._then:
                files = await chain.source_files(self.database, closed)
                self._then[closed.period] = self.read_house(files)
        if self.closed:
            first = self._then[self.closed[0].period]
            for period in self.closings:
                self._then.setdefault(period, first)


def _unowned(each: Stored, claiming: Sequence[str]) -> Waiting:
    source = each.cdr.source
    detail = f'no customer has the source "{source}"; add it to `sources` of one'
    if claiming:
        who = each.cdr.account or each.cdr.caller
        detail = f'"{who}" is an account of {" and of ".join(claiming)} on that day; leave it to one'
    elif each.customer != NOBODY:
        detail = f'the customer "{each.customer}" is not in billing.yaml any more'
    return Waiting(NOBODY, key_text(each.cdr.key), Reason.ACCOUNT, detail)
