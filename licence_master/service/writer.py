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
from licence_master.store.snapshot import Snapshot
from licensing.ledger import AnyEvent, replay
from licensing.named.assignment import Rolls, moved
from licensing.named.standing import standings
from licensing.state import State
from licensing.terms import term_events
from licensing.terms.day import dated
from runtime.ballast import Ballast
from runtime.clock import Clock
from runtime.entropy import SYSTEM, Entropy
from runtime.logs import logger
from runtime.store import GroupCommit, Statement

SHOWN = 100  # who lost or got a unit, in one line of the log
MANY = 10  # a longer list in a fact of an event is shown as its length

EVENT_NAMES = {
    "Founded": "store.founded",
    "Restored": "store.restored",
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
    "DocumentInstalled": "file.installed",
    "RevocationsLearned": "revocations.learned",
    "Converted": "licence.converted",
    "Transferred": "licence.transferred",
    "PbxFailed": "pbx.failed",
    "PbxRecovered": "pbx.recovered",
    "MacProven": "mac.proven",
    "MacDoubted": "mac.doubted",
    "CatalogueLearned": "catalogue.learned",
    "Assigned": "licence.assigned",
    "Unassigned": "licence.unassigned",
    "UnitsKept": "units.kept",
    **term_events.EVENT_NAMES,
}
_LEVELS = {
    "CloneSuspected": logging.WARNING,
    "MacDoubted": logging.WARNING,
    "PbxFailed": logging.WARNING,
    "RecoveryStarted": logging.WARNING,
    "Restored": logging.WARNING,
    "SiteReleased": logging.WARNING,
    "SsaLapsed": logging.WARNING,
    "Reminded": logging.WARNING,
    "ShareChanged": logging.DEBUG,  # the ledger keeps them; as info they would be a line for each sync
}


def event_name(event: AnyEvent) -> str:
    """The event as logs, history and metrics call it: `noun.verb_past`."""
    return EVENT_NAMES[type(event).__name__]


def facts_of(event: AnyEvent) -> dict[str, object]:
    """What the event says, by the names of its fields, with days as people write them."""
    facts = msgspec.to_builtins(event, str_keys=True)
    facts.pop("event")
    return {name: dated(name, value) for name, value in facts.items()}


class Writer:
    """State, chain and queue of one installation's store; nothing else writes to it."""

    def __init__(
        self, name: str, commits: GroupCommit, clock: Clock, ballast: Ballast, entropy: Entropy = SYSTEM
    ) -> None:
        self.name = name
        self.clock = clock
        self.ballast = ballast
        self.entropy = entropy
        self.state = State()
        self.wakes = Wakes()
        self.tally = Tally()
        self._commits = commits
        self._head = b""
        self._log = logger(installation=name)

    def load(self, begin: Snapshot, entries: Sequence[ledger.Entry]) -> None:
        """Begin where the stored ledger ends: these rows come after that snapshot."""
        self.state = replay((entry.event for entry in entries), begin.state)
        self._head = entries[-1].hash if entries else begin.head

    @property
    def snapshot(self) -> Snapshot:
        """The state now, and the ledger row that led to it."""
        return Snapshot(self.state, self._head)

    @property
    def busy(self) -> bool:
        """The queue is full: refuse before deciding, since a decision cannot be undone."""
        return self._commits.full

    @property
    def no_room(self) -> bool:
        """The disk is nearly full: only what gives back, ends or repeats may be decided (decision 0021)."""
        return self.ballast.short(self.clock.monotonic_ms())

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
        awaited, rolls, self.state = self.state.waiting, self.state.rolls, state
        if entries:
            self._head = entries[-1].hash
            self._tell(events, actor)
            self._tell_moved(rolls)
        if awaited and awaited != state.waiting:
            self.remind()
            if not state.waiting:
                self._log.info("recovery.ended")
        future.add_done_callback(lambda _: self.tally.committed(self.clock.monotonic_ms() - begin))
        return future

    def remind(self) -> None:
        """Say whom a recovery waits for, so that nobody has to guess why nothing is lent."""
        if self.state.waiting:
            hint = (
                "nothing new is lent before their agents have answered; for one that never will:"
                " licence-master release-site PBX"
            )
            self._log.warning("recovery.waiting", pbxs=sorted(self.state.waiting), hint=hint)

    def settled(self) -> asyncio.Future[None]:
        """Ends when everything decided so far is durable."""
        return self._commits.defer([])

    def _tell(self, events: Sequence[AnyEvent], actor: str) -> None:
        for event in events:
            kind = type(event).__name__
            self.tally.events[kind] += 1
            level = _LEVELS.get(kind, logging.INFO)
            if self._log.is_enabled_for(level):
                facts = {name: _shown(value) for name, value in facts_of(event).items()}
                self._log.log(level, EVENT_NAMES[kind], actor=actor, **facts)

    def _tell_moved(self, before: Rolls) -> None:
        """Who got a unit of an assigned licence and who lost one, each in one list."""
        gained, lost = moved(before, self.state.rolls)
        if lost:
            numbers = {number for number, _ in lost}
            left = [each for each in standings(self.state) if each.number in numbers and each.reason]
            why = {each.number: str(each.reason.code) for each in left if each.reason}
            told = [f"{row.subject}: {row.licence} ({why.get(number, 'given back')})" for number, row in lost]
            self._log.warning("assignments.lost", count=len(lost), lost=told[:SHOWN])
        if gained:
            told = [f"{row.subject}: {row.licence}" for _, row in gained]
            self._log.info("assignments.gained", count=len(gained), gained=told[:SHOWN])


def _shown(value: object) -> object:
    """A fact of an event as the log shows it: of a long list only how many there are."""
    return len(value) if isinstance(value, list | tuple) and len(value) > MANY else value
