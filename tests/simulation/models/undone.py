"""What a master does that lacks one rule: the state or message that the real core sees, or what it made."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from licensing.demand import PoolKey
from licensing.ledger import SiteAccounted, replay
from licensing.lender import allocator, recall
from licensing.lender.claims import Claims
from licensing.lender.contact import Contact
from licensing.lender.lending import fall
from licensing.pool import Pool
from licensing.state import Share, State
from licensing.wire import ClassDemand, Hello, ShareGrant, Sync
from tests.simulation.models.rules import Rule

Demands = Mapping[str, Mapping[str, ClassDemand]]
Rules = frozenset[Rule]

_OF_POOLS = (Rule.SURPLUS_FALLS, Rule.WHOLE_BUNDLE, Rule.STANDBY_WHOLE)


def before_examination(
    state: State, message: Sync, known: Contact | None, digest: int, rules: Rules
) -> tuple[Sync, Contact | None]:
    """The message and the contact as a master sees them that does not look at epoch, seq or nonce."""
    agent = state.agents.get(message.agent)
    if agent is None or known is None:
        return message, known
    if Rule.KNOWN_MASTER not in rules:
        message = msgspec.structs.replace(message, instance=state.instance, term=state.term)
    if Rule.EPOCH not in rules and message.epoch < agent.epoch:
        known = msgspec.structs.replace(known, epoch=agent.epoch)
        return msgspec.structs.replace(message, epoch=agent.epoch), known
    if Rule.SEQ_ORDER not in rules and message.seq < known.seq:
        return message, msgspec.structs.replace(known, seq=message.seq - 1, any_prev=True)
    if Rule.SAME_SEQ not in rules and message.seq == known.seq and known.body_hash not in ("", str(digest)):
        return message, msgspec.structs.replace(known, seq=message.seq - 1)
    if Rule.OLD_NONCE not in rules and message.seq > known.seq:
        known = msgspec.structs.replace(known, any_prev=True)
    if Rule.OLD_SEQ not in rules:
        known = msgspec.structs.replace(known, stray="")
    return message, known


def hello(message: Hello, rules: Rules) -> Hello:
    """A hello that does not say what it holds."""
    return message if Rule.HELD in rules else msgspec.structs.replace(message, held=None)


def before_decision(
    state: State, demands: Demands, agent: str, rules: Rules, pools: Mapping[PoolKey, Pool]
) -> State:
    """The state that the allocator sees."""
    if any(rule not in rules for rule in _OF_POOLS):
        state = replace(state, pools={**state.pools, **pools})
    if Rule.RETURNED_FIRST not in rules:
        for other, told in demands.items():
            for class_, demand in told.items():
                if other != agent:
                    state = fall(state, other, class_, demand.used)
    return state


def after_decision(
    before: State, outcome: allocator.Outcome, demands: Demands, message: Sync, rules: Rules
) -> allocator.Outcome:
    """The outcome, or another one decided after a recovery that ended too early."""
    state = replace(outcome.state, pools=before.pools)
    early: frozenset[str] = frozenset()
    if isinstance(message, Hello) and Rule.ACCOUNTED_BY_SYNC not in rules:
        early = state.waiting & {message.agent}
    if Rule.RECOVERY_WAITS not in rules:
        early = state.waiting
    if early:
        state = replay([SiteAccounted(name) for name in early], state)
        return allocator.sync(state, demands, message)
    if Rule.NEWEST_MARKED not in rules:
        demands = {**demands, message.agent: outcome.demand}
        shares = _oldest_marked(state, demands, message.agent, outcome.shares)
        return replace(outcome, state=state, shares=shares)
    return replace(outcome, state=state)


def _oldest_marked(
    state: State, demands: Demands, agent: str, grants: Mapping[str, ShareGrant]
) -> dict[str, ShareGrant]:
    claims = Claims(_backwards(state), demands, frozenset())
    marked = {}
    for class_, grant in grants.items():
        cut = recall.recalled(claims, agent, class_)
        marked[class_] = msgspec.structs.replace(grant, recall_to=grant.granted - cut if cut else None)
    return marked


def _backwards(state: State) -> State:
    """The state in which the newest units look the oldest."""
    shares = {
        agent: {
            class_: Share(
                each.granted,
                each.max_software,
                each.drawn,
                tuple((-position, units) for position, units in reversed(each.layers)),
            )
            for class_, each in classes.items()
        }
        for agent, classes in state.shares.items()
    }
    return replace(state, shares=shares)
