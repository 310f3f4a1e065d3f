"""Call records into the ledger: each once, in batches of one transaction, then its open months are rated.

received = rated + not billable + duplicate + suspense + quarantine (design billing.md 8). A batch that was
half sent and is sent again brings what is missing: the keys are known.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from billing.core.intake import Record, judge
from billing.core.rated import Reason, Verdict
from billing.service.ledger import Ledger
from billing.service.month import key_text
from billing.store import ratings, records
from billing.store.records import Arrival, Aside, Stored
from runtime.store import Statement
from telephony.cdr.record import Cdr

BATCH: Final = 1_000

Tell = Callable[[int], None]
"""Called with how many records are done."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row of an export that is no record: why, and what stood there."""

    place: str
    why: str
    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of everything that was received, and what was set aside."""

    new: int
    counts: dict[Verdict, int]
    asides: tuple[Aside, ...]

    @property
    def received(self) -> int:
        """How many records came."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class _Batch:
    kept: list[Stored]
    asides: list[Aside]
    duplicates: int


async def take(
    ledger: Ledger, file: str, rows: Iterable[Cdr | Unreadable], now_ms: int, tell: Tell = lambda _: None
) -> Taken:
    """Take the rows of a file; a crash loses no batch that was taken, and none counts twice.

    A batch takes the ratings of its months away, so the next import knows what one that died did not rate.
    """
    kept: set[str] = set()
    asides: list[Aside] = []
    found: Counter[str] = Counter()
    waiting = iter(rows)
    while chunk := list(islice(waiting, BATCH)):
        at_ms = ledger.next_stamp(now_ms)
        batch = await _judged(ledger, chunk, at_ms, now_ms)
        await ledger.database.write(_statements(batch, at_ms))
        kept |= {key_text(each.cdr.key) for each in batch.kept}
        asides += batch.asides
        found.update(received=len(chunk), new=len(batch.kept), duplicate=batch.duplicates)
        tell(found["received"])
    verdicts = await _verdicts(ledger, kept)
    counts = {
        **{verdict: verdicts.count(verdict) for verdict in Verdict},
        Verdict.DUPLICATE: found["duplicate"],
        Verdict.QUARANTINE: len(asides),
    }
    assert sum(counts.values()) == found["received"], "a record is lost"
    arrival = Arrival(now_ms, file, found["received"], found["new"], found["duplicate"], len(asides))
    await ledger.database.write([records.arrived(arrival)])
    return Taken(found["new"], counts, tuple(asides))


async def _judged(ledger: Ledger, chunk: list[Cdr | Unreadable], at_ms: int, now_ms: int) -> _Batch:
    cdrs = [each for each in chunk if isinstance(each, Cdr)]
    known = await records.hashes(ledger.database, [cdr.key for cdr in cdrs])
    batch = _Batch([], [_unreadable(each) for each in chunk if isinstance(each, Unreadable)], 0)
    duplicates = 0
    for cdr in cdrs:
        hash_ = bytes.fromhex(cdr.content_hash)
        if known.get(cdr.key) == hash_:
            duplicates += 1
        elif refused := _refused(cdr, hash_, known.get(cdr.key), now_ms):
            batch.asides.append(_aside(cdr, *refused))
        else:
            known[cdr.key] = hash_
            batch.kept.append(ledger.placed(cdr, hash_, at_ms))
    return _Batch(batch.kept, batch.asides, duplicates)


def _refused(cdr: Cdr, hash_: bytes, there: bytes | None, now_ms: int) -> tuple[Reason, str] | None:
    instant = cdr.setup_ms if cdr.answer_ms is None else cdr.answer_ms
    record = Record(key_text(cdr.key), hash_.hex(), cdr.called, instant, cdr.talk_s)
    return judge(record, None if there is None else there.hex(), now_ms)


def _statements(batch: _Batch, at_ms: int) -> list[Statement]:
    kept, asides = records.keep(batch.kept), records.put_aside(batch.asides, at_ms)
    touched: dict[int, set[str]] = {}
    for each in batch.kept:
        touched.setdefault(each.landing, set()).add(each.customer)
    stale = [one for landing, names in touched.items() for one in ratings.replace(landing, [], names)]
    return [*kept, *asides, *stale, records.stamped(at_ms)]


def _aside(cdr: Cdr, reason: Reason, detail: str) -> Aside:
    digest = hashlib.sha256(f"{reason} {cdr.content_hash}".encode()).digest()
    return Aside(digest, reason, detail, key_text(cdr.key))


def _unreadable(row: Unreadable) -> Aside:
    digest = hashlib.sha256(f"{Reason.UNREADABLE} {row.text}".encode()).digest()
    return Aside(digest, Reason.UNREADABLE, f"{row.place}: {row.why}", row.text)


async def _verdicts(ledger: Ledger, kept: set[str]) -> list[Verdict]:
    """Of the new records, after the months of their customers were rated with them."""
    found: list[Verdict] = []
    for landing, customers in (await ledger.unrated()).items():
        months, results = await ledger.rate(landing, customers)
        for month in months:
            found += [verdict for key, verdict in month.verdicts().items() if key in kept]
        found += [
            Verdict.SUSPENSE
            for each in results
            if not each.customer
            for row in each.waiting
            if row.key in kept
        ]
    return found
