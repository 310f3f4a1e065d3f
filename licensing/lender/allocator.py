"""The master's decision: what each agent has on record and may have, from what it says it needs.

Pure: state and demands in, events and the answer's shares and denials out. The caller has verified the
signature, asked `contact.examine`, and commits `events` before the answer leaves. What agents need is
telemetry (`Demands`) and never in the ledger; what they have on record is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from licensing.codes import Code, Refusal
from licensing.ledger import AnyEvent, ShareChanged, SiteAccounted, SoftwareReported, replay
from licensing.lender import boxes, recall
from licensing.lender.box_events import MacDoubted, MacProven
from licensing.lender.boxes import Sightings
from licensing.lender.claims import Claims, Demands, may_grow, need
from licensing.lender.denial import denial
from licensing.lender.lending import fall, grow, move, room, stamp
from licensing.lender.recovery import recover
from licensing.lender.takeover import with_reserve
from licensing.state import State
from licensing.wire import Answer, ClassDemand, Denial, Hello, ShareGrant, Sync

__all__ = ["Demands", "Outcome", "bye", "hello", "sync"]

_NOTHING = ClassDemand(used=0, want=0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision: the events to commit, the state they lead to, what to answer and whom to wake.

    `demand` is what the agent said, made plausible; `wake` never holds a silent agent. `claims` are
    everyone's on that state: given to the next decision, with their `demands`, they are not counted again.
    """

    state: State
    events: tuple[AnyEvent, ...]
    shares: Mapping[str, ShareGrant]
    denials: Mapping[str, Denial]
    demand: Mapping[str, ClassDemand]
    wake: frozenset[str]
    claims: Claims = field(compare=False)


def sync(
    state: State,
    demands: Demands,
    request: Sync,
    *,
    silent: Set[str] = frozenset(),
    no_room: bool = False,
    sightings: Sightings = MappingProxyType({}),
    known: Claims | None = None,
) -> Outcome:
    """Decide a sync of an enrolled agent that `examine` called fresh; with `no_room` nothing grows.

    `known` are the claims of an outcome before; they are counted anew where they are not those of now.
    """
    events = (*_accounted(state, request.agent), *_reported(state, request, sightings))
    after = replay(events, state)
    return _decide(after, events, demands, request.agent, request.classes, silent, no_room, known)


def bye(state: State, demands: Demands, agent: str, *, silent: Set[str] = frozenset()) -> Outcome:
    """Everything back: the agent's record falls to nothing, its enrolment stays."""
    events = tuple(_accounted(state, agent))
    return _decide(replay(events, state), events, demands, agent, {}, silent)


def hello(
    state: State,
    demands: Demands,
    request: Hello,
    proofs: Sequence[Answer],
    public_key: str,
    *,
    behind: bool,
    silent: Set[str] = frozenset(),
    no_room: bool = False,
    sightings: Sightings = MappingProxyType({}),
) -> Outcome | Refusal:
    """Decide a hello: a sync that in a recovery first puts on record what the agent proves to hold.

    `proofs` are the bodies of its stored answers whose signatures by this master's key were verified,
    `public_key` (base64) the key that signed the request, `behind` as `Fresh` says.
    `unknown_agent` when the store does not know the agent and nothing proves it.
    """
    found = recover(state, request, proofs, public_key, behind)
    if isinstance(found, Refusal):
        return found
    after = replay(found, state)
    reported = tuple(_reported(after, request, sightings))
    after = replay(reported, after)
    return _decide(after, found + reported, demands, request.agent, request.classes, silent, no_room)


def _accounted(state: State, agent: str) -> Iterator[AnyEvent]:
    """A recovery lets an agent say more than hello only when it has applied the answer to its hello."""
    if agent in state.waiting:
        yield SiteAccounted(agent)


def _reported(state: State, request: Sync, sightings: Sightings) -> Iterator[AnyEvent]:
    """What an agent says of its PBX: the release it runs, and the box that it stands on."""
    if state.agents[request.agent].software != request.software.release:
        yield SoftwareReported(request.agent, request.software.release)
    yield from boxes.judged(state, sightings, request.agent, request.relay)


def _decide(
    state: State,
    before: tuple[AnyEvent, ...],
    demands: Demands,
    agent: str,
    classes: Mapping[str, ClassDemand],
    silent: Set[str],
    no_room: bool = False,
    known: Claims | None = None,
) -> Outcome:
    """All falls to what is wanted, then needs are met, then preferences while nothing is short."""
    told = {name: _plausible(classes[name]) for name in state.classes if name in classes}
    demand = with_reserve(state, agent, told)
    silent = silent - {agent}
    names = [name for name in state.classes if name in demand or state.share(agent, name).granted]
    if known is None or not known.fit(state, demands, silent, no_room):
        known = Claims(state, demands, silent, no_room)
    lent, claims = _lent(known, agent, demand, names)
    events = tuple(_changes(state, lent, agent, names))
    after = replay(events, state)
    claims = claims.after(after, agent, demand)
    cuts = {name: recall.recalled(claims, agent, name) for name in names}
    denials = dict(_denials(claims, agent, demand, cuts))
    denials |= {name: _unknown_class(classes[name]) for name in classes if name not in state.classes}
    returned = {key for key in state.lent if after.lent_from(key) < state.lent_from(key)}
    if any(isinstance(event, SiteAccounted | MacProven) for event in before):
        returned |= after.pools.keys()
    wake = (recall.served_by(claims, returned) | _concerned(claims, before)).union(
        *(recall.holders_of_idle(claims, agent, name) for name, found in denials.items() if found.recalling)
    )
    return Outcome(
        state=after,
        events=before + events,
        shares={name: _grant(claims, agent, name, cuts[name], told.get(name, _NOTHING)) for name in names},
        denials=denials,
        demand=demand,
        wake=wake - {agent} | (after.waiting & {agent}),
        claims=claims,
    )


def _concerned(claims: Claims, before: tuple[AnyEvent, ...]) -> frozenset[str]:
    """Whom a judgement on a MAC concerns: the agent of that box, and all who have to give units back."""
    names = frozenset(event.pbx for event in before if isinstance(event, MacProven | MacDoubted))
    return names and names - claims.silent | recall.holders_of_surplus(claims, claims.state.pools.keys())


def _lent(
    known: Claims, agent: str, demand: Mapping[str, ClassDemand], names: Sequence[str]
) -> tuple[State, Claims]:
    """The state with this agent's share as it shall be, and the claims that were counted last on the way."""
    state = known.state
    for name in names:
        state = move(fall(state, agent, name, demand.get(name, _NOTHING).want), agent, name)
    if not known.may_grow(agent):
        return state, known
    for name in names:
        missing = need(demand.get(name, _NOTHING)) - state.share(agent, name).granted
        state = grow(state, agent, name, missing)
    preferred = {name: demand.get(name, _NOTHING).want - state.share(agent, name).granted for name in names}
    claims = known.after(state, agent, demand) if any(units > 0 for units in preferred.values()) else known
    for name, units in preferred.items():
        if units > 0 and not _short(claims, agent, name):
            state = grow(state, agent, name, min(units, _left_over(claims, state, agent, name)))
    return state, claims


def _short(claims: Claims, agent: str, class_: str) -> bool:
    software = claims.state.software_for(agent, class_)
    bundle = claims.state.bundle(agent, class_) or ()
    return any(all(claims.is_short(key, software) for key in slot) for slot in bundle)


def _left_over(claims: Claims, state: State, agent: str, class_: str) -> int:
    """What is free when everyone else's need has been set aside."""
    bundle = state.bundle(agent, class_) or ()
    asked = {
        claim[:2]: claim.unmet for slot in bundle for key in slot for claim in claims.at(key) if claim.unmet
    }
    return room(state, agent, class_) - sum(asked.values())


def _changes(state: State, lent: State, agent: str, names: Iterable[str]) -> Iterator[AnyEvent]:
    """One event for each class whose record differs; a share that is gone has neither pools nor a stamp."""
    for name in names:
        before, share = state.share(agent, name), lent.share(agent, name)
        max_software = stamp(lent, agent, name) if share.granted else 0
        if (before.granted, before.max_software, before.drawn) != (share.granted, max_software, share.drawn):
            drawn = {str(key): units for key, units in share.drawn.items()}
            yield ShareChanged(agent, name, share.granted, max_software, drawn)


def _grant(claims: Claims, agent: str, class_: str, cut: int, told: ClassDemand) -> ShareGrant:
    """What the agent may have: never more than it wants, though more may stay reserved for it (L.r16)."""
    state = claims.state
    share = state.share(agent, class_)
    return ShareGrant(
        granted=min(share.granted, told.want),
        max_software=share.max_software or stamp(state, agent, class_),
        recall_to=share.granted - cut if cut else None,
        state=_mood(claims, agent, class_, cut),
    )


def _mood(
    claims: Claims, agent: str, class_: str, cut: int
) -> Literal["open", "short", "recovering", "frozen"]:
    if claims.state.recovering:
        return "recovering"
    if not may_grow(claims.state, agent):
        return "frozen"
    return "short" if cut or _short(claims, agent, class_) else "open"


def _denials(
    claims: Claims, agent: str, demand: Mapping[str, ClassDemand], cuts: Mapping[str, int]
) -> Iterator[tuple[str, Denial]]:
    """A denial for each class in which an object waits that the share, without its surplus, cannot serve."""
    for name, told in demand.items():
        share = claims.state.share(agent, name)
        serves = share.max_software >= claims.state.software_for(agent, name)
        usable = share.granted - cuts[name] if serves else 0
        if need(told) > max(usable, told.used):
            yield name, denial(claims, agent, name, need(told))


def _unknown_class(told: ClassDemand) -> Denial:
    """A class of a newer agent: this master lends none of it."""
    return Denial(asked=told.want, granted=0, code=Code.NOT_LICENSED, capacity=0, used=0)


def _plausible(told: ClassDemand) -> ClassDemand:
    """What an agent says, without numbers that cannot be: nothing negative, idle only beyond what is used."""
    used, surplus = max(0, told.used), max(0, told.surplus)
    want = max(0, told.want)
    idle = min(max(0, told.idle), max(0, want - used - surplus))
    return ClassDemand(used, want, surplus, idle, max(0, told.peak), max(0, told.refused))
