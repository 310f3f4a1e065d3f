"""The ledger: small events, what each makes of the state, how they are written and chained.

Every event knows its effect (`after`); `evolve` counts it. Replaying all events gives an equal state, so
the events are the truth and the state is only their sum (docs/protocol.md "Durability rules").
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import msgspec

from licensing.demand import PoolKey
from licensing.entitlement import Entitlement
from licensing.event import Event
from licensing.files.file_events import DocumentInstalled, RevocationsLearned
from licensing.files.stock_events import Converted, Transferred
from licensing.installation import Pbx, Settings
from licensing.lender.box_events import MacDoubted, MacProven
from licensing.lender.takeover_events import PbxFailed, PbxRecovered
from licensing.named.assigned import Assigned, CatalogueLearned, Unassigned, UnitsKept
from licensing.state import Agent, Standing, State
from licensing.terms.term_events import TermEvent


class Founded(Event, frozen=True):
    """A store was made; `instance` is random for each store."""

    instance: str
    term: int = 1

    def after(self, state: State) -> State:
        return replace(state, instance=self.instance, term=self.term)


class Restored(Event, frozen=True):
    """The store goes on from a backup, under an identity of its own: what came after the backup is lost."""

    instance: str
    term: int

    def after(self, state: State) -> State:
        return replace(state, instance=self.instance, term=self.term)


class TermRaised(Event, frozen=True):
    """A new incarnation of the master writes from now on."""

    term: int

    def after(self, state: State) -> State:
        return replace(state, term=self.term)


class SettingsChanged(Event, frozen=True):
    """The settings of the installation."""

    settings: Settings

    def after(self, state: State) -> State:
        return replace(state, settings=self.settings).restocked()


class PolicyChanged(Event, frozen=True):
    """The policy of a PBX as JSON text; the service alone reads it."""

    pbx: str
    policy: str

    def after(self, state: State) -> State:
        return replace(state, policies={**state.policies, self.pbx: self.policy})


class PbxAdded(Event, frozen=True):
    """A PBX of the configuration; a recovery waits for it too."""

    pbx: Pbx

    def after(self, state: State) -> State:
        known = self.pbx.name in state.heard | state.released
        waiting = state.waiting | {self.pbx.name} if state.recovering and not known else state.waiting
        pbxs = {**state.pbxs, self.pbx.name: self.pbx}
        return replace(state, pbxs=pbxs, waiting=waiting).restocked()


class PbxChanged(Event, frozen=True):
    """A PBX is described differently."""

    pbx: Pbx

    def after(self, state: State) -> State:
        return replace(state, pbxs={**state.pbxs, self.pbx.name: self.pbx}).restocked()


class PbxRemoved(Event, frozen=True):
    """A PBX left the configuration, and its agent the installation."""

    name: str

    def after(self, state: State) -> State:
        pbxs = {name: pbx for name, pbx in state.pbxs.items() if name != self.name}
        state = PbxRecovered(self.name).after(_revoked(state, self.name))
        return replace(state, pbxs=pbxs, waiting=state.waiting - {self.name}).restocked()


class Installed(Event, frozen=True):
    """Units of a licence type; the entitlement's number is the position of this event."""

    entitlement: Entitlement

    def after(self, state: State) -> State:
        entitlements = {**state.entitlements, self.entitlement.number: self.entitlement}
        return replace(state, entitlements=entitlements, licences_lost=False).restocked()


class Removed(Event, frozen=True):
    """Units of an entitlement that are no longer installed."""

    number: int
    count: int

    def after(self, state: State) -> State:
        entitlements = dict(state.entitlements)
        left = entitlements[self.number].without(self.count)
        if left is None:
            del entitlements[self.number]
        else:
            entitlements[self.number] = left
        return replace(state, entitlements=entitlements).restocked()


class Enrolled(Event, frozen=True):
    """An agent has a key and an epoch; nothing is on record for it yet.

    `roster_version` is the highest that it has seen, so that the next roster is newer.
    """

    agent: str
    public_key: str
    epoch: int
    roster_version: int = 0

    def after(self, state: State) -> State:
        known = state.agents.get(self.agent)
        agent = Agent(self.agent, self.public_key, self.epoch, known.software if known else None)
        return replace(
            state,
            agents={**state.agents, self.agent: agent},
            released=state.released - {self.agent},
            roster={**state.roster, self.agent: self.public_key},
            roster_version=max(state.roster_version, self.roster_version) + 1,
        )


class Revoked(Event, frozen=True):
    """The agent's key is worth nothing any more; its share stays on record until it is released."""

    agent: str

    def after(self, state: State) -> State:
        return _revoked(state, self.agent)


class SiteReleased(Event, frozen=True):
    """An operator took the share back without asking the agent; its old epoch is refused from now on.

    Of a failed PBX nothing stays reserved either.
    """

    agent: str
    epoch: int

    def after(self, state: State) -> State:
        for class_ in tuple(state.shares.get(self.agent, {})):
            state = ShareChanged(self.agent, class_, 0, 0, {}).after(state)
        if self.agent in state.failed:
            state = PbxFailed(self.agent, {}).after(state)
        agents = dict(state.agents)
        if self.agent in agents:
            agents[self.agent] = replace(agents[self.agent], epoch=self.epoch)
        released = state.released | {self.agent} if state.recovering else state.released
        return _ended(replace(state, agents=agents, released=released, waiting=state.waiting - {self.agent}))


class SoftwareReported(Event, frozen=True):
    """The agent says which release its PBX runs."""

    agent: str
    release: int

    def after(self, state: State) -> State:
        agent = replace(state.agents[self.agent], software=self.release)
        return replace(state, agents={**state.agents, self.agent: agent}).restocked()


class ShareChanged(Event, frozen=True, rename={"class_": "class"}):
    """What is on record for an agent and class; `drawn` maps the names of pools to units."""

    agent: str
    class_: str
    granted: int
    max_software: int
    drawn: dict[str, int]

    def after(self, state: State) -> State:
        drawn = {PoolKey.parse(name): units for name, units in self.drawn.items()}
        share = state.share(self.agent, self.class_)
        changed = share.changed(self.granted, self.max_software, drawn, state.position)
        return state.with_share(self.agent, self.class_, changed)


class RecoveryStarted(Event, frozen=True):
    """This store may have lost history: it lends nothing new until all of `waiting` are accounted for."""

    waiting: tuple[str, ...]

    def after(self, state: State) -> State:
        return replace(
            state,
            waiting=frozenset(self.waiting),
            heard=frozenset(),
            released=frozenset(),
            roster_complete=state.roster_version > 0,
            licences_lost=not state.entitlements,
        )


class RosterLearned(Event, frozen=True):
    """A newer roster than this store knew came with a hello; its names are waited for too."""

    version: int
    agents: dict[str, str]

    def after(self, state: State) -> State:
        new = frozenset(self.agents) - state.heard - state.released
        return replace(
            state,
            roster=self.agents,
            roster_version=self.version,
            roster_complete=True,
            waiting=state.waiting | new,
        )


class HelloSaid(Event, frozen=True):
    """An agent has shown what it holds; its epoch is at least this.

    It is still waited for: the hello may be an old one that was late on the wire (`SiteAccounted`).
    """

    agent: str
    epoch: int

    def after(self, state: State) -> State:
        agent = replace(state.agents[self.agent], epoch=self.epoch)
        return replace(
            state,
            agents={**state.agents, self.agent: agent},
            heard=state.heard | {self.agent},
            released=state.released - {self.agent},
        )


class SiteAccounted(Event, frozen=True):
    """The agent has applied the answer to its hello, so that what is on record is what it holds."""

    agent: str

    def after(self, state: State) -> State:
        return _ended(replace(state, waiting=state.waiting - {self.agent}))


class CloneSuspected(Event, frozen=True):
    """Two processes seem to use one identity, or one runs from a restored snapshot."""

    agent: str
    reason: Literal["same_seq", "old_nonce", "old_seq"]
    standing: Standing

    def after(self, state: State) -> State:
        return _standing(state, self.agent, self.standing)


class SiteConfirmed(Event, frozen=True):
    """An operator says that the one agent running is the right one."""

    agent: str

    def after(self, state: State) -> State:
        return _standing(state, self.agent, "good")


AnyEvent = (
    Founded
    | Restored
    | TermRaised
    | SettingsChanged
    | PolicyChanged
    | PbxAdded
    | PbxChanged
    | PbxRemoved
    | Installed
    | Removed
    | Enrolled
    | Revoked
    | SiteReleased
    | SoftwareReported
    | ShareChanged
    | RecoveryStarted
    | RosterLearned
    | HelloSaid
    | SiteAccounted
    | CloneSuspected
    | SiteConfirmed
    | DocumentInstalled
    | RevocationsLearned
    | Converted
    | Transferred
    | PbxFailed
    | PbxRecovered
    | MacProven
    | MacDoubted
    | CatalogueLearned
    | Assigned
    | Unassigned
    | UnitsKept
    | TermEvent
)


def evolve(state: State, event: AnyEvent) -> State:
    """The state after one more event."""
    return replace(event.after(state), position=state.position + 1)


def replay(events: Iterable[AnyEvent], state: State | None = None) -> State:
    """The state after all these events, from nothing or from a state."""
    state = State() if state is None else state
    for event in events:
        state = evolve(state, event)
    return state


_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    """The event as JSON."""
    return msgspec.json.encode(event)


def decode(body: bytes) -> AnyEvent:
    """The event of this JSON; `msgspec.ValidationError` when it is none."""
    return _DECODER.decode(body)


def link(previous: bytes, seq: int, term: int, at_ms: int, actor: str, body: bytes) -> bytes:
    """The SHA-256 that chains a ledger row to the one before it, in 32 bytes; the first has none."""
    head = msgspec.json.encode((previous.hex(), seq, term, at_ms, actor))
    return hashlib.sha256(head + b"\n" + body).digest()


def _revoked(state: State, name: str) -> State:
    agents = dict(state.agents)
    if name in agents:
        agents[name] = replace(agents[name], revoked=True)
    roster = {agent: key for agent, key in state.roster.items() if agent != name}
    return replace(state, agents=agents, roster=roster, roster_version=state.roster_version + 1)


def _standing(state: State, name: str, standing: Standing) -> State:
    agent = replace(state.agents[name], standing=standing)
    return replace(state, agents={**state.agents, name: agent})


def _ended(state: State) -> State:
    return state if state.waiting else replace(state, heard=frozenset(), roster_complete=True)
