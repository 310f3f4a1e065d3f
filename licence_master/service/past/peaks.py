"""Keeps the hourly peaks: when an hour is over and its news have come, off the way of the agents' requests.

What is stored is what a fold over all activity in order of its time gives, also where a site was cut off and
tells late; only its own telling decides, so nothing is counted twice after a crash.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from licence_master.service.past.holdings import Holdings
from licence_master.service.writer import Writer
from licence_master.store import peaks as store
from licence_master.store.peaks import FUTURE_MS, Kept, PeakReader
from licensing.state import State
from licensing.usage.peaks import HOUR_MS, Fold, Peak, PoolsOf, Standing, Told, after, corrected
from runtime.store import GroupCommit

GRACE_MS: Final = 5 * 60_000  # what is told until so long after its hour makes nothing anew
LATE_DAYS: Final = 35  # so far back a late telling is counted in its own hour; else in the earliest it can
DAY: Final = 24  # hours closed in one transaction; WEEK where much is to be made up for
WEEK: Final = 7 * DAY
MUCH: Final = 2 * DAY  # hours that a question folds without storing them


@dataclass(frozen=True, slots=True)
class Due:
    """What is not stored: all from the standing `begin` on, which is right; of it rows up to id `last`.

    `earliest` is the hour of the first row that is news; with `first` nothing was ever stored.
    """

    begin: Kept
    last: int
    earliest: int
    first: bool

    @property
    def hour(self) -> int:
        """Stored hours before this one are right."""
        return self.begin.standing.hour

    def next_end(self, step: int) -> int:
        """How far to go in one step; nobody needs the empty hours before the first row."""
        end = (self.hour // step + 1) * step
        return max(end, self.earliest // DAY * DAY) if self.first else end


class Peaks:
    """The hourly peaks of one installation."""

    def __init__(self, writer: Writer, commits: GroupCommit, reader: PeakReader, holdings: Holdings) -> None:
        """`holdings` are who holds what now, lists of the agents included."""
        self._writer = writer
        self._commits = commits
        self._reader = reader
        self.holdings = holdings
        self.late_days, self.keep_days = LATE_DAYS, LATE_DAYS
        self._busy = asyncio.Lock()

    async def roll(self) -> None:
        """Store the peaks of the hours that are over; of those that late news belong to, anew."""
        async with self._busy:
            await self._roll()

    async def hours(self, first: int, site: str | None, pool: str | None) -> list[Peak]:
        """The peaks from this hour (since 1970) on, those of hours that are not over or not stored too."""
        async with self._busy:
            now_ms, due = self._writer.clock.wall_ms(), await self._due()
            if due is not None and now_ms // HOUR_MS - due.hour > MUCH:
                await self._roll()  # a store from before this, or one that was long off
                due = await self._due()
            if due is None:
                return []
            stored = [row for row in await self._reader.hours(first, site, pool) if row.hour < due.hour]
            found, _ = await self._fold(due.begin, None, now_ms + FUTURE_MS)
        wanted = (
            row
            for row in found
            if row.hour >= max(first, due.hour) and site in (None, row.site) and pool in (None, row.pool)
        )
        return stored + sorted(wanted)

    async def _roll(self) -> None:
        more = True
        while more:
            more = await self._step()

    async def _due(self) -> Due | None:
        """Where a fold over all that is not stored begins; None where nothing was ever told."""
        now_ms = self._writer.clock.wall_ms()
        mark = await self._reader.mark()
        from_ms, until_ms = now_ms - self.keep_days * DAY * HOUR_MS, now_ms + FUTURE_MS
        last, first_ms = await self._reader.news(mark.upto, from_ms, until_ms)
        if first_ms is None and not mark.hour:
            return None
        earliest = mark.hour if first_ms is None else first_ms // HOUR_MS
        kept = await self._reader.kept_before(min(mark.hour or earliest, earliest))
        if kept is None:
            early = now_ms // HOUR_MS - self.late_days * DAY  # late news of days before the first may come
            kept = Kept(Standing(min(earliest, early) // DAY * DAY), 0)
        return Due(kept, last, earliest, first=not mark.hour)

    async def _step(self) -> bool:
        """Close at most a day, or the week where much is due; whether more is left."""
        now_ms, seen = self._writer.clock.wall_ms(), self._writer.tally.activity
        target, due = (now_ms - GRACE_MS) // HOUR_MS, await self._due()
        if due is None:
            return False
        end = min(target, due.next_end(DAY if target - due.hour <= self.late_days * DAY else WEEK))
        if end <= due.hour:
            return False
        found, standing = await self._fold(due.begin, end, end * HOUR_MS)
        low = await self._reader.low(due.begin.low, end * HOUR_MS, now_ms + FUTURE_MS, due.last)
        if end == target:
            standing = await self._repaired(standing, low, now_ms, seen)
        oldest = end - self.late_days * DAY
        await self._commits.submit(store.rolled(due.begin, Kept(standing, low), found, due.last, oldest))
        return end < target

    async def _fold(self, begin: Kept, end: int | None, until_ms: int) -> tuple[list[Peak], Standing]:
        """The peaks from a standing on; with `end` of whole hours, else of the open one too."""
        fold, found = Fold(begin.standing, pools_of(self._writer.state)), list[Peak]()
        begin_ms = begin.standing.hour * HOUR_MS
        async with self._reader.rows(begin.low, begin_ms, until_ms) as chunks:
            async for rows in chunks:
                found += fold.add(rows)
                await asyncio.sleep(0)
        found += fold.close_until(self._writer.clock.wall_ms() // HOUR_MS if end is None else end)
        if end is None:
            found += fold.open_hour()
        return found, fold.standing()

    async def _repaired(self, standing: Standing, low: int, now_ms: int, seen: int) -> Standing:
        """What agents' lists of holders have set right, so that one lost event is not wrong for ever."""
        told: list[Told] = []
        async with self._reader.rows(low, standing.hour * HOUR_MS, now_ms + FUTURE_MS) as chunks:
            async for rows in chunks:
                told += rows
        if self._commits.waiting or self._writer.tally.activity != seen:
            return standing  # something is on its way: the next hour will do
        counts = {key: len(names) for key, names in after(standing, told).held.items()}
        state = self._writer.state
        keys = counts.keys() | {(agent, class_) for agent in state.agents for class_ in state.classes}
        if all(self.holdings.count(*key) == counts.get(key, 0) for key in keys):
            return standing
        return corrected(standing, told, self.holdings.held())


def pools_of(state: State) -> PoolsOf:
    """The pools in which a class counts: in each slot the first of which something is installed."""

    def found(agent: str, class_: str) -> tuple[str, ...]:
        slots = state.bundle(agent, class_) or ()
        firsts = (next((key for key in slot if state.pool(key).installed), slot[0]) for slot in slots if slot)
        return tuple(str(key) for key in firsts)

    return found
