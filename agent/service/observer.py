"""Keeps the picture of one PBX right: connects its driver again and again, and asks for everything on each
connect and at an interval. A lost link ends nothing (pbx-integrations, section 2).
"""

import asyncio
import contextlib
import random
from typing import Any, NoReturn

from agent.service.alarms import Alarms
from agent.service.driver import LinkLostError, Observation, RefusedError, Session, UnansweredError
from agent.service.presence import Presence
from licensing.codes import Code
from runtime.clock import Clock
from runtime.logs import logger

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
REFUSED_RETRY_S = 60.0  # to ask sooner looks like guessing a password
SNAPSHOT_WITHIN_S = 30.0
SILENT_AFTER = 3  # attempts: a PBX that restarts is no alarm
JITTER = 0.2


class Observer:
    """The driver of one PBX and what it shows."""

    def __init__(
        self, name: str, observation: Observation, presence: Presence, alarms: Alarms, clock: Clock
    ) -> None:
        self.presence = presence
        self._driver = observation.driver
        self._resync_s = observation.resync_s
        self._licences = observation.licences
        self._alarms = alarms
        self._clock = clock
        self._log = logger(pbx=name, driver=self._driver.name)
        self._failures = 0
        self._trouble = ""
        self._snapshot_at_ms: int | None = None

    async def run(self) -> NoReturn:
        """Observe until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self.presence.serve(tasks)
            while True:
                try:
                    await self._attend()
                except LinkLostError as error:
                    pause_s = self._lost(error)
                self.presence.expire()
                await asyncio.sleep(pause_s)

    def told(self) -> dict[str, Any]:
        """What status shows of it."""
        picture = self.presence.picture
        contacts = picture.contacts()
        return {
            "driver": self._driver.name,
            "connected": self.presence.session is not None,
            "trouble": self._trouble,
            "snapshot_at_ms": self._snapshot_at_ms,
            "contacts": len(contacts),
            "unreachable": sum(not contact.reachable for contact in contacts),
            "rooms": len({member.room for member in picture.members()}),
            "members": len(picture.members()),
            "calls": len(picture.calls()),
            "licences": self._licences(),
        }

    async def _attend(self) -> NoReturn:
        """One connection, until it ends by LinkLostError."""
        async with self._driver.connect(self.presence.changed) as session:
            self.presence.attached(session)
            try:
                self._log.info("driver.connected")
                await self._resync(session)
                while True:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._resync_s):
                            await session.ended()
                    await self._resync(session)
            finally:
                self.presence.detached()

    async def _resync(self, session: Session) -> None:
        self.presence.ask()
        try:
            async with asyncio.timeout(SNAPSHOT_WITHIN_S):
                snapshot = await session.snapshot()
        except TimeoutError as error:
            raise LinkLostError(f"no whole answer within {SNAPSHOT_WITHIN_S:.0f} s") from error
        except UnansweredError as error:
            self.presence.unanswered()
            self._troubled(str(error), alarm=True)
            return
        self.presence.settle(snapshot)
        self._snapshot_at_ms = self._clock.wall_ms()
        self._failures = 0
        self._troubled(snapshot.trouble, alarm=False)
        self._alarms.clear(Code.PBX_LINK_LOST)

    def _lost(self, error: LinkLostError) -> float:
        """The pause before the next attempt, in seconds."""
        self._failures += 1
        refused = isinstance(error, RefusedError)
        self._troubled(str(error), alarm=refused or self._failures >= SILENT_AFTER)
        pause_s = min(float(FIRST_RETRY_S * 2 ** min(self._failures - 1, 10)), LAST_RETRY_S)
        if refused:
            pause_s = REFUSED_RETRY_S
        return pause_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing

    def _troubled(self, why: str, *, alarm: bool) -> None:
        """Say so once for each trouble; "" when there is none any more."""
        if why and why != self._trouble:
            self._log.warning("driver.troubled", why=why)
        self._trouble = why
        if alarm:
            self._alarms.raise_(Code.PBX_LINK_LOST, self._clock.wall_ms(), why)
