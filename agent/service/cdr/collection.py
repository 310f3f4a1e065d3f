"""The call records of one PBX: spool, sources, and what goes out; they never take the phones with them.

A store that fails ends this session of them and no more: nothing is acknowledged, and the next session reads
again what is on disk.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, NoReturn

from agent.cdrs import Cdrs, CdrSource
from agent.service.alarms import Alarms
from agent.service.cdr.delivery import Delivery
from agent.service.cdr.post import SpoolOutbox
from agent.service.cdr.replay import Replayed, reread
from agent.service.cdr.source import Source
from agent.service.link import Link
from agent.store.enrolment import SPOOL_FILE
from agent.store.spool import Spool
from licensing.codes import Code
from runtime.clock import Clock
from runtime.config import ConfigErrors
from runtime.logs import logger
from runtime.poster import Poster
from runtime.push import Target
from runtime.store import StoreError
from telephony.cdr.reading import Origin
from telephony.cdr.wire import SourceState

OPEN_AGAIN_S: Final = 5.0
LOOK_S: Final = 10.0
DAY_MS: Final = 86_400_000

Door = Callable[[Source], Coroutine[Any, Any, None]]
"""Takes in what comes for a source, until it fails (OSError: tried again) or is cancelled."""


class Collection:
    """All that one PBX's `cdrs` say; `run` until cancelled."""

    def __init__(
        self,
        settings: Cdrs,
        identity: tuple[str, str],
        directory: Path,
        link: Link,
        door: Door,
        target: Target | None,
        clock: Clock,
        alarms: Alarms,
    ) -> None:
        """`identity`: names of installation and PBX."""
        self.settings = settings
        self.sources: list[Source] = []
        self._identity = identity
        self._path = directory / SPOOL_FILE
        self._link = link
        self._door = door
        self._target = target
        self._clock = clock
        self._alarms = alarms
        self._log = logger(pbx=identity[1])
        self._short = False
        self._spool: Spool | None = None
        self._delivery: Delivery | None = None
        self._poster: Poster | None = None
        self._trouble = "not opened yet"

    async def run(self) -> NoReturn:
        """One session after the other."""
        while True:
            try:
                await self._session()
            except* (StoreError, ConfigErrors) as errors:
                self._failed(errors)
            await asyncio.sleep(OPEN_AGAIN_S)

    def hold_back(self, short: bool) -> None:
        """Take nothing in while the disk is short; what was delivered gives way."""
        self._short = short
        for source in self.sources:
            source.held_back = short

    async def replay(self, from_ms: int, to_ms: int, *, unread: bool) -> Replayed:
        """Send a range again, or with `unread` read again what was unreadable. StoreError, ConfigErrors."""
        spool = self._spool
        if spool is None:
            raise StoreError(f"{self._path}: {self._trouble}")
        if not unread:
            return Replayed(sent_again=await spool.send_again(from_ms, to_ms))
        sources = [(settings, self._origin(settings)) for settings in self.settings.sources]
        return await reread(spool, sources, self._clock, from_ms, to_ms)

    def told(self) -> dict[str, Any]:
        """What `pbx-agent status` shows."""
        spool, delivery = self._spool, self._delivery
        return {
            "trouble": self._trouble,
            "waiting": spool.waiting if spool else None,
            "waiting_bytes": spool.waiting_bytes if spool else None,
            "last_delivery_ms": delivery.last_answer_ms if delivery else None,
            "pushed_ms": self._poster.pushed_ms if self._poster else None,
            "sources": [_told(source) for source in self.sources] if spool else self._closed(),
        }

    def _closed(self) -> list[dict[str, Any]]:
        """The sources while no spool is open: nothing listens, and nothing is known of them."""
        unknown = dict.fromkeys(("last_ms", "silent", "missing", "lost", "refused"))
        return [
            {
                "source": self._origin(settings).source,
                "transport": settings.transport,
                "connected": False,
                "trouble": self._trouble,
                **unknown,
            }
            for settings in self.settings.sources
        ]

    def _origin(self, settings: CdrSource) -> Origin:
        installation, pbx = self._identity
        return Origin(f"{installation}/{pbx}/{settings.name}", pbx, settings.local)

    async def _session(self) -> None:
        spool = await Spool.open(self._path, self.settings.most_bytes)
        try:
            sources = [
                Source(settings, self._origin(settings), spool, self._clock)
                for settings in self.settings.sources
            ]
            for source in sources:
                await source.resume()
            self.sources, self._spool, self._trouble = sources, spool, ""
            self.hold_back(self._short)
            await self._work(spool)
        finally:
            self._spool, self._trouble = None, "being closed"
            await spool.close()

    async def _work(self, spool: Spool) -> None:
        self._delivery = Delivery(spool, self._states, self._identity, self._link, self._clock, self._alarms)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(spool.run(), name="spool")
            tasks.create_task(self._delivery.run(), name="cdr delivery")
            tasks.create_task(self._look(spool), name="cdr look")
            push = self.settings.push
            if push is not None and self._target is not None:
                outbox = SpoolOutbox(spool, push.format, self._identity[1])
                self._poster = Poster(outbox, push, self._target, self._clock, self._log)
                tasks.create_task(self._poster.run(), name="cdr push")
            for source in self.sources:
                tasks.create_task(self._kept_open(source), name=f"cdr {source.settings.name}")

    async def _kept_open(self, source: Source) -> NoReturn:
        """A door that fails is opened again: the others go on."""
        while True:
            try:
                await self._door(source)
                source.trouble = "the other side ended it"
            except OSError as error:
                source.trouble = str(error)
            source.connected = False
            self._log.warning("cdr.source_lost", source=source.name, error=source.trouble)
            await asyncio.sleep(OPEN_AGAIN_S)

    def _states(self) -> tuple[SourceState, ...]:
        return tuple(source.state() for source in self.sources)

    async def _look(self, spool: Spool) -> NoReturn:
        """Alarms, and an end for what was delivered long ago."""
        while True:
            if spool.full:
                await spool.measure()
            self._judge(spool)
            more = await self._prune(spool)
            await asyncio.sleep(0 if more else LOOK_S)

    async def _prune(self, spool: Spool) -> bool:
        """Drop some of what everybody has and nobody asks for any more; True: there is more of it."""
        now_ms = self._clock.wall_ms()
        before_ms = now_ms if self._short else now_ms - self.settings.keep_days * DAY_MS
        return await spool.prune(before_ms, self._poster.pushed if self._poster else spool.kept_last)

    def _judge(self, spool: Spool) -> None:
        states = self._states()
        silent = [state.source for state in states if state.silent]
        self._say(Code.CDR_SOURCE_SILENT, bool(silent), f"Nothing comes from {', '.join(silent)}.")
        gaps = [state.source for state in states if state.missing or state.forgotten]
        lost = [f"{state.lost} of {state.source}" for state in states if state.lost]
        said = [f"Numbers are missing from {', '.join(gaps)}."] if gaps else []
        said += [f"Lost with the master's disk, and no longer here: {', '.join(lost)}."] if lost else []
        self._say(Code.CDR_MISSING, bool(said), " ".join(said))
        why = "The disk is nearly full." if self._short else "The spool is full: the master is away too long."
        self._say(Code.CDR_INTAKE_STOPPED, self._short or spool.full, why)

    def _say(self, code: Code, wrong: bool, advice: str) -> None:
        if wrong:
            self._alarms.raise_(code, self._clock.wall_ms(), advice)
        else:
            self._alarms.clear(code)

    def _failed(self, errors: BaseExceptionGroup[Exception]) -> None:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        self._trouble = str(first)
        self._log.error("cdr.stopped", error=self._trouble)
        self._alarms.raise_(Code.CDR_INTAKE_STOPPED, self._clock.wall_ms(), self._trouble)


def _told(source: Source) -> dict[str, Any]:
    state = source.state()
    return {
        "source": source.name,
        "transport": source.settings.transport,
        "connected": state.connected,
        "trouble": source.trouble,
        "last_ms": state.last_ms,
        "silent": state.silent,
        "missing": sum(gap.last - gap.first + 1 for gap in state.missing) + state.forgotten,
        "lost": state.lost,
        "refused": source.refused,
    }
