"""Closing a period: invoices with numbers, their files and the chain, in one transaction or not at all.

Files are staged, the transaction commits, the files are published: a crash before the commit has issued
nothing and the next run makes all of it anew, one behind it leaves only the publishing to do (decision 0047).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from billing.core import period as periods
from billing.core.invoice import Invoice
from billing.core.invoicing import Invoices
from billing.core.period import Closed
from billing.core.refusal import Code, Refused
from billing.service import drafting
from billing.service.ledger import Ledger
from billing.service.month import Month
from billing.service.papers import Paper, Printer, Shelf
from billing.store import chain, ratings, records
from billing.store.chain import Issued, Link, PeriodClosed
from billing.store.ratings import Result, Waiting

SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Closing:
    """A closed period in the chain; `again`: it was closed before."""

    closed: PeriodClosed
    link: Link
    again: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What a close would issue for a customer, and what the month before was. Cents, net."""

    customer: str
    invoices: tuple[Invoice, ...]
    net_cents: int
    before_cents: int

    @property
    def difference_cents(self) -> int:
        """More than last month, or less."""
        return self.net_cents - self.before_cents


@dataclass(frozen=True, slots=True)
class Previews:
    """A close that does not happen; `refused` is why it could not."""

    customers: tuple[Preview, ...]
    waiting: tuple[Waiting, ...]
    refused: tuple[Refused, ...]


async def preview(ledger: Ledger, period: int, now_ms: int) -> Previews:
    """Rate an open month and see what closing it would issue."""
    months, results = await ledger.rate(period)
    made, refused = _drafted(months)
    early = await _early(ledger, period, now_ms)
    before: dict[str, int] = {}
    for issued in await chain.documents(ledger.database, period=periods.preceding(period)):
        if not issued.document.corrects:
            net = issued.document.invoice.net_cents
            before[issued.customer] = before.get(issued.customer, 0) + net
    customers = tuple(
        Preview(name, found.invoices, sum(i.net_cents for i in found.invoices), before.get(name, 0))
        for name, found in made.items()
    )
    return Previews(customers, _waiting(results), (*((early,) if early else ()), *refused))


async def close(
    ledger: Ledger, period: int, now_ms: int, printer: Printer, shelf: Shelf, *, allow_suspense: bool = False
) -> Closing | Sequence[Refused]:
    """Close a period; what is closed already answers as it did, and has its files brought to their place."""
    done = next((link for link in ledger.links if _closes(link, period)), None)
    if done is not None and isinstance(done.entry, PeriodClosed):
        shelf.publish(periods.named(period), done.entry.artefacts)
        return Closing(done.entry, done, again=True)
    if early := await _early(ledger, period, now_ms):
        return (early,)
    months, results = await ledger.rate(period)
    waiting = _waiting(results)
    if waiting and not allow_suspense:
        return (_suspended(waiting),)
    made, refused = _drafted(months)
    if refused:
        return refused
    papers = drafting.papers(ledger.house, period, now_ms, months, made)
    artefacts = _staged(period, papers, printer, shelf)
    if not isinstance(artefacts, Mapping):
        return artefacts
    return await _commit(ledger, period, now_ms, results, made, papers, artefacts, shelf)


async def _commit(
    ledger: Ledger,
    period: int,
    now_ms: int,
    results: Sequence[Result],
    made: Mapping[str, Invoices],
    papers: Sequence[tuple[Month, list[Paper]]],
    artefacts: Mapping[str, str],
    shelf: Shelf,
) -> Closing:
    at_ms = ledger.next_stamp(now_ms)
    waiting = _waiting(results)
    issued = [Issued(month.contract.name, paper.document) for month, own in papers for paper in own]
    files = {path: chain.digest(content) for path, content in ledger.house.files.items()}
    entry = PeriodClosed(
        period=period,
        at_ms=at_ms,
        waiting=len(waiting),
        files=files,
        ratings={result.customer: result.digest for result in results},
        documents={each.document.number: chain.document_digest(each.document) for each in issued},
        artefacts=dict(artefacts),
        without={
            name: list(found.without) for name, found in made.items() if found.without or not found.invoices
        },
    )
    link = chain.linked(ledger.links[-1] if ledger.links else None, entry)
    carried = await ledger.carried(period, {each.key for each in waiting}, at_ms)
    content = {files[path]: text for path, text in ledger.house.files.items()}
    await ledger.database.write(
        [
            *ratings.replace(period, results),
            *chain.append(link, issued, content),
            *([records.place(carried)] if carried else []),
            records.stamped(at_ms),
        ]
    )
    ledger.add(link)
    shelf.publish(periods.named(period), entry.artefacts)
    return Closing(entry, link, again=False)


def _closes(link: Link, period: int) -> bool:
    return isinstance(link.entry, PeriodClosed) and link.entry.period == period


async def _early(ledger: Ledger, period: int, now_ms: int) -> Refused | None:
    closed = [Closed(each.period, each.at_ms) for each in ledger.closed]
    today = ledger.house.today(now_ms)
    return periods.refusal(period, today, ledger.house.grace_days, closed, await ledger.oldest())


def _waiting(results: Sequence[Result]) -> tuple[Waiting, ...]:
    return tuple(each for result in results for each in result.waiting)


def _suspended(waiting: Sequence[Waiting]) -> Refused:
    shown = [f"{each.customer or '?'}: {each.key}: {each.reason}: {each.detail}" for each in waiting[:SHOWN]]
    rest = [f"and {len(waiting) - SHOWN} more"] if len(waiting) > SHOWN else []
    why = f"{len(waiting)} calls have no price; mend it, or close with --allow-suspense"
    return Refused(Code.SUSPENSE, "\n  ".join([why, *shown, *rest]))


def _drafted(months: Sequence[Month]) -> tuple[dict[str, Invoices], tuple[Refused, ...]]:
    """The invoices of each customer, and all that refuses one."""
    made: dict[str, Invoices] = {}
    refused: list[Refused] = []
    for each in months:
        found = each.invoices()
        if isinstance(found, Invoices):
            made[each.contract.name] = found
        else:
            refused += [Refused(no.code, f"{each.contract.name}: {no.why}") for no in found]
    return made, tuple(refused)


def _staged(
    period: int, papers: Sequence[tuple[Month, list[Paper]]], printer: Printer, shelf: Shelf
) -> Mapping[str, str] | Sequence[Refused]:
    """All files beside their place; or what the validators find, and nothing is issued."""
    name = periods.named(period)
    shelf.clear(name)
    found: dict[str, str] = {}
    refused: list[Refused] = []
    for each, own in papers:
        customer = each.contract.name
        for level, files in printer.statements(each.contract, period, each.details).items():
            found |= shelf.stage(name, f"{customer}.{level}", files)
        if not own:
            continue
        made = printer.print(each.contract, period, own)
        if isinstance(made, Mapping):
            found |= shelf.stage(name, customer, made)
        else:
            refused += [Refused(Code.INVALID_INVOICE, f"{customer}: {no.number}: {no.text}") for no in made]
    return refused or found
