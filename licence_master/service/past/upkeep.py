"""What is done for one installation at calm moments: hourly peaks are stored, old activity is deleted."""

import asyncio
from typing import Final

from licence_master.service.past.peaks import LATE_DAYS, Peaks
from licence_master.service.writer import Writer
from licence_master.store import retention
from licence_master.store.retention import Oldest
from licensing.usage.peaks import HOUR_MS
from runtime.logs import logger
from runtime.store import GroupCommit, StoreFailedError

EVERY_S: Final = 60
PAUSE_S: Final = 0.05  # between two steps of a deletion
DAY_MS: Final = 24 * HOUR_MS


class Upkeep:
    """Keeps one installation's tables in shape while it serves."""

    def __init__(self, writer: Writer, commits: GroupCommit, peaks: Peaks, oldest: Oldest) -> None:
        self._keep_days = 0
        self._writer = writer
        self._commits = commits
        self._peaks = peaks
        self._oldest = oldest
        self._pruned_ms = 0

    def keep(self, days: int) -> None:
        """As configured; what is deleted is needed for no late news any more."""
        self._keep_days = days
        self._peaks.keep_days, self._peaks.late_days = days, min(LATE_DAYS, days - 2)

    async def watch(self) -> None:
        """Look every minute, until cancelled; what has to wait is not worth a request's time."""
        while True:
            await asyncio.sleep(EVERY_S)
            if self._commits.waiting or self._writer.no_room:
                continue
            try:
                await self._peaks.roll()
                await self.prune()
            except StoreFailedError:
                return  # whoever runs the commits says why

    async def prune(self) -> int:
        """Once a day: delete activity and denials that are older than is kept, in small steps; how many.

        Rows whose peaks are not stored yet stay, and those that a start needs to know who holds what.
        """
        now_ms = self._writer.clock.wall_ms()
        if not self._keep_days or now_ms - self._pruned_ms < DAY_MS:
            return 0
        self._pruned_ms, limit_ms, deleted = now_ms, now_ms - self._keep_days * DAY_MS, 0
        await self._commits.submit([retention.forget_denials(limit_ms)])
        last = await self._oldest.last()
        step = await self._oldest.step(0, limit_ms, last)
        if step.ids:
            # so that a start follows no event that is about to go (decision 0025)
            await self._commits.submit(self._peaks.holdings.written(self._writer.state.agents))
        while step.ids:
            await self._commits.submit([retention.forget(step)])
            deleted += len(step.ids)
            await asyncio.sleep(PAUSE_S)
            step = await self._oldest.step(step.after, limit_ms, last)
        if deleted:
            days = self._keep_days
            logger(installation=self._writer.name).info("activity.pruned", rows=deleted, older_than_days=days)
        return deleted
