"""What is done with call records at calm moments: the archive follows the index, old ones are deleted."""

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import Final

from licence_master.config import CallsConfig
from licence_master.store import call_index, parquet
from licence_master.store.call_archive import PART_ROWS, CallArchive, month_of
from licence_master.store.call_reader import CallReader
from licence_master.store.parquet import UnwritableError
from runtime.ballast import Ballast
from runtime.clock import Clock
from runtime.logs import logger
from runtime.store import GroupCommit, StoreFailedError
from telephony.cdr.record import Key
from telephony.cdr.verdict import TOO_OLD_DAYS

EVERY_S: Final = 60
PAUSE_S: Final = 0.05  # between two steps of a deletion
DAY_MS: Final = 24 * 3_600_000
KEYS_DAYS: Final = TOO_OLD_DAYS + 1
"""A key is needed until its record would be too old to be taken again."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What a visit to the archive did: records it has now, how many are new; no more than `left` wait."""

    rows: int
    added: int
    parts: int
    left: int


class CallUpkeep:
    """Keeps one installation's call records in shape while it serves."""

    def __init__(
        self,
        name: str,
        commits: GroupCommit,
        reader: CallReader,
        archive: CallArchive,
        clock: Clock,
        ballast: Ballast,
    ) -> None:
        self.config = CallsConfig()
        self._commits = commits
        self._reader = reader
        self._archive = archive
        self._clock = clock
        self._ballast = ballast
        self._busy = asyncio.Lock()
        self._archived_ms = self._pruned_ms = 0
        self._log = logger(installation=name)

    async def watch(self) -> None:
        """Look every minute, until cancelled; what cannot be done now is done later."""
        while True:
            await asyncio.sleep(EVERY_S)
            if self._commits.waiting or self._ballast.short(self._clock.monotonic_ms()):
                continue
            try:
                await self.prune()
                await self._follow()
            except StoreFailedError:
                return  # whoever runs the commits says why
            except (OSError, sqlite3.Error, UnwritableError) as error:
                self._log.error("calls.not_archived", error=str(error), hint="tried again in a minute")

    async def archive(self, *, rebuild: bool = False, most: int | None = None) -> Archived:
        """Bring the archive up to date now, or make it anew, by at most so many records; None: by all.

        OSError, sqlite3.Error, UnwritableError.
        """
        async with self._busy:
            if rebuild:
                await asyncio.to_thread(self._archive.clear)
            added = 0
            while rows := await asyncio.to_thread(self._archive.extend, _step(most, added)):
                added += rows
            self._archived_ms = self._clock.wall_ms()
            parts = [each for month in self._archive.manifest().months.values() for each in month]
            left = await asyncio.to_thread(self._waiting)
        if added:
            self._log.info("calls.archived", rows=added)
        return Archived(sum(part.rows for part in parts), added, len(parts), left)

    async def prune(self) -> int:
        """Once a day: delete whole UTC months that are older than is kept, in small steps; how many records.

        Keys stay until their records would be `too_old`.
        """
        now_ms = self._clock.wall_ms()
        if now_ms - self._pruned_ms < DAY_MS:
            return 0
        self._pruned_ms = now_ms
        month = month_of(now_ms - self.config.keep_days * DAY_MS)
        async with self._busy:
            await asyncio.to_thread(self._archive.drop_before, month)
        limit_ms, deleted = call_index.begin_of(month), 0
        while ids := await asyncio.to_thread(self._reader.older, limit_ms):
            await self._commits.submit([call_index.forget(ids)])
            deleted += len(ids)
            await asyncio.sleep(PAUSE_S)
        await self._prune_keys(now_ms - KEYS_DAYS * DAY_MS, limit_ms)
        if deleted:
            self._log.info("calls.pruned", rows=deleted, before=month)
        return deleted

    async def _prune_keys(self, too_old_ms: int, limit_ms: int) -> None:
        """Those of records that are gone and would not be taken again; and what was put aside as long ago."""
        await self._commits.submit([call_index.forget_aside(limit_ms)])
        after = Key("", "", "")
        while step := await asyncio.to_thread(self._reader.keys, after, min(too_old_ms, limit_ms)):
            after = step.last
            if step.old:
                await self._commits.submit([call_index.forget_keys(step.old)])
            await asyncio.sleep(PAUSE_S)

    async def _follow(self) -> None:
        if not (self.config.archive and parquet.available()):
            return
        waiting = await asyncio.to_thread(self._waiting)
        daily = self._clock.wall_ms() - self._archived_ms >= DAY_MS
        if waiting >= PART_ROWS or (waiting and daily):
            await self.archive()

    def _waiting(self) -> int:
        """No more records than this came since the archive was written last."""
        return self._reader.last() - self._archive.manifest().upto


def _step(most: int | None, added: int) -> int:
    """Records of the next part, when so many of at most so many are written."""
    return PART_ROWS if most is None else min(PART_ROWS, most - added)
