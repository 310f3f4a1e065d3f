"""What an agent tells beside its demand: activity, holders and what was denied; never part of safety."""

from collections.abc import Iterable

import msgspec

from licence_master.service.past.holdings import Holdings
from licence_master.service.past.lingering import Lingering
from licence_master.service.tally import Tally
from licence_master.service.told.units import units
from licence_master.store import activity
from licence_master.store.activity import Denied, Seen
from licensing import wire
from licensing.lender.allocator import Outcome
from runtime.logs import logger
from runtime.store import Statement

SAME_DENIAL_MS = 60_000  # an equal denial within this time is the same one again


class History:
    """The telemetry of one installation in memory; each change comes with the statements that keep it."""

    def __init__(
        self,
        name: str,
        tally: Tally,
        holdings: Holdings,
        seen: Iterable[Seen],
        last_denial: int,
        tail: Iterable[tuple[str, wire.Activity]] = (),
    ) -> None:
        """`tail` are the newest events that are stored, with their agents."""
        self.holdings = holdings
        self._seen = {sync.agent: sync for sync in seen}
        self._denied: dict[tuple[str, str, str], Denied] = {}
        self._last_denial = last_denial
        self._doubts: dict[str, frozenset[str]] = {}
        self._tally = tally
        self._log = logger(installation=name)
        self.lingering = Lingering()
        for agent, event in tail:
            self.lingering.note(agent, (event,))

    def note(
        self, request: wire.Sync | wire.Bye, outcome: Outcome, at_ms: int, no_room: bool
    ) -> list[Statement]:
        """Take in all that came with a request and what the decision denied.

        With `no_room` on the disk history waits: the agent keeps what is not acknowledged and sends it again.
        """
        agent = request.agent
        if isinstance(request, wire.Bye):
            statements = self.holdings.clear(agent)
            self.lingering.clear(agent)
            self._seen[agent] = Seen(agent, at_ms, self.acknowledged(agent))
        else:
            told = msgspec.structs.replace(request, activity=()) if no_room else request
            statements = self._activity(told, at_ms)
            for page in request.pages:
                statements += self.holdings.correct(agent, page, at_ms)
        statements.append(activity.saw(self._seen[agent]))
        denials = self._denials(agent, outcome, at_ms)
        return statements if no_room else statements + denials

    def acknowledged(self, agent: str) -> int:
        """The number of the last activity event that arrived from this agent."""
        seen = self._seen.get(agent)
        return seen.ack_activity if seen is not None else 0

    def last_sync_ms(self, agent: str) -> int | None:
        """When this agent was answered last, in wall time; None: never."""
        seen = self._seen.get(agent)
        return seen.at_ms if seen is not None else None

    def doubted(self, request: wire.Sync) -> tuple[str, ...]:
        """The classes whose holders the agent should list: their digest differed twice in a row.

        Activity may lag behind the digest, so that one difference means nothing.
        """
        now = frozenset(self.holdings.doubted(request.agent, request.holders))
        twice = now & self._doubts.get(request.agent, frozenset())
        self._doubts[request.agent] = now
        return tuple(sorted(twice))

    def restart(self, agent: str) -> list[Statement]:
        """The agent enrolled anew: its events are numbered from 1 again, and it holds nothing."""
        self._seen.pop(agent, None)
        self.lingering.clear(agent)
        return [*self.holdings.clear(agent), activity.unsee(agent)]

    def _activity(self, request: wire.Sync, at_ms: int) -> list[Statement]:
        agent, before = request.agent, self.acknowledged(request.agent)
        new = [event for event in request.activity if event.n > before]
        last = max((event.n for event in new), default=before)
        self._seen[agent] = Seen(agent, at_ms, last)
        if not new:
            return []
        self._tally.activity += len(new)
        self.lingering.note(agent, new)
        return [*activity.add(agent, new), *self.holdings.apply(agent, new)]

    def _denials(self, agent: str, outcome: Outcome, at_ms: int) -> list[Statement]:
        """Keep and log what was denied; units on their way are no denial yet."""
        statements = []
        for class_, denial in outcome.denials.items():
            if denial.recalling:
                continue
            self._tally.denials[denial.code] += 1
            key = (agent, class_, denial.code)
            before = self._denied.get(key)
            if before is not None and at_ms - before.last_ms < SAME_DENIAL_MS:
                first, id_, times, held = before.first_ms, before.id, before.times + 1, before.held
            else:
                self._last_denial += 1
                first, id_, times = at_ms, self._last_denial, 1
                held = tuple((u.pbx, u.pool, u.units) for u in units(outcome.state, agent, class_))
                self._log.info(
                    "share.denied",
                    agent=agent,
                    class_=class_,
                    code=denial.code,
                    asked=denial.asked,
                    granted=denial.granted,
                    capacity=denial.capacity,
                )
            self._denied[key] = Denied(id_, agent, class_, denial.code, first, at_ms, times, denial, held)
            statements.append(activity.deny(self._denied[key]))
        return statements
