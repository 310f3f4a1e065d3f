"""One call of the ledger: its month rated again, as it was when it was closed, or as it would be now."""

from collections.abc import Sequence

from billing.service.ledger import Ledger
from billing.service.month import Part, key_of, rate_month
from billing.store import ratings, records
from billing.store.ratings import Waiting
from billing.store.records import Aside, Stored


class NotAsIssuedError(RuntimeError):
    """Rated again, a call costs something else than what its month was closed with."""


async def found(ledger: Ledger, call: str) -> Part | Aside | Waiting | None:
    """The part of a month with the call of this key, or why it is set aside or nobody's; None: there is none.

    NotAsIssuedError: the files and records of the close do not give what was issued.
    """
    key = key_of(call)
    stored = await records.one(ledger.database, key) if key else None
    if stored is None:
        asides = await records.quarantined(ledger.database)
        return next((each for each in asides if each.record == call), None)
    if ledger.closed_period(stored.landing) is not None:
        return await _issued(ledger, stored, call)
    months, results = await ledger.rate(stored.landing, {stored.customer})
    part = _having([part for month in months for part in month.parts], call)
    waiting = (each for result in results for each in result.waiting if each.key == call)
    return part or next(waiting, None)


async def _issued(ledger: Ledger, stored: Stored, call: str) -> Part:
    """Of a closed month, out of the files and records of its close."""
    landing, customer = stored.landing, stored.customer
    month = rate_month(
        await ledger.contract_then(customer, landing),
        landing,
        await records.of_month(ledger.database, customer, landing),
        {period: at_ms for period, at_ms in ledger.closings.items() if period < landing},
        ledger.contracts_then(customer),
        ledger.runner,
    )
    part = _having(month.parts, call)
    again = [part.row(row) for part in month.parts for row in part.rating.rated if row.key == call]
    issued = await ratings.of_call(ledger.database, landing, call)
    if part is None or {(r.level, r.price_micro) for r in again} != {
        (r.level, r.price_micro) for r in issued
    }:
        raise NotAsIssuedError(f"{call}: rated again, it costs something else than what was issued")
    return part


def _having(parts: Sequence[Part], call: str) -> Part | None:
    for part in parts:
        waiting = (*part.rating.suspense, *part.rating.quarantine)
        if call in part.rating.calls or any(each.key == call for each in waiting):
            return part
    return None
