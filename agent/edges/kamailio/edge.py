"""Kamailio as the SIP edge of a PBX: its questions go to the guard, the guard's word goes back by evapi."""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import NoReturn

from agent.config import PbxEntry
from agent.edges.kamailio.evapi import Evapi, connected
from agent.service.driver import LinkLostError
from agent.service.site import Site
from runtime.clock import Clock
from runtime.logs import logger
from telephony.address import Flow
from telephony.pbx import questions
from telephony.pbx.kamailio import Ask, Held, read
from telephony.pbx.questions import Questions

BEAT = b"beat"
BEAT_S = 1.0  # the route file takes 3 s of silence for the agent's death
FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 2.0  # meanwhile Kamailio decides by its own policy
STEADY_S = 10.0  # a connection that stood so long ended by a new cause
QUEUE_LIMIT = 10_000


class QuestionEdge:
    """What `SipEdge` is where phones come here: `open`, `run`, `close`; the site sends by `send`."""

    def __init__(self, site: Site, entry: PbxEntry, clock: Clock) -> None:
        address = None if entry.kamailio is None else entry.kamailio.evapi
        assert address is not None, "it was checked"
        self._site = site
        self._address = address
        self._pbx = questions.way_to(entry.sip.pbx.address.host)
        self._questions = Questions(entry.sip.limits.transactions)
        self._clock = clock
        self._log = logger(pbx=entry.name)
        self._evapi: Evapi | None = None
        self._waiting: deque[bytes] = deque()  # what Kamailio holds, while our disk is behind
        self._paused = False
        self._trouble = ""
        self._flapping = False  # connections end soon after they began
        self.lost = 0

    @property
    def dropped(self) -> int:
        """Nothing is dropped on this way: Kamailio has the sockets."""
        return 0

    def shut_out(self, sources: Sequence[str]) -> None:
        """Kamailio has the sockets; whoever sends too much is answered 503."""

    async def open(self) -> list[str]:
        """Nothing is bound; where questions come from."""
        return [f"evapi:{self._address}"]

    async def run(self) -> NoReturn:
        """Be there for questions, until cancelled."""
        delay_s = FIRST_DELAY_S
        while True:
            steady = await self._attempt()
            delay_s = FIRST_DELAY_S if steady else min(2 * delay_s, LONGEST_DELAY_S)
            await asyncio.sleep(delay_s * random.uniform(0.8, 1.2))  # noqa: S311 - guards nothing

    async def _attempt(self) -> bool:
        """One connection from its beginning to its end; whether it stood for some time.

        The log says each trouble once; that it lasts is said by the alarm of the driver, by the same address.
        """
        begun_ms, stood = self._clock.monotonic_ms(), False
        try:
            async with connected(self._address) as evapi:
                stood = True
                await self._attend(evapi)
        except LinkLostError as error:
            steady = stood and self._clock.monotonic_ms() - begun_ms >= 1_000 * STEADY_S
            if steady or str(error) != self._trouble:
                self._log.warning("questions.lost", why=str(error))
            self._trouble, self._flapping = str(error), stood and not steady
            return steady
        finally:
            self._evapi = None

    def reload(self) -> bool:
        """There are no certificates here."""
        return False

    def pause(self) -> None:
        """Answer nothing new: Kamailio follows its own policy from now on."""
        self._paused = True

    def close(self) -> None:
        """Say nothing more."""
        self._evapi = None

    def send(self, flow: Flow, data: bytes) -> None:
        """What the guard says of a question, as Kamailio is told it."""
        frame = self._questions.said(data)
        if frame is not None:
            self._tell(frame)

    async def _attend(self, evapi: Evapi) -> NoReturn:
        """One connection, until it ends by LinkLostError."""
        self._evapi = evapi
        if not self._flapping:
            self._log.info("questions.open", evapi=str(self._address))
        beats = asyncio.create_task(self._beat(), name="beat")
        try:
            while True:
                frames = await evapi.receive()
                if not self._paused:
                    self._turn(frames)
        finally:
            beats.cancel()

    async def _beat(self) -> NoReturn:
        """Say that we are here; a loop that does not turn does not."""
        while True:
            if not self._paused:
                self._tell(BEAT)
                self._take_in_waiting()
            await asyncio.sleep(BEAT_S)

    def _turn(self, frames: Sequence[bytes]) -> None:
        now_ms = self._clock.monotonic_ms()
        for frame in frames:
            match read(frame):
                case Ask() as ask:
                    self._ask(ask, now_ms)
                case Held() as held:
                    self._settle(held, now_ms)
                case _:  # the driver's
                    pass
        self._site.settle(now_ms)

    def _ask(self, ask: Ask, now_ms: int) -> None:
        register = self._questions.asked(ask)
        if register is None:
            self._tell(questions.unreadable(ask.question))
        elif not self._site.offer(register, questions.flow_of(ask), now_ms):
            self._tell(questions.later(ask.question))

    def _settle(self, held: Held, now_ms: int) -> None:
        response = self._questions.settled(held)
        if response is None:
            return
        if self._waiting or not self._site.offer(response, self._pbx, now_ms):
            if len(self._waiting) < QUEUE_LIMIT:
                self._waiting.append(response)
            else:
                self.lost += 1  # the next look at the location table shows it

    def _take_in_waiting(self) -> None:
        now_ms = self._clock.monotonic_ms()
        while self._waiting and self._site.offer(self._waiting[0], self._pbx, now_ms, again=True):
            self._waiting.popleft()
        self._site.settle(now_ms)

    def _tell(self, frame: bytes) -> None:
        if self._evapi is None:
            self.lost += 1
        else:
            self._evapi.send(frame)
