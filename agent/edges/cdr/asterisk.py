"""Call records over Asterisk's manager interface, on a connection of its own with the user of `asterisk`.

What happens while nobody listens is lost; a full spool leaves the bytes in memory up to a limit, then the
connection ends and is made again.
"""

import asyncio
from typing import Final

from agent.asterisk import Asterisk
from agent.edges.asterisk.manager import Manager, ManagerSession
from agent.service.cdr.source import Source
from agent.service.driver import LinkLostError
from runtime.clock import Clock

MOST_UNREAD: Final = 16 * 1_048_576


class ManagerDoor:
    """One connection, until it ends; whoever calls `run` calls again after its end."""

    def __init__(self, source: Source, settings: Asterisk, clock: Clock) -> None:
        self._source = source
        self._heard = bytearray()
        self._come = asyncio.Event()
        self._session: ManagerSession | None = None
        self._manager = Manager(settings, clock, "system,call,cdr", self._hear)

    async def run(self) -> None:
        """Listen until the connection ends, and what it brought is on disk; OSError, StoreError."""
        self._heard.clear()
        try:
            async with self._manager.connect(lambda _: None) as session:
                self._session = session
                self._source.connected, self._source.trouble = True, ""
                ended = asyncio.create_task(session.ended(), name="cdr manager")
                ended.add_done_callback(lambda _: self._come.set())
                try:
                    await self._take_in(ended)
                finally:
                    ended.cancel()
                await ended
        except LinkLostError as error:
            raise OSError(str(error)) from error

    def _hear(self, data: bytes) -> None:
        if len(self._heard) > MOST_UNREAD and self._session is not None:
            self._session.close()
            return
        self._heard += data
        self._come.set()

    async def _take_in(self, ended: "asyncio.Task[None]") -> None:
        parser = self._source.branch()
        while self._heard or not ended.done():
            if not self._heard:
                await self._come.wait()
            self._come.clear()
            data = bytes(self._heard)
            self._heard.clear()
            await self._source.take_when_room(parser, [data])
