"""The agent's half of the conversation with its master: store, send, check, store, use; one in flight.

Every step is that of `licensing.site.share`; this module gives it a disk, a wire and the time (protocol
"Safety rules").
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Protocol

from agent.service.alarms import Alarms, away_advice
from agent.service.link import Link, NoAnswerError
from agent.store.journal import Journal
from licensing import wire
from licensing.codes import Code
from licensing.site import grace, share
from licensing.site import record as records
from licensing.site.record import Request, ShareRecord
from runtime.clock import Clock
from runtime.logs import logger

COALESCE_S = 0.01  # phones that come together are asked for together
MENTION_WITHIN_S = 1.0
FIRST_RETRY_S = 0.25
LAST_RETRY_S = 5.0
JITTER = 0.2
SILENT_AFTER = 3  # rounds without an answer
REVOKED_RETRY_S = 300.0
KEEP_COUNT_S = 60
UNUSABLE = "the answer cannot be used"

Spread = Callable[[float, float], float]
"""Draws a number between two; it spreads the agents and guards nothing."""

# Passing troubles of the master: they are no alarm before it has been silent for long.
PASSING = (Code.MASTER_AWAY, Code.RATE_LIMITED, Code.STORE_FAILED)


class ByeRefusedError(Exception):
    """The master could not confirm the bye; the message says why."""


class Local(Protocol):
    """What the conversation needs of the site it speaks for."""

    def statement(self) -> share.Statement:
        """What the site has and wants now; from here on it keeps within these wants."""
        ...

    def answered(self, record: ShareRecord, answer: wire.Answer) -> None:
        """An answer is on disk: use what `record` allows, end the waits it decides."""
        ...

    def unanswered(self, record: ShareRecord) -> None:
        """No answer yet: what `record` allows may have shrunk (site released, grace period over)."""
        ...


class Conversation:
    """Keeps one site's share record true: here, on disk, and at the master."""

    def __init__(
        self,
        record: ShareRecord,
        site: Local,
        journal: Journal,
        link: Link,
        clock: Clock,
        alarms: Alarms,
        spread: Spread = random.uniform,
    ) -> None:
        self.record = record
        self.revoked: Code | None = None
        self.departed = False
        self.last_answer_at_ms: int | None = None
        self._site = site
        self._journal = journal
        self._link = link
        self._clock = clock
        self._alarms = alarms
        self._spread = spread
        self._log = logger(pbx=record.agent)
        self._wanted = asyncio.Event()
        self._mentioning: asyncio.TimerHandle | None = None
        self._speaking = asyncio.Lock()
        self._hello = True
        self._failures = 0
        self._pause_s = 0.0
        self._count_kept_ms = 0
        self._troubles: set[Code] = set()

    @property
    def url(self) -> str:
        """The address of the master that answered last."""
        return self._link.url

    @property
    def away(self) -> bool:
        """No answer in the last three rounds."""
        return self._failures >= SILENT_AFTER or self.last_answer_at_ms is None

    def speak(self) -> None:
        """Sync at once: a phone waits, or the master asked for it. Calls within 10 ms are one sync."""
        self._wanted.set()

    def mention(self) -> None:
        """Sync soon, once for all that happens within a second: people look at the master's picture."""
        if self._mentioning is None:
            loop = asyncio.get_running_loop()
            self._mentioning = loop.call_later(MENTION_WITHIN_S, self._mention)

    def _mention(self) -> None:
        self._mentioning = None
        if not self._failures:  # a master that is away hears it when it is back
            self.speak()

    async def run(self) -> None:
        """Speak when it is time or when wanted, until the bye."""
        while True:
            await self._rest()
            async with self._speaking:
                if self.departed:
                    return
                await self._round()

    async def sync(self) -> None:
        """Sync now and return when the answer is used, or did not come."""
        async with self._speaking:
            if not self.departed:
                await self._round()

    async def listen(self) -> None:
        """Keep one long poll at the master and sync whenever it says so, for ever."""
        failures = 0
        while True:
            try:
                if await self._link.wake():
                    await self.sync()  # before it is heard the master would only say it again
                failures = failures + 1 if self._failures else 0
                if failures:
                    await asyncio.sleep(self._jittered(_backoff_s(failures)))
            except NoAnswerError as error:
                failures += 1
                if error.code in (Code.UNKNOWN_AGENT, Code.HELLO_NEEDED):
                    self.speak()  # a store made anew: do not wait for the next round
                await asyncio.sleep(self._jittered(_backoff_s(failures)))

    async def bye(self) -> None:
        """Give everything back; ByeRefusedError when the master does not confirm it.

        A sync comes first, so that a master out of reach changes nothing here.
        """
        async with self._speaking:
            await self._round()
            if self._failures or self.revoked:
                raise ByeRefusedError("the master did not answer; nothing was given back")
            prepared = share.bye(self.record, self._clock.monotonic_ms(), self._clock.wall_ms())
            self._site.unanswered(prepared.record)  # nothing is usable from here on
            await self._keep(prepared.record)
            await self._exchange(prepared.request)
            if self._failures:
                raise ByeRefusedError("the master did not confirm; its record may still show the share")
            self.departed = True

    async def _rest(self) -> None:
        if self._failures:
            await asyncio.sleep(
                min(self._pause_s, FIRST_RETRY_S)
            )  # waiting phones do not hammer a dead master
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await self._wanted.wait()
                await asyncio.sleep(COALESCE_S)
        self._wanted.clear()

    async def _round(self) -> None:
        """One request and its answer; what stays unanswered is sent again as it is."""
        request = self.record.in_flight
        if request is None or self._hello:
            request = await self._prepare()
        await self._exchange(request)

    async def _prepare(self) -> Request:
        """New content; its wants bind the site at once, are on disk next, and only then may leave."""
        if self._mentioning is not None:
            self._mentioning.cancel()
            self._mentioning = None
        prepared = share.prepare(
            self.record,
            self._site.statement(),
            self._clock.monotonic_ms(),
            self._clock.wall_ms(),
            hello=self._hello,
        )
        await self._keep(prepared.record)
        self._hello = False
        return prepared.request

    async def _exchange(self, request: Request) -> None:
        try:
            reply = await self._link.post(request.path, request.body)
        except NoAnswerError as error:
            await self._unanswered(error.code, error.detail)
            return
        now_ms, at_ms = self._clock.monotonic_ms(), self._clock.wall_ms()
        outcome = share.answered(self.record, request, reply, now_ms, at_ms)
        match outcome:
            case share.Applied(record, answer):
                await self._keep(record)
                self._applied(answer, at_ms)
            case share.HelloNeeded(record, code):
                await self._keep(record)
                self._site.unanswered(record)
                self._log.warning("hello.asked", code=code.value)
                self._hello = True
                self._pause_s = FIRST_RETRY_S if self._failures else 0.0
                self._failures += 1
            case share.Revoked(code, doubted):
                await self._keep_doubted(doubted)
                self._revoked(code, at_ms)
            case share.Retry(code):
                await self._unanswered(code, "the master asked to try again")
            case share.Ignored(code):
                await self._unanswered(code, UNUSABLE)
            case share.Rejected(code, doubted):
                await self._keep_doubted(doubted)
                await self._unanswered(code, UNUSABLE)
                await self._prepare()

    def _applied(self, answer: wire.Answer, at_ms: int) -> None:
        if self.away:
            self._log.info("master.answered", url=self._link.url, term=answer.term)
        self._failures = 0
        self.revoked = None
        self.last_answer_at_ms = at_ms
        self._alarms.clear(*self._troubles)
        self._troubles.clear()
        self._journal.drop_activity(answer.ack_activity)
        self._pause_s = self._jittered(max(answer.next_ms, answer.not_before_ms) / 1_000)
        self._site.answered(self.record, answer)

    async def _unanswered(self, code: Code, detail: str) -> None:
        """No answer that counts: the same bytes again, later and later, and an alarm by stages."""
        self._failures += 1
        self._pause_s = self._jittered(_backoff_s(self._failures))
        if self._failures == SILENT_AFTER:
            self._log.warning("master.lost", code=code.value, detail=detail)
        now_ms, at_ms = self._clock.monotonic_ms(), self._clock.wall_ms()
        if code in (Code.UNKNOWN_AGENT, Code.HELLO_NEEDED):
            self._hello = True  # a hint nobody signed may make us introduce ourselves, and no more
        if code not in PASSING:
            self._raise(code, at_ms)
        away_s = self.away_s()
        advice = away_advice(away_s, records.grace_left_ms(self.record, now_ms, at_ms) // 1_000)
        if advice:
            self._raise(Code.MASTER_AWAY, at_ms - away_s * 1_000, advice)
        if now_ms - self._count_kept_ms > KEEP_COUNT_S * 1_000:
            self._count_kept_ms = now_ms
            await self._keep(records.counted(self.record, now_ms, at_ms))
        self._site.unanswered(self.record)

    def _revoked(self, code: Code, at_ms: int) -> None:
        self.revoked = code
        self._failures += 1
        self._raise(code, at_ms)
        self._pause_s = self._jittered(REVOKED_RETRY_S)
        self._site.unanswered(self.record)

    def _raise(self, code: Code, at_ms: int, advice: str = "") -> None:
        """An alarm that the next answer clears."""
        self._troubles.add(code)
        self._alarms.raise_(code, at_ms, advice)

    async def _keep_doubted(self, record: ShareRecord | None) -> None:
        if record is not None and record != self.record:
            self._log.warning("share.doubted", code=record.doubted)
            await self._keep(record)

    async def _keep(self, record: ShareRecord) -> None:
        """On disk first, then true."""
        await self._journal.keep_share(records.encode(record))
        self.record = record

    def away_s(self) -> int:
        """Whole seconds since the last answer, by the clock that says more."""
        now_ms, at_ms = self._clock.monotonic_ms(), self._clock.wall_ms()
        return grace.away_ms(self.record.grace, now_ms, at_ms) // 1_000

    def _jittered(self, seconds: float) -> float:
        return seconds * self._spread(1 - JITTER, 1 + JITTER)


def _backoff_s(failures: int) -> float:
    return float(min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(failures - 1, 10)))
