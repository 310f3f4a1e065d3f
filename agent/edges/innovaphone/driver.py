"""The driver of an innovaphone PBX: asks each object for its registrations, and the PBX for its licences.

PbxAdminApi answers questions and reports no change of a registration, so a look every `resync_s` is all there
is. Objects come from PbxTableUsers; both APIs must be switched on at the App object.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NoReturn

from agent.edges.innovaphone.appwebsocket import AppWebsocket, connected
from agent.innovaphone import Innovaphone as Settings
from agent.service.driver import CannotEvictError, Changed, LinkLostError
from telephony.pbx.innovaphone import COLUMNS, Counter, Listed, contacts, counter, listed
from telephony.pbx.picture import Contact, Item, Snapshot

ADMIN, USERS = "PbxAdminApi", "PbxTableUsers"
AT_ONCE = 16  # questions on their way
MAX_OBJECTS = 50_000


class Innovaphone:
    """One innovaphone PBX, a `Driver`; `counters` are its own licences as the last snapshot found them."""

    name = "innovaphone"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.counters: tuple[Counter, ...] = ()

    def connect(self, changed: Changed) -> AbstractAsyncContextManager["InnovaphoneSession"]:
        """A connection that is logged in; nothing is told by itself, so `changed` is never called."""
        return self._connected()

    def told(self) -> list[dict[str, Any]]:
        """Its own licences, for comparison with what the agent counts."""
        return [counter._asdict() for counter in self.counters]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["InnovaphoneSession"]:
        async with connected(self._settings) as link:
            session = InnovaphoneSession(self, link)
            listening = asyncio.create_task(link.listen(), name="AppWebsocket")
            listening.add_done_callback(session.ends)
            try:
                yield session
            finally:
                listening.cancel()


class InnovaphoneSession:
    """One connection to an innovaphone PBX, a `Session`."""

    def __init__(self, driver: Innovaphone, link: AppWebsocket) -> None:
        self._driver = driver
        self._link = link
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ends(self, listening: asyncio.Task[NoReturn]) -> None:
        """It ended: by the link, or by a surprise that must be heard of."""
        if not listening.cancelled() and (error := listening.exception()) is not None:
            self._end.set_exception(error)
            self._end.exception()  # whoever waits for the end gets it all the same

    async def snapshot(self) -> Snapshot:
        """The registrations of every object; conferences are not listed by this API."""
        found: list[Contact] = []
        objects = await self._objects()
        for start in range(0, len(objects), AT_ONCE):
            asked = objects[start : start + AT_ONCE]
            for registrations in await asyncio.gather(*map(self._registrations, asked)):
                found += registrations
        await self._count()
        return Snapshot(contacts=tuple(found))

    async def evict(self, item: Item) -> None:
        """There is no message for it."""
        raise CannotEvictError("an innovaphone PBX cannot be told to end a registration")

    async def ended(self) -> None:
        """Wait for the end of the connection."""
        await asyncio.shield(self._end)

    async def _objects(self) -> Sequence[Listed]:
        """A replication from its beginning: a row for each ReplicateNext, until one without."""
        columns: dict[str, object] = {name: {} for name in COLUMNS}
        await self._link.ask(USERS, "ReplicateStart", add=False, **{"del": False}, columns=columns)
        objects: list[Listed] = []
        while True:
            row = (await self._link.ask(USERS, "ReplicateNext")).get("columns")
            if not row:
                return objects
            if not isinstance(row, dict):
                raise LinkLostError(f"{USERS}: a row that is no object")
            if (each := listed(row)) is not None:
                objects.append(each)
            if len(objects) > MAX_OBJECTS:
                raise LinkLostError(f"{USERS}: more than {MAX_OBJECTS} objects")

    async def _registrations(self, asked: Listed) -> list[Contact]:
        regs = (await self._link.ask(ADMIN, "GetRegs", guid=asked.guid)).get("regs", [])
        if not isinstance(regs, list) or not all(isinstance(reg, dict) for reg in regs):
            raise LinkLostError(f"{ADMIN} GetRegs: registrations that are no list of objects")
        return contacts(asked.aor, regs)

    async def _count(self) -> None:
        """Without `lic` the PBX runs in test mode, and counts nothing."""
        rows = (await self._link.ask(ADMIN, "GetPbxLicenses")).get("lic", [])
        counted = [counter(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        self._driver.counters = tuple(each for each in counted if each is not None)
