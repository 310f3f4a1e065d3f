"""What a hello tells a store that lost history, or may have: who is there, which term, what each one holds.

docs/protocol.md, safety rule 3. Nothing new is lent while `State.waiting` names anyone; an agent leaves
it by an operator's release, or by a hello and one message more: a hello that was late on the wire shows
what its agent held then, and only the nonce in the agent's next sync shows that it applied the answer.
"""

from collections.abc import Iterator, Sequence

from licensing.codes import Code, Refusal
from licensing.ledger import (
    AnyEvent,
    Enrolled,
    HelloSaid,
    RecoveryStarted,
    RosterLearned,
    ShareChanged,
    TermRaised,
    evolve,
)
from licensing.lender.lending import adopt, fall
from licensing.state import State
from licensing.wire import Answer, Hello, Roster


def recover(
    state: State, request: Hello, proofs: Sequence[Answer], public_key: str, behind: bool
) -> tuple[AnyEvent, ...] | Refusal:
    """The events by which a hello is accounted for; none where this store knows all that the agent knows.

    `unknown_agent` for an agent that is not enrolled here and has no stored answer to prove that it was, or
    that a newer roster leaves out.
    """
    if request.agent not in state.agents and not _believed(state, request, proofs, public_key):
        return Refusal(Code.UNKNOWN_AGENT)
    events: list[AnyEvent] = []
    for event in _accounted(state, request, proofs, public_key, behind):
        events.append(event)
        state = evolve(state, event)
    if request.agent in state.waiting:
        events.extend(_adopted(state, request, proofs))
        events.append(HelloSaid(request.agent, _epoch(state, request)))
    return tuple(events)


def roster_of(state: State) -> Roster:
    """The roster that answers carry."""
    return Roster(state.roster_version, dict(state.roster))


def everyone(state: State, *others: str) -> tuple[str, ...]:
    """Whom a recovery waits for: every PBX of the configuration, every agent not revoked, and `others`."""
    agents = {name for name, agent in state.agents.items() if not agent.revoked}
    return tuple(sorted({*state.pbxs, *agents, *others}))


def _accounted(
    state: State,
    request: Hello,
    proofs: Sequence[Answer],
    public_key: str,
    behind: bool,
) -> Iterator[AnyEvent]:
    released = request.agent in state.released
    recovering = state.recovering or (behind and not released)
    if recovering and not state.recovering:
        yield RecoveryStarted(everyone(state, request.agent))
    if request.term >= state.term and (
        behind or request.term > state.term or request.instance != state.instance
    ):
        yield TermRaised(request.term + 1)
    roster = max((p.roster for p in proofs if p.roster), key=lambda r: r.version, default=Roster(0, {}))
    if recovering and roster.version > state.roster_version:
        yield RosterLearned(roster.version, roster.agents)
    if released:
        yield from _readmitted(state, request, public_key)
    elif request.agent not in state.agents:
        yield Enrolled(request.agent, public_key, request.epoch, request.roster_version)


def _readmitted(state: State, request: Hello, public_key: str) -> Iterator[AnyEvent]:
    """A site released during the recovery comes back: share 0 under an epoch it has never had."""
    known = state.agents.get(request.agent)
    if known is None:
        yield Enrolled(request.agent, public_key, request.epoch + 1, request.roster_version)
    yield HelloSaid(request.agent, max(known.epoch if known else 0, request.epoch + 1))


def _adopted(state: State, request: Hello, proofs: Sequence[Answer]) -> Iterator[AnyEvent]:
    """What the agent proves and says to hold goes on record; proofs from before a release count for nothing.

    Less than it proves when it has wanted less since: others may hold the rest by now, lent from the store
    that is gone. Less than is on record when the record is from a backup or a hello late on the wire.
    """
    valid = [proof for proof in proofs if proof.epoch >= state.agents[request.agent].epoch]
    after = state
    for proof in valid:
        for class_, grant in proof.shares.items():
            after = adopt(after, request.agent, class_, grant.granted, grant.max_software)
    held = request.held if request.held is not None else _last_granted(valid)
    for class_ in tuple(after.shares.get(request.agent, {})):
        after = fall(after, request.agent, class_, held.get(class_, 0))
        share = after.share(request.agent, class_)
        if share != state.share(request.agent, class_):
            drawn = {str(key): units for key, units in share.drawn.items()}
            yield ShareChanged(request.agent, class_, share.granted, share.max_software, drawn)


def _last_granted(proofs: Sequence[Answer]) -> dict[str, int]:
    """What an agent from before `held` may have: its newest answer, the last one that it applied."""
    newest = max(proofs, key=lambda proof: (proof.epoch, proof.term, proof.ack_seq), default=None)
    return {name: grant.granted for name, grant in newest.shares.items()} if newest is not None else {}


def _epoch(state: State, request: Hello) -> int:
    return max(state.agents[request.agent].epoch, request.epoch)


def _believed(state: State, request: Hello, proofs: Sequence[Answer], public_key: str) -> bool:
    """An unknown agent is believed by its stored answer, unless a newer roster leaves it out."""
    rosters = [proof.roster for proof in proofs if proof.roster is not None]
    own_version = max((request.roster_version, *(roster.version for roster in rosters)))
    if state.roster_complete and state.roster_version > own_version:
        rosters = [roster_of(state)]
    newest = max(rosters, key=lambda roster: roster.version, default=None)
    return bool(proofs) and (newest is None or newest.agents.get(request.agent) == public_key)
