"""Who holds and who needs units of a pool: what recall, denial, wake and the short pool are decided from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from licensing.demand import RELAY_CHANNEL, PoolKey
from licensing.lender.lending import kept_from
from licensing.site.want import nominal_spare
from licensing.state import NO_SHARE, Share, State
from licensing.wire import ClassDemand

Demands = Mapping[str, Mapping[str, ClassDemand]]
"""What each agent last said, by agent and class; an agent not heard since the start is not in it."""

_NOTHING = ClassDemand(used=0, want=0)
_NO_SHARES: Mapping[str, Share] = {}


class Claim(NamedTuple):
    """One agent's class at one pool, in units of that pool.

    `held` on record, `idle` of them nobody needs, `unmet` needed but not on record, `used` by objects;
    `spare` what the agent would like to keep idle, `guarded` the idle ones reserved for it (L.r35).
    A silent agent asks for nothing.
    """

    agent: str
    class_: str
    software: int
    share: Share
    held: int
    idle: int
    unmet: int
    used: int
    spare: int
    guarded: int
    silent: bool

    @property
    def loose(self) -> int:
        """Idle units that go to whoever needs them."""
        return self.idle - self.guarded


def need(demand: ClassDemand) -> int:
    """Units that objects need now: what is wanted without lingering and spare."""
    return demand.want - demand.idle


class Sums(NamedTuple):
    """Claims on a pool added up; `returning` are the idle units of agents that answer, but for guarded ones.

    `kept` are units reserved and not lent yet, `unmet` what is needed beyond them.
    """

    held: int
    idle: int
    returning: int
    unmet: int
    spares: int
    guarded: int
    kept: int


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims on every pool at one moment, counted for a pool when it is first asked for.

    With `no_room` the master's disk is nearly full: nobody may grow.
    """

    state: State
    demands: Demands
    silent: Set[str]
    no_room: bool = False
    _by_pool: dict[PoolKey, Sequence[Claim]] = field(default_factory=dict)
    _sums: dict[tuple[PoolKey, int], Sums] = field(default_factory=dict)

    def at(self, key: PoolKey) -> Sequence[Claim]:
        """Everyone who holds units of this pool, and who may draw from it if anything is installed."""
        found = self._by_pool.get(key)
        if found is None:
            names = dict.fromkeys(self.state.lent.get(key, ()))
            if key in self.state.pools:
                names |= dict.fromkeys(self.demands)
            found = self._by_pool[key] = self._of(names, key)
        return found

    def sums(self, key: PoolKey, step: int) -> Sums:
        """The claims of those whose software is `step` or newer, added up."""
        found = self._sums.get((key, step))
        if found is None:
            held = idle = returning = unmet = spares = guarded = 0
            kept = self.state.kept_for(key, step)
            for claim in self.at(key):
                if claim.software >= step:
                    held += claim.held
                    idle += claim.idle
                    returning += 0 if claim.silent else claim.loose
                    if claim.unmet:
                        unmet += max(0, claim.unmet - kept.get(claim.agent, 0))
                    spares += claim.spare
                    guarded += claim.guarded
            found = Sums(held, idle, returning, unmet, spares, guarded, sum(kept.values()))
            self._sums[key, step] = found
        return found

    def steps(self, key: PoolKey, software: int) -> Iterator[tuple[int, Sums]]:
        """What each version step up to this software offers, and the claims on it."""
        return ((units, sums) for _, units, sums in self._stepwise(key, software))

    def _stepwise(self, key: PoolKey, software: int) -> Iterator[tuple[int, int, Sums]]:
        for step, units in self.state.pool(key).steps:
            if step <= software:
                yield step, units, self.sums(key, step)

    def obtainable(self, key: PoolKey, agent: str, software: int) -> int:
        """Units that this agent could be lent now, or once all idle ones of agents that answer are back."""
        return min(
            units - sums.held + sums.returning - kept_from(self.state, key, agent, step)
            for step, units, sums in self._stepwise(key, software)
        )

    def is_short(self, key: PoolKey, software: int) -> bool:
        """Whether the pool cannot give everyone what is needed and the default spare on top.

        Measured by the spare that each would like, not by the one it keeps, so that obeying does not end it.
        """
        if key not in self.state.pools:
            return True
        margin = min(
            units - sums.held + sums.idle - sums.guarded - sums.kept - sums.unmet
            for units, sums in self.steps(key, software)
        )
        return margin < self.sums(key, 0).spares

    def after(self, state: State, agent: str) -> "Claims":
        """These claims when only this agent's record has changed since."""
        changed = Claims(state, self.demands, self.silent, self.no_room)
        for key, found in self._by_pool.items():
            others = [claim for claim in found if claim.agent != agent]
            changed._by_pool[key] = others + changed._of((agent,), key)
        return changed

    def may_grow(self, agent: str) -> bool:
        """Whether anything new may be lent to this agent now."""
        return not self.no_room and may_grow(self.state, agent)

    def _of(self, names: Iterable[str], key: PoolKey) -> list[Claim]:
        state, silent, found = self.state, self.silent, []
        reach, reserved = state.reach(key), state.reserved(key)
        for agent in names:
            shares = state.shares.get(agent, _NO_SHARES)
            heard = self.demands.get(agent)
            quiet = agent in silent or not answers(state, agent)
            grows = not self.no_room and not quiet
            for class_ in _named(shares, heard):
                share = shares.get(class_, NO_SHARE)
                held = share.drawn.get(key, 0)
                reaches = (agent, class_) in reach
                if held or reaches:
                    demand = _told(share) if heard is None else heard.get(class_, _NOTHING)
                    kept = reserved.get(agent, 0)
                    claim = _claim(state, agent, class_, share, held, demand, reaches, quiet, grows, kept)
                    found.append(claim)
        return found


def _claim(
    state: State,
    agent: str,
    class_: str,
    share: Share,
    held: int,
    demand: ClassDemand,
    reaches: bool,
    silent: bool,
    grows: bool,
    reserved: int,
) -> Claim:
    missing = need(demand) - share.granted
    idle = min(held, -missing) if missing < 0 else 0
    asks = missing > 0 and reaches and grows and may_grow(state, agent)
    return Claim(
        agent,
        class_,
        state.software_for(agent, class_),
        share,
        held,
        idle,
        missing if asks else 0,
        min(held, demand.used),
        nominal_spare(demand.used) if reaches and class_ != RELAY_CHANNEL else 0,
        min(idle, max(0, reserved - (held - idle))),
        silent,
    )


def _named(shares: Mapping[str, Share], heard: Mapping[str, ClassDemand] | None) -> Iterable[str]:
    if not heard:
        return shares
    return heard if shares.keys() <= heard.keys() else {**shares, **heard}


def _told(share: Share) -> ClassDemand:
    """Before an agent has said anything it needs all that it has."""
    return ClassDemand(used=share.granted, want=share.granted)


def answers(state: State, agent: str) -> bool:
    """Whether the master still listens to this agent, so that it can give units back."""
    known = state.agents.get(agent)
    return known is not None and not known.revoked and known.standing != "quarantined"


def may_grow(state: State, agent: str) -> bool:
    """Whether anything new may be lent to this agent at all."""
    return answers(state, agent) and state.agents[agent].standing != "frozen" and not state.recovering
