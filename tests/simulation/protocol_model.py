"""Every interleaving of the sync protocol: one class, two agents, few units, a network that forgets nothing.

Breadth first over whole states, so that the trail to a broken rule is a shortest one. The agent's share is
a parameter: `abstract_share` is the protocol in ten lines, `real_share` is `licensing.site.share` itself. The
master here is the protocol's: a record falls to `want`, then grows as far as the capacity goes
(protocol "Safety rules"; reliability section 2).

A phone is forgotten when the agent dies after the PBX accepted it and before it was journalled: it never
got its 200 and comes back (decision 0010). Until then the gate counts it here (`GATE_COUNTS`).
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, Protocol

from tests.simulation.explorer import What


class Rule(Enum):
    """The safety rules that a model can leave out."""

    WANT_CAPS = auto()  # 1: want caps the agent before the request leaves
    LATEST_ONLY = auto()  # 2: only the answer to the latest seq is applied
    DURABLE = auto()  # seq and share are durable before they are used
    NO_FALL = auto()  # 4: after an unclean stop no want falls before a snapshot
    GATE_COUNTS = auto()  # after an unclean stop newcomers do not take the units of forgotten phones


ALL_RULES = frozenset(Rule)


class Request(NamedTuple):
    """A request on the network, for ever."""

    agent: int
    seq: int
    want: int


class Answer(NamedTuple):
    """An answer on the network, for ever."""

    agent: int
    seq: int
    granted: int


class Share(Protocol):
    """The agent's side: opaque hashable states and what may be asked of them."""

    def start(self) -> Hashable: ...

    def seq(self, state: Hashable) -> int: ...

    def usable(self, state: Hashable) -> int: ...

    def prepare(self, state: Hashable, want: int) -> Hashable: ...

    def answered(self, state: Hashable, answer: Answer) -> Hashable: ...


class Site(NamedTuple):
    """An agent and its PBX: `registered` phones really there, `known` those the agent knows of."""

    share: Hashable
    stored: Hashable
    registered: int = 0
    known: int = 0
    doubt: bool = False


class World(NamedTuple):
    """Everything: both sites, what the master has on record, and all that was ever sent."""

    sites: tuple[Site, ...]
    handled: tuple[int, ...]
    on_record: tuple[int, ...]
    requests: frozenset[Request] = frozenset()
    answers: frozenset[Answer] = frozenset()
    crashes: int = 1


Step = tuple[What, World]


@dataclass(frozen=True, slots=True)
class Model:
    """The protocol with a share, its sizes, and the rules that are in force."""

    share: Share
    rules: frozenset[Rule] = ALL_RULES
    capacity: int = 2
    agents: int = 2
    seqs: int = 2

    def start(self) -> World:
        """Nobody has anything."""
        share = self.share.start()
        return World((Site(share, share),) * self.agents, (0,) * self.agents, (0,) * self.agents)

    def steps(self, world: World) -> Iterator[Step]:
        """Everything that can happen next."""
        for index, site in enumerate(world.sites):
            for what, site_after in self._phones(site):
                yield ("agent {}: {}", index, what), _with_site(world, index, site_after)
            yield from self._sends(world, index, site)
            if Rule.DURABLE not in self.rules and site.stored != site.share:
                flushed = site._replace(stored=site.share)
                yield ("agent {}: its store catches up", index), _with_site(world, index, flushed)
            if world.crashes:
                crashed = site._replace(share=site.stored, known=0, doubt=True)
                after_crash = _with_site(world, index, crashed)
                label = ("agent {}: crashes, starts again", index)
                yield label, after_crash._replace(crashes=world.crashes - 1)
        for request in world.requests:
            yield from self._master(world, request)
        for answer in world.answers:
            yield from self._receives(world, answer)

    def _phones(self, site: Site) -> Iterator[tuple[str, Site]]:
        counted = site.registered if Rule.GATE_COUNTS in self.rules else site.known
        if counted < self.share.usable(site.share):
            registered, known = site.registered + 1, site.known + 1
            yield "a phone registers", site._replace(registered=registered, known=known)
        if site.known:
            registered, known = site.registered - 1, site.known - 1
            yield "a phone leaves", site._replace(registered=registered, known=known)
        if site.registered > site.known:
            yield "a forgotten phone refreshes", site._replace(known=site.known + 1)
            yield "a forgotten phone is gone", site._replace(registered=site.registered - 1)
        if site.doubt:
            yield "a snapshot of the PBX", site._replace(known=site.registered, doubt=False)

    def _sends(self, world: World, index: int, site: Site) -> Iterator[Step]:
        if self.share.seq(site.share) >= self.seqs:
            return
        keeps = site.doubt and Rule.NO_FALL in self.rules
        floor = max(site.known, self.share.usable(site.share) if keeps else 0)
        for want in range(floor, self.capacity + 1):
            share = self.share.prepare(site.share, want)
            request = Request(index, self.share.seq(share), want)
            yield (
                ("agent {}: sends seq {} want {}", index, request.seq, want),
                _with_site(world, index, self._stored(site, share))._replace(
                    requests=world.requests | {request}
                ),
            )

    def _stored(self, site: Site, share: Hashable) -> Site:
        stored = share if Rule.DURABLE in self.rules else site.stored
        return site._replace(share=share, stored=stored)

    def _master(self, world: World, request: Request) -> Iterator[Step]:
        agent = request.agent
        if request.seq <= world.handled[agent]:
            return
        others = sum(world.on_record) - world.on_record[agent]
        granted = min(request.want, self.capacity - others)
        after = world._replace(
            handled=_put(world.handled, agent, request.seq),
            on_record=_put(world.on_record, agent, granted),
            answers=world.answers | {Answer(agent, request.seq, granted)},
        )
        what = ("master: agent {} seq {} want {}: granted {}", *request, granted)
        yield what, after

    def _receives(self, world: World, answer: Answer) -> Iterator[Step]:
        site = world.sites[answer.agent]
        share = self.share.answered(site.share, answer)
        if share != site.share:
            what = ("agent {}: gets the answer to seq {}: {}", *answer)
            yield what, _with_site(world, answer.agent, self._stored(site, share))

    def broken(self, before: World, after: World) -> str | None:
        """The invariant that does not hold after a step, or None."""
        if sum(after.on_record) > self.capacity:
            return "more on record than there is"
        for index, site in enumerate(after.sites):
            if site.registered > after.on_record[index]:
                return f"agent {index}: {site.registered} phones on a share of {after.on_record[index]}"
        return None


def _with_site(world: World, index: int, site: Site) -> World:
    return world._replace(sites=tuple(site if i == index else s for i, s in enumerate(world.sites)))


def _put(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])
