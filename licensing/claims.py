"""Who holds and who needs units of a pool: what recall, denial, wake and the short pool are decided from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from licensing.demand import PoolKey
from licensing.state import NO_SHARE, Share, State
from licensing.want import nominal_spare
from licensing.wire import ClassDemand

Demands = Mapping[str, Mapping[str, ClassDemand]]
"""What each agent last said, by agent and class; an agent not heard since the start is not in it."""

_NOTHING = ClassDemand(used=0, want=0)
_NO_SHARES: Mapping[str, Share] = {}


class Claim(NamedTuple):
    """One agent's class at one pool, in units of that pool.

    `held` on record, `idle` of them nobody needs, `unmet` needed but not on record, `used` by objects;
    `spare` what the agent would like to keep idle. A silent agent asks for nothing.
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
    silent: bool


def need(demand: ClassDemand) -> int:
    """Units that objects need now: what is wanted without lingering and spare."""
    return demand.want - demand.idle


class Sums(NamedTuple):
    """Claims on a pool added up; `returning` are the idle units of agents that answer."""

    held: int
    idle: int
    returning: int
    unmet: int
    spares: int


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims on every pool at one moment, counted for a pool when it is first asked for."""

    state: State
    demands: Demands
    silent: Set[str]
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
            held = idle = returning = unmet = spares = 0
            for claim in self.at(key):
                if claim.software >= step:
                    held += claim.held
                    idle += claim.idle
                    returning += 0 if claim.silent else claim.idle
                    unmet += claim.unmet
                    spares += claim.spare
            found = self._sums[key, step] = Sums(held, idle, returning, unmet, spares)
        return found

    def steps(self, key: PoolKey, software: int) -> Iterator[tuple[int, Sums]]:
        """What each version step up to this software offers, and the claims on it."""
        for step, units in self.state.pool(key).steps:
            if step <= software:
                yield units, self.sums(key, step)

    def obtainable(self, key: PoolKey, software: int) -> int:
        """Units free now or once all idle ones of agents that answer have come back."""
        return min(units - sums.held + sums.returning for units, sums in self.steps(key, software))

    def is_short(self, key: PoolKey, software: int) -> bool:
        """Whether the pool cannot give everyone what is needed and the default spare on top.

        Measured by the spare that each would like, not by the one it keeps, so that obeying does not end it.
        """
        if key not in self.state.pools:
            return True
        margin = min(units - sums.held + sums.idle - sums.unmet for units, sums in self.steps(key, software))
        return margin < self.sums(key, 0).spares

    def after(self, state: State, agent: str) -> "Claims":
        """These claims when only this agent's record has changed since."""
        changed = Claims(state, self.demands, self.silent)
        for key, found in self._by_pool.items():
            others = [claim for claim in found if claim.agent != agent]
            changed._by_pool[key] = others + changed._of((agent,), key)
        return changed

    def _of(self, names: Iterable[str], key: PoolKey) -> list[Claim]:
        state, silent, found = self.state, self.silent, []
        reach = state.reach(key)
        for agent in names:
            shares = state.shares.get(agent, _NO_SHARES)
            heard = self.demands.get(agent)
            for class_ in _named(shares, heard):
                share = shares.get(class_, NO_SHARE)
                held = share.drawn.get(key, 0)
                reaches = (agent, class_) in reach
                if held or reaches:
                    demand = _told(share) if heard is None else heard.get(class_, _NOTHING)
                    quiet = agent in silent or not answers(state, agent)
                    found.append(_claim(state, agent, class_, share, held, demand, reaches, quiet))
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
) -> Claim:
    missing = need(demand) - share.granted
    asks = missing > 0 and reaches and not silent and may_grow(state, agent)
    return Claim(
        agent,
        class_,
        state.software_of(agent),
        share,
        held,
        min(held, -missing) if missing < 0 else 0,
        missing if asks else 0,
        min(held, demand.used),
        nominal_spare(demand.used) if reaches else 0,
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
