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

    held: int = 0
    idle: int = 0
    returning: int = 0
    unmet: int = 0
    spares: int = 0
    guarded: int = 0
    kept: int = 0

    def plus(self, claims: Iterable[Claim], step: int, kept: Mapping[str, int], sign: int = 1) -> "Sums":
        """With those of these claims added, or taken away, whose software is `step` or newer."""
        held, idle, returning, unmet, spares, guarded, all_kept = self
        for claim in claims:
            if claim.software >= step:
                held += sign * claim.held
                idle += sign * claim.idle
                returning += 0 if claim.silent else sign * claim.loose
                if claim.unmet:
                    unmet += sign * max(0, claim.unmet - kept.get(claim.agent, 0))
                spares += sign * claim.spare
                guarded += sign * claim.guarded
        return Sums(held, idle, returning, unmet, spares, guarded, all_kept)


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims on every pool at one moment: carried over, or counted when a pool is first asked for.

    With `no_room` the master's disk is nearly full: nobody may grow.
    """

    state: State
    demands: Demands
    silent: Set[str]
    no_room: bool = False
    _by_pool: dict[PoolKey, Sequence[Claim]] = field(default_factory=dict)
    _sums: dict[PoolKey, dict[int, Sums]] = field(default_factory=dict)

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
        known = self._sums.setdefault(key, {})
        if step not in known:
            kept = self.state.kept_for(key, step)
            known[step] = Sums(kept=sum(kept.values())).plus(self.at(key), step, kept)
        return known[step]

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

    def fit(self, state: State, demands: Demands, silent: Set[str], no_room: bool) -> bool:
        """Whether these are the claims on this very state, by these very demands, with nothing else new."""
        same = self.state is state and self.demands is demands
        return same and self.silent == silent and self.no_room == no_room

    def after(self, state: State, agent: str, demand: Mapping[str, ClassDemand]) -> "Claims":
        """These claims when only this agent has changed since, its shares and its demand."""
        demands = {**self.demands, agent: demand}
        changed = Claims(state, demands, self.silent, self.no_room, {**self._by_pool}, {**self._sums})
        for key in self._touched(state, agent, demand) & self._by_pool.keys():
            found = self._by_pool[key]
            before = [claim for claim in found if claim.agent == agent]
            concerned = key in state.pools or agent in state.lent.get(key, ())
            now = changed._of((agent,) if concerned else (), key)
            changed._by_pool[key] = [claim for claim in found if claim.agent != agent] + now
            sums = {} if state.reserved(key) else self._sums.get(key, {})  # what is kept would change, too
            changed._sums[key] = {
                step: each.plus(before, step, {}, -1).plus(now, step, {}) for step, each in sums.items()
            }
        return changed

    def _touched(self, state: State, agent: str, demand: Mapping[str, ClassDemand]) -> Set[PoolKey]:
        """The pools that this agent had claims on, or has now."""
        shares = [each.shares.get(agent, _NO_SHARES) for each in (self.state, state)]
        classes = {*self.demands.get(agent, ()), *demand, *shares[0], *shares[1]}
        reached = {key for name in classes for slot in state.bundle(agent, name) or () for key in slot}
        return reached.union(*(share.drawn for each in shares for share in each.values()))

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
