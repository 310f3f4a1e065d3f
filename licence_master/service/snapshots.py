"""Snapshots of the state, at a start and at calm moments: the next start replays only what came after.

Without one at a start a master that never lives for a minute would start later and later.
"""

import asyncio
from typing import Final

from licence_master.service.writer import Writer
from licence_master.store import snapshot
from licence_master.store.snapshot import Snapshot, SnapshotError
from licensing.state import State
from runtime.logs import logger
from runtime.store import Database, GroupCommit, StoreFailedError

EVERY_S: Final = 60
TAIL: Final = 10_000  # events to replay at a start, at most: 0.2 s
TAIL_WHEN_BUSY: Final = 50_000  # where no moment is calm
TAIL_AT_STOP: Final = 1_000


class Snapshots:
    """When one installation's state is written beside its ledger."""

    def __init__(self, writer: Writer, commits: GroupCommit, position: int) -> None:
        """`position` is that of the snapshot this start began from, 0 without one."""
        self._writer = writer
        self._commits = commits
        self._position = position

    async def watch(self) -> None:
        """Look now and every `EVERY_S` seconds whether one is due, until cancelled."""
        while True:
            await self._keep(TAIL_WHEN_BUSY if self._commits.waiting else TAIL)
            await asyncio.sleep(EVERY_S)

    async def at_stop(self) -> None:
        """Nobody asks any more: a stop that was told leaves the next start little to do."""
        await self._keep(TAIL_AT_STOP)

    async def _keep(self, tail: int) -> None:
        """Write one when more than `tail` events came since the last."""
        now = self._writer.snapshot
        if now.state.position - self._position <= tail or self._writer.no_room:
            return
        statement = await asyncio.to_thread(snapshot.keep, now)
        try:
            await self._commits.submit([statement])
        except StoreFailedError:
            return  # whoever runs the commits says why; the ledger needs no snapshot
        self._position = now.state.position


async def starting_point(name: str, database: Database) -> Snapshot:
    """The stored snapshot where it can be believed, else the empty state before the first row."""
    nothing = Snapshot(State(), b"")
    try:
        return await snapshot.newest(database) or nothing
    except SnapshotError as error:
        hint = "the ledger is replayed from its first row; run licence-master audit verify"
        logger(installation=name).warning("snapshot.unusable", reason=str(error), hint=hint)
        return nothing
