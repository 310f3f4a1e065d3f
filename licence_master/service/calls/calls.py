"""The call records of one installation at work: index, intake, archive, and what is asked of them."""

from dataclasses import dataclass
from pathlib import Path

from licence_master.service.calls.intake import Intake
from licence_master.service.calls.post import IndexOutbox, push
from licence_master.service.calls.upkeep import CallUpkeep
from licence_master.store import call_index
from licence_master.store.call_archive import CallArchive
from licence_master.store.call_reader import CallReader
from runtime.ballast import Ballast
from runtime.clock import Clock
from runtime.store import Database, GroupCommit, open_database

QUEUE: int = 64
"""Batches that wait for their commit; each may have 256 KiB."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The services over an open calls.db."""

    intake: Intake
    reader: CallReader
    upkeep: CallUpkeep
    _name: str
    _clock: Clock
    _database: Database
    _commits: GroupCommit

    async def run(self) -> None:
        """Commit until `stop`; raises when the store fails, and then the process must end."""
        await self._commits.run()

    async def push(self) -> None:
        """Push what arrives where the configuration says, until cancelled; it may say nothing."""
        settings = self.upkeep.config.push
        if settings is not None:
            outbox = IndexOutbox(self._name, self._database, self._commits, self.reader, settings.format)
            await push(outbox, settings, self._clock, self._name)

    def stop(self) -> None:
        """Accept nothing more; `run` returns when all is durable."""
        self._commits.close()

    async def close(self) -> None:
        """Close the store; call after `run` has ended."""
        await self._database.close()


async def open_calls(name: str, index: Path, archive: Path, clock: Clock, ballast: Ballast) -> Calls:
    """Open or make calls.db; errors as `open_database`."""
    database = await open_database(index, call_index.MIGRATIONS)
    try:
        await call_index.generation(database)
    except BaseException:
        await database.close()
        raise
    return calls_over(database, name, index, archive, clock, ballast)


def calls_over(
    database: Database, name: str, index: Path, archive: Path, clock: Clock, ballast: Ballast
) -> Calls:
    """The services over an open store, whose file is `index`."""
    commits, reader = GroupCommit(database, limit=QUEUE), CallReader(index)
    upkeep = CallUpkeep(name, commits, reader, CallArchive(archive, reader), clock, ballast)
    intake = Intake(name, database, commits, clock, ballast)
    return Calls(intake, reader, upkeep, name, clock, database, commits)
