"""The driver of Kamailio: its location table by JSON-RPC, and what its route file tells by evapi meanwhile.

evapi has no memory, and says nothing of what an administrator removes (`ul.rm`): the table is the truth.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NoReturn

from agent.edges.kamailio.evapi import Evapi, connected
from agent.edges.kamailio.rpc import Rpc
from agent.kamailio import Kamailio as Settings
from agent.service.driver import CannotEvictError, Changed
from runtime.clock import Clock
from telephony.pbx.kamailio import Ask, Location, read
from telephony.pbx.picture import Contact, Item, Snapshot


class Kamailio:
    """One Kamailio, a `Driver`."""

    name = "kamailio"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def connect(self, changed: Changed) -> AbstractAsyncContextManager["KamailioSession"]:
        """A connection to evapi, where there is one; the table is asked for as it is needed."""
        return self._connected(changed)

    @asynccontextmanager
    async def _connected(self, changed: Changed) -> AsyncIterator["KamailioSession"]:
        settings = self._settings
        async with AsyncExitStack() as stack:
            rpc = Rpc(settings)
            stack.push_async_callback(rpc.close)
            session = KamailioSession(rpc, Location(use_domain=settings.use_domain), changed, self._clock)
            if settings.evapi is not None:
                evapi = await stack.enter_async_context(connected(settings.evapi))
                listening = asyncio.create_task(session.listen(evapi), name="evapi")
                listening.add_done_callback(session.ends)
                stack.callback(listening.cancel)
            yield session


class KamailioSession:
    """One connection to a Kamailio, a `Session`."""

    def __init__(self, rpc: Rpc, location: Location, changed: Changed, clock: Clock) -> None:
        self._rpc = rpc
        self._location = location
        self._changed = changed
        self._clock = clock
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def listen(self, evapi: Evapi) -> NoReturn:
        """Hand on what changes, until the connection ends."""
        while True:
            for frame in await evapi.receive():
                told = read(frame)
                if told is None or isinstance(told, Ask):
                    continue
                for change in self._location.told(told, self._clock.monotonic_ms()):
                    self._changed(change)

    def ends(self, listening: asyncio.Task[NoReturn]) -> None:
        """It ended: by the link, or by a surprise that must be heard of."""
        if not listening.cancelled() and (error := listening.exception()) is not None:
            self._end.set_exception(error)
            self._end.exception()  # whoever waits for the end gets it all the same

    async def snapshot(self) -> Snapshot:
        """The location table; a proxy has no rooms, and its dialogs are no channels."""
        self._location.ask()
        rows = await self._rpc.location()
        return Snapshot(contacts=self._location.listed(rows, self._clock.monotonic_ms()))

    async def evict(self, item: Item) -> None:
        """Remove a contact; the phone is back at its next REGISTER."""
        if not isinstance(item, Contact):
            raise CannotEvictError("a Kamailio has contacts only")
        await self._rpc.remove(item.aor, item.uri)

    async def ended(self) -> None:
        """Wait for the end of evapi; without it there is only the next question."""
        await asyncio.shield(self._end)
