"""Takes the batches of the agents: each once, in the order of their numbers, answered when it is durable."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator

import msgspec

from licence_master.store import call_index
from licence_master.store.call_index import Aside, Judged, Kept
from licensing.codes import Code, Refusal
from runtime.ballast import Ballast, Room
from runtime.clock import Clock
from runtime.logs import logger
from runtime.store import Database, GroupCommit
from telephony.cdr import wire
from telephony.cdr.record import Cdr
from telephony.cdr.verdict import Verdict, judge

MAX_SOURCE = 200


class Intake:
    """The agents' side of one installation's call records.

    Agents have sources of their own, so that what one of them sends decides nothing about another's records:
    each has one batch at a time under way, and the batches of all go into common commits.
    """

    def __init__(
        self, installation: str, database: Database, commits: GroupCommit, clock: Clock, ballast: Ballast
    ) -> None:
        self.arrived: Counter[Verdict] = Counter()
        self._installation = installation
        self._database = database
        self._commits = commits
        self._clock = clock
        self._ballast = ballast
        self._under_way: dict[str, asyncio.Task[wire.BatchAnswer]] = {}
        self._log = logger(installation=installation)

    async def take(self, batch: wire.Batch) -> wire.BatchAnswer | Refusal:
        """What is durable of this spool after the batch, whose signature is that of `batch.agent`.

        `forbidden`: a source of another PBX, then nothing of the batch is taken. `disk_full`, `rate_limited`:
        send it again later.
        """
        if refusal := self._unfit(batch):
            return refusal
        if self._ballast.look() is not Room.AMPLE:  # each time: batches are large, and fill a disk in no time
            return Refusal(Code.DISK_FULL)
        if self._commits.full or batch.agent in self._under_way:
            return Refusal(Code.RATE_LIMITED, "a batch of this agent is being stored")
        # A task of its own: whoever asked may be gone before it is durable; the next one shall not overtake.
        storing = asyncio.create_task(self._stored(batch))
        self._under_way[batch.agent] = storing
        storing.add_done_callback(lambda _: self._under_way.pop(batch.agent))
        return await asyncio.shield(storing)

    async def _stored(self, batch: wire.Batch) -> wire.BatchAnswer:
        kept = await call_index.kept_batch(self._database, batch.agent, batch.spool)
        if batch.number != kept + 1:
            return wire.BatchAnswer(batch.spool, kept)
        judged = await self._judged(batch)
        await self._commits.submit(call_index.take(judged))
        self._tell(judged)
        return wire.BatchAnswer(batch.spool, batch.number)

    def _unfit(self, batch: wire.Batch) -> Refusal | None:
        if batch.v != wire.VERSION:
            return Refusal(Code.VERSION_UNSUPPORTED)
        if len(batch.records) + len(batch.unread) > wire.MAX_RECORDS:
            return Refusal(Code.TOO_LARGE, f"more than {wire.MAX_RECORDS} records")
        own = f"{self._installation}/{batch.agent}/"
        for source in _sources(batch):
            intake = source.removeprefix(own)
            if intake in ("", source) or "/" in intake or len(source) > MAX_SOURCE:
                return Refusal(Code.FORBIDDEN, f"{source[:MAX_SOURCE]} is no source of {own[:-1]}")
        for record in batch.records:
            if record.pbx != batch.agent:
                return Refusal(Code.FORBIDDEN, f"{record.pbx[:MAX_SOURCE]} is not {batch.agent}")
        return None

    async def _judged(self, batch: wire.Batch) -> Judged:
        now_ms = self._clock.wall_ms()
        cdrs = [Cdr(**msgspec.structs.asdict(record)) for record in batch.records]
        known = await call_index.hashes(self._database, [cdr.key for cdr in cdrs])
        kept: list[Kept] = []
        aside: list[Aside] = []
        counts: Counter[tuple[str, Verdict]] = Counter()
        for cdr in cdrs:
            hash_ = bytes.fromhex(cdr.content_hash)
            verdict = judge(hash_, cdr.end_ms, known.get(cdr.key), now_ms)
            counts[cdr.source, verdict] += 1
            if verdict is Verdict.KEPT:
                known[cdr.key] = hash_
                kept.append(Kept(cdr, hash_))
            elif verdict is not Verdict.DUPLICATE:
                digest = hashlib.sha256(verdict.encode() + hash_).digest()
                aside.append(Aside(cdr.source, verdict, digest, cdr.raw, cdr))
        for unread in batch.unread:
            counts[unread.source, Verdict.UNREADABLE] += 1
            aside.append(_unreadable(unread))
        counted = [(source, verdict, count) for (source, verdict), count in counts.items()]
        return Judged(batch.agent, batch.spool, batch.number, now_ms, kept, aside, counted, batch.sources)

    def _tell(self, judged: Judged) -> None:
        for _, verdict, count in judged.counts:
            self.arrived[verdict] += count
        if judged.aside:
            verdicts = Counter(str(each.verdict) for each in judged.aside)
            self._log.warning("calls.quarantined", pbx=judged.agent, **verdicts)


def _sources(batch: wire.Batch) -> Iterator[str]:
    yield from (record.source for record in batch.records)
    yield from (unread.source for unread in batch.unread)
    yield from (state.source for state in batch.sources)


def _unreadable(unread: wire.Unread) -> Aside:
    """The same bytes may come twice from a PBX: they are told apart by when they were taken."""
    facts = f"{unread.reason}/{unread.taken_ms}/{unread.call_ref}/".encode()
    digest = hashlib.sha256(facts + unread.raw).digest()
    return Aside(
        source=unread.source,
        verdict=Verdict.UNREADABLE,
        digest=digest,
        raw=unread.raw,
        reason=unread.reason,
        detail=unread.detail,
        call_ref=unread.call_ref,
    )
