"""The driver of Kamailio: its location table by JSON-RPC, and what is told meanwhile by evapi or reg event.

Neither has a memory, evapi says nothing of what an administrator removes (`ul.rm`): the table is the truth.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NoReturn

from agent.edges.kamailio.evapi import Evapi, connected
from agent.edges.kamailio.reg_event import RegEvent, Watched, subscribed
from agent.edges.kamailio.rpc import Rpc
from agent.kamailio import Kamailio as Settings
from agent.service.driver import CannotEvictError, Changed, UnansweredError
from runtime.clock import Clock
from telephony.pbx.kamailio import Ask, Expired, Held, Location, read
from telephony.pbx.picture import Contact, Item, Ongoing, Snapshot


class Kamailio:
    """One Kamailio, a `Driver`."""

    name = "kamailio"

    def __init__(self, settings: Settings, clock: Clock, watched: Watched | None = None) -> None:
        """`watched` is needed with `reg_event`."""
        self._settings = settings
        self._watched = watched
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
            location = Location(use_domain=settings.use_domain)
            session = KamailioSession(rpc, location, changed, self._clock, dialogs=settings.dialogs)
            if settings.evapi is not None:
                evapi = await stack.enter_async_context(connected(settings.evapi))
                listening = asyncio.create_task(session.listen(evapi), name="evapi")
                listening.add_done_callback(session.ends)
                stack.callback(listening.cancel)
            if settings.reg_event is not None and self._watched is not None:
                here, watched = settings.reg_event, self._watched
                session.reg_event = await stack.enter_async_context(
                    subscribed(here, watched, session.told, self._clock)
                )
            yield session


class KamailioSession:
    """One connection to a Kamailio, a `Session`."""

    def __init__(
        self, rpc: Rpc, location: Location, changed: Changed, clock: Clock, *, dialogs: bool
    ) -> None:
        self._rpc = rpc
        self._dialogs = dialogs
        self._location = location
        self._changed = changed
        self._clock = clock
        self.reg_event: RegEvent | None = None
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def listen(self, evapi: Evapi) -> NoReturn:
        """Hand on what changes, until the connection ends."""
        while True:
            for frame in await evapi.receive():
                told = read(frame)
                if told is None or isinstance(told, Ask):
                    continue
                self.told(told)

    def told(self, told: Held | Expired) -> None:
        """Hand on what changes by this."""
        for change in self._location.told(told, self._clock.monotonic_ms()):
            self._changed(change)

    def ends(self, listening: asyncio.Task[NoReturn]) -> None:
        """It ended: by the link, or by a surprise that must be heard of."""
        if not listening.cancelled() and (error := listening.exception()) is not None:
            self._end.set_exception(error)
            self._end.exception()  # whoever waits for the end gets it all the same

    async def snapshot(self) -> Snapshot:
        """The location table, and which calls go on; a proxy has no rooms, its dialogs are no channels."""
        self._location.ask()
        rows = await self._rpc.location()
        contacts = self._location.listed(rows, self._clock.monotonic_ms())
        trouble = ""
        if self.reg_event is not None:
            trouble = self.reg_event.want([contact.aor for contact in contacts])
        if not self._dialogs:
            return Snapshot(contacts, trouble=trouble)
        try:
            return Snapshot(contacts, ongoing=await self._ongoing(), trouble=trouble)
        except UnansweredError as error:
            return Snapshot(contacts, trouble=str(error))

    async def _ongoing(self) -> Ongoing:
        """Dialogs live in its memory: it knows of none that was there before it started."""
        dialogs, uptime_s = await self._rpc.dialogs(), await self._rpc.uptime_s()
        return Ongoing(dialogs, self._clock.monotonic_ms() - 1_000 * uptime_s)

    async def evict(self, item: Item) -> None:
        """Remove a contact; the phone is back at its next REGISTER."""
        if not isinstance(item, Contact):
            raise CannotEvictError("a Kamailio has contacts only")
        await self._rpc.remove(item.aor, item.uri)

    async def ended(self) -> None:
        """Wait for the end of evapi; without it there is only the next question."""
        await asyncio.shield(self._end)
