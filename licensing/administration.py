"""What an administrator may do to an installation's sites: found, configure, enrol, release, revoke.

Each function says what would change or why not; the caller commits `events` and wakes `wake`. Licences are
installed and removed in `inventory`.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from licensing.codes import Code, Refusal
from licensing.demand import PoolKey
from licensing.installation import Pbx, Settings
from licensing.ledger import (
    AnyEvent,
    Enrolled,
    Founded,
    PbxAdded,
    PbxChanged,
    PbxRemoved,
    PolicyChanged,
    RecoveryStarted,
    Restored,
    Revoked,
    SettingsChanged,
    SiteConfirmed,
    SiteReleased,
    TermRaised,
    evolve,
    replay,
)
from licensing.lender import bound, recall
from licensing.lender.claims import Claims, Demands
from licensing.lender.recovery import everyone
from licensing.named.assigned import kept
from licensing.rules import LicenceWarning
from licensing.state import State


@dataclass(frozen=True, slots=True)
class Change:
    """What an administrator's command does: events to commit, the state after them, whom to wake."""

    state: State
    events: tuple[AnyEvent, ...]
    wake: frozenset[str] = frozenset()
    warnings: tuple[LicenceWarning, ...] = ()


def change(
    state: State,
    events: Sequence[AnyEvent],
    demands: Demands | None = None,
    silent: Set[str] = frozenset(),
    warnings: tuple[LicenceWarning, ...] = (),
) -> Change:
    """The change that these events make: woken is who can be served now, or has to give back.

    Assigned units are settled once for all events together (L.r26): nobody loses one in between.
    """
    after, events = as_one(state, replay(events, state), events)
    claims = Claims(after, demands or {}, silent)
    keys = {key for key in {*state.pools, *after.pools, *after.lent} if _differs(state, after, key)}
    if state.recovering and not after.recovering:
        keys |= after.pools.keys()
    moved = {name for name in after.shares if state.place_of(name) != after.place_of(name)} - silent
    told = bound.told(after, demands or {}, keys) - silent
    wake = recall.served_by(claims, keys) | recall.holders_of_surplus(claims, keys) | moved | told
    return Change(after, tuple(events), wake, warnings)


def as_one(before: State, after: State, events: Sequence[AnyEvent]) -> tuple[State, Sequence[AnyEvent]]:
    """The state after these events as one change, and the events that make it."""
    keep = kept(before, after) if len(events) > 1 else None
    return (after, events) if keep is None else (evolve(after, keep), (*events, keep))


def _differs(before: State, after: State, key: PoolKey) -> bool:
    return (
        before.pool(key) != after.pool(key)
        or before.lent_from(key) != after.lent_from(key)
        or before.reserved(key) != after.reserved(key)
    )


def found(instance: str, term: int, *, recovery: bool, settings: Settings, pbxs: Sequence[Pbx]) -> Change:
    """The first events of a store: that of `init` may lend at once, that of `serve` is in recovery."""
    events: list[AnyEvent] = [Founded(instance, term), SettingsChanged(settings)]
    events += [PbxAdded(pbx) for pbx in pbxs]
    if recovery:
        events.append(RecoveryStarted(tuple(sorted(pbx.name for pbx in pbxs))))
    return change(State(), events)


def start_recovery(state: State, *, instance: str = "", term: int = 0) -> Change:
    """A store that was restored from a backup lends nothing new before it knows what each agent holds.

    `instance` is its new name, so that no agent takes it for the store that went on (empty: it keeps its
    own); its term is above that of the backup and above `term`, the highest that is known.
    """
    restored = Restored(instance or state.instance, max(state.term, term) + 1)
    return change(state, [restored, RecoveryStarted(everyone(state))])


def raise_term(state: State) -> Change:
    """A new incarnation of the master starts."""
    return change(state, [TermRaised(state.term + 1)])


def configure(
    state: State, settings: Settings, pbxs: Sequence[Pbx], policies: Mapping[str, str]
) -> Change | Refusal:
    """Make the installation as configured; `policies` is JSON text by PBX.

    `share_held` for a PBX taken out that still holds a share (or may, in a recovery), `smb_exclusion` for a
    second PBX beside SMB-Port (3.4, L.r17).
    """
    gone = [name for name in state.pbxs if name not in {pbx.name for pbx in pbxs}]
    for name in gone:
        if state.holds_share(name) or name in state.waiting:
            return Refusal(Code.SHARE_HELD, name)
    if len(pbxs) > 1 and any(e.pool == "smb-port" for e in state.entitlements.values()):
        return Refusal(Code.SMB_EXCLUSION, f"{len(pbxs)} PBXs beside SMB-Port licences")
    return change(state, list(_configured(state, settings, pbxs, gone, policies)))


def _configured(
    state: State, settings: Settings, pbxs: Sequence[Pbx], gone: Sequence[str], policies: Mapping[str, str]
) -> Iterator[AnyEvent]:
    if settings != state.settings:
        yield SettingsChanged(settings)
    for name in gone:
        yield PbxRemoved(name)
    for pbx in pbxs:
        if pbx.name not in state.pbxs:
            yield PbxAdded(pbx)
        elif pbx != state.pbxs[pbx.name]:
            yield PbxChanged(pbx)
        policy = policies.get(pbx.name)
        if policy is not None and policy != state.policies.get(pbx.name):
            yield PolicyChanged(pbx.name, policy)


def may_enrol(state: State, pbx: str) -> Refusal | None:
    """Whether `invite` and `enrol` may go on: the PBX is configured and holds no share (`share_held`).

    In a recovery nobody knows yet what a PBX holds (`recovering`): release the site first.
    """
    if pbx not in state.pbxs:
        return Refusal(Code.NOT_FOUND, f"no PBX {pbx} in the configuration")
    if pbx in state.waiting:
        return Refusal(Code.RECOVERING, pbx)
    if state.holds_share(pbx):
        return Refusal(Code.SHARE_HELD, pbx)
    return None


def enrol(state: State, pbx: str, public_key: str) -> Change | Refusal:
    """A new key (base64) for this PBX; its epoch rises and its share is 0."""
    refusal = may_enrol(state, pbx)
    if refusal is not None:
        return refusal
    known = state.agents.get(pbx)
    return change(state, [Enrolled(pbx, public_key, known.epoch + 1 if known else 1)])


def revoke(state: State, agent: str) -> Change | Refusal:
    """The key is refused from now on; the share stays on record until `release_site`."""
    if agent not in state.agents:
        return _unknown(agent)
    return change(state, [] if state.agents[agent].revoked else [Revoked(agent)])


def release_site(
    state: State, agent: str, *, demands: Demands | None = None, silent: Set[str] = frozenset()
) -> Change | Refusal:
    """Take a share back without asking its agent, whose phones may still use it: the operator's risk."""
    known = state.agents.get(agent)
    if known is None and agent not in state.waiting:
        return _unknown(agent)
    epoch = known.epoch + 1 if known else 0
    heard = {name: demand for name, demand in (demands or {}).items() if name != agent}
    return change(state, [SiteReleased(agent, epoch)], heard, silent)


def confirm_site(state: State, agent: str) -> Change | Refusal:
    """End an alarm, a freeze or a quarantine; the caller stores `contact.confirmed_contact`."""
    if agent not in state.agents:
        return _unknown(agent)
    standing = state.agents[agent].standing
    return change(state, [] if standing == "good" else [SiteConfirmed(agent)])


def _unknown(agent: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f"no agent {agent}")
