"""Call records on their way to somebody else as they arrive: small files, each record at least once."""

import asyncio
import sqlite3
from typing import Final

from licence_master.store import call_index
from licence_master.store.call_reader import ROWS, CallReader
from runtime.clock import Clock
from runtime.logs import logger
from runtime.poster import Poster
from runtime.push import Parcel, Push
from runtime.store import Database, GroupCommit, StoreBusyError, StoreFailedError
from telephony.cdr.columns import Form, file_text

MARK: Final = "pushed"
AGAIN_S: Final = 60


class IndexOutbox:
    """The records of one installation in the order of arrival, whole; what was put aside stays out."""

    def __init__(
        self, name: str, database: Database, commits: GroupCommit, reader: CallReader, form: Form
    ) -> None:
        self._name = name
        self._database = database
        self._commits = commits
        self._reader = reader
        self._form = form

    async def pushed(self) -> int:
        """The number of the last record that is there; sqlite3.Error."""
        return await call_index.mark(self._database, MARK)

    async def behind(self, number: int) -> Parcel | None:
        """The next file; sqlite3.Error. A record that was deleted meanwhile is left out."""
        page = await asyncio.to_thread(lambda: next(self._reader.arrived(number, ROWS), None))
        if not page:
            return None
        generation = await asyncio.to_thread(self._reader.generation)  # no write, which is the committer's
        name = f"{self._name}-{generation[:8]}-{page[0][0]}-{page[-1][0]}"
        return Parcel(name, file_text((cdr for _, cdr in page), self._form).encode(), page[-1][0])

    async def keep(self, number: int) -> None:
        """On disk when it returns; StoreFailedError, StoreBusyError."""
        await self._commits.submit([call_index.set_mark(MARK, number)])


async def push(outbox: IndexOutbox, settings: Push, clock: Clock, name: str) -> None:
    """Push until cancelled; what cannot be read or kept now is tried again in a minute."""
    from runtime.targets import target_of  # an HTTP client: only where somebody is pushed to

    log = logger(installation=name)
    while True:
        try:
            await Poster(outbox, settings, target_of(settings), clock, log).run()
        except StoreFailedError:
            return  # whoever runs the commits says why
        except (sqlite3.Error, StoreBusyError) as error:
            log.warning("cdr.unpushed", error=str(error), again_s=AGAIN_S)
            await asyncio.sleep(AGAIN_S)
