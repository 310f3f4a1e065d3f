"""The one writer of an installation: the state in memory, the ledger on disk, and the order between them.

An operation decides purely, without a pause, on `state`; hands the events over with `commit`; and answers
only when the returned future ends. After a failed commit nothing is answered and the process ends.
"""

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from licence_master.service.tally import Tally
from licence_master.service.wakes import Wakes
from licence_master.store import ledger
from licensing.ledger import AnyEvent, replay
from licensing.state import State
from runtime.clock import Clock
from runtime.logs import logger
from runtime.store import GroupCommit, Statement

EVENT_NAMES = {
    "Founded": "store.founded",
    "TermRaised": "term.raised",
    "SettingsChanged": "settings.changed",
    "PolicyChanged": "policy.changed",
    "PbxAdded": "pbx.added",
    "PbxChanged": "pbx.changed",
    "PbxRemoved": "pbx.removed",
    "Installed": "licence.installed",
    "Removed": "licence.removed",
    "Enrolled": "agent.enrolled",
    "Revoked": "agent.revoked",
    "SiteReleased": "site.released",
    "SoftwareReported": "software.reported",
    "ShareChanged": "share.changed",
    "RecoveryStarted": "recovery.started",
    "RosterLearned": "roster.learned",
    "HelloSaid": "hello.said",
    "SiteAccounted": "site.accounted",
    "CloneSuspected": "clone.suspected",
    "SiteConfirmed": "site.confirmed",
}
_LEVELS = {
    "CloneSuspected": logging.WARNING,
    "RecoveryStarted": logging.WARNING,
    "SiteReleased": logging.WARNING,
    "ShareChanged": logging.DEBUG,  # the ledger keeps them; as info they would be a line for each sync
}


def event_name(event: AnyEvent) -> str:
    """The event as logs, history and metrics call it: `noun.verb_past`."""
    return EVENT_NAMES[type(event).__name__]


class Writer:
    """State, chain and queue of one installation's store; nothing else writes to it."""

    def __init__(self, name: str, commits: GroupCommit, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.state = State()
        self.wakes = Wakes()
        self.tally = Tally()
        self._commits = commits
        self._head = b""
        self._log = logger(installation=name)

    def load(self, entries: Sequence[ledger.Entry]) -> None:
        """Begin where the stored ledger ends."""
        self.state = replay((entry.event for entry in entries), self.state)
        self._head = entries[-1].hash if entries else b""

    @property
    def busy(self) -> bool:
        """The queue is full: refuse before deciding, since a decision cannot be undone."""
        return self._commits.full

    def commit(
        self, state: State, events: Sequence[AnyEvent], actor: str, statements: Sequence[Statement] = ()
    ) -> asyncio.Future[None]:
        """Make a decision true: the state now, events and statements in one transaction.

        The future ends when they, and everything decided before them, are durable.
        """
        begin = self.clock.monotonic_ms()
        term = state.term
        entries = ledger.chain(events, self.state.position, self._head, term, self.clock.wall_ms(), actor)
        future = self._commits.defer([*ledger.append(entries), *statements])
        self.state = state
        if entries:
            self._head = entries[-1].hash
            self._tell(events, actor)
        future.add_done_callback(lambda _: self.tally.committed(self.clock.monotonic_ms() - begin))
        return future

    def settled(self) -> asyncio.Future[None]:
        """Ends when everything decided so far is durable."""
        return self._commits.defer([])

    def _tell(self, events: Sequence[AnyEvent], actor: str) -> None:
        for event in events:
            kind = type(event).__name__
            self.tally.events[kind] += 1
            facts = msgspec.to_builtins(event)
            facts.pop("event")
            level = _LEVELS.get(kind, logging.INFO)
            self._log.log(level, EVENT_NAMES[kind], actor=actor, **facts)
