"""Which objects hold a unit where, as the agents report it: for people, never part of safety.

Agents report events that may lag, and with each sync a digest of what they really hold; where the digest
differs the master asks for the list, page by page, so that "who holds what" heals itself. The events are
stored anyhow; the holders are written down now and then, an agent at a time, and a start follows the events
since (decision 0025).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from licence_master.store import activity
from licence_master.store.activity import Holders
from licensing import wire
from licensing.site.holders import digest, fingerprint
from runtime.store import Statement

_MOVES = frozenset({"held", "surplus", "released", "lingering"})  # other events change nothing
_NOBODY = digest(0, 0)
WRITE_AFTER = 4_096  # events of an installation; as many as an agent has holders, where it has more


@dataclass(frozen=True, slots=True)
class Holder:
    """An object that holds a unit; `state` is held or surplus."""

    agent: str
    class_: str
    object: str
    state: str
    since_ms: int


class _Group:
    """The holders of one class at one agent, with the digest of those that hold a unit."""

    def __init__(self, stored: Holders | None = None) -> None:
        self.held: dict[str, int] = stored.held if stored is not None else {}
        self.surplus: dict[str, int] = stored.surplus if stored is not None else {}
        self._fingerprints = 0
        for name in self.held:
            self._fingerprints ^= fingerprint(name)

    @property
    def holders(self) -> Holders:
        return Holders(self.held, self.surplus)

    def hold(self, name: str, since_ms: int) -> bool:
        """Is this news?"""
        if name in self.held:
            return False
        self.surplus.pop(name, None)
        self.held[name] = since_ms
        self._fingerprints ^= fingerprint(name)
        return True

    def overhang(self, name: str, since_ms: int) -> None:
        """It is there without a unit."""
        if name not in self.surplus:
            self._drop(name)
            self.surplus[name] = since_ms

    def take(self, name: str) -> None:
        """It is gone."""
        self._drop(name)
        self.surplus.pop(name, None)

    def digest(self) -> wire.HolderDigest:
        return digest(len(self.held), self._fingerprints)

    def _drop(self, name: str) -> None:
        if self.held.pop(name, None) is not None:
            self._fingerprints ^= fingerprint(name)


class Holdings:
    """All holders of an installation in memory; what must be stored comes back as statements."""

    def __init__(
        self, stored: Iterable[tuple[str, Mapping[str, Holders]]] = (), write_after: int = WRITE_AFTER
    ) -> None:
        self._write_after = write_after
        self._agents: dict[str, dict[str, _Group]] = {}
        self._turns: deque[str] = deque()
        self._unwritten = 0
        for agent, classes in stored:
            self._known(agent).update((name, _Group(holders)) for name, holders in classes.items())

    def apply(self, agent: str, events: Sequence[wire.Activity]) -> list[Statement]:
        """Follow an agent's events, which are stored, in their order; now and then write an agent down."""
        self.follow(agent, events)
        return self._next_written()

    def follow(self, agent: str, events: Sequence[wire.Activity]) -> None:
        """The same in memory alone: a start follows what was stored since."""
        groups = self._known(agent)
        self._unwritten += len(events)
        for event in events:
            if event.event not in _MOVES:
                continue
            group = groups.get(event.class_) or self._group(agent, event.class_)
            match event.event:
                case "held":
                    group.hold(event.object, event.at_ms)
                case "surplus":
                    group.overhang(event.object, event.at_ms)
                case _:
                    group.take(event.object)

    def correct(self, agent: str, page: wire.HolderPage, at_ms: int) -> list[Statement]:
        """Make this stretch of names what the agent says it is."""
        group = self._group(agent, page.class_)
        names = set(page.names)
        end = None if page.last or not page.names else page.names[-1]
        stretch = [name for name in group.held if name > page.after and (end is None or name <= end)]
        gone = [name for name in stretch if name not in names]
        for name in gone:
            group.take(name)
        put = [group.hold(name, at_ms) for name in page.names]
        return [self._written(agent)] if gone or any(put) else []

    def doubted(self, agent: str, digests: Mapping[str, wire.HolderDigest]) -> tuple[str, ...]:
        """The classes whose list the agent should send."""
        known = self._agents.get(agent, {}).keys() | digests.keys()
        return tuple(
            name for name in known if self._group(agent, name).digest() != digests.get(name, _NOBODY)
        )

    def clear(self, agent: str) -> list[Statement]:
        """Nobody holds anything at this agent any more."""
        self._known(agent).clear()
        return [self._written(agent)]

    def count(self, agent: str, class_: str) -> int:
        """Objects of this agent that hold a unit of the class."""
        group = self._agents.get(agent, {}).get(class_)
        return len(group.held) if group is not None else 0

    def newest(self, agent: str, class_: str, most: int) -> tuple[str, ...]:
        """The objects that hold a unit of the class at this agent since the shortest time, newest first."""
        group = self._agents.get(agent, {}).get(class_)
        held = group.held if group is not None else {}
        return tuple(sorted(held, key=held.__getitem__, reverse=True)[:most])

    def held(self) -> dict[tuple[str, str], set[str]]:
        """The objects that hold a unit, by agent and class."""
        return {(agent, class_): set(group.held) for agent, class_, group in self._groups() if group.held}

    def all(self) -> list[Holder]:
        """Every holder, in order of agent, class and name."""
        return [
            Holder(agent, class_, name, state, since_ms)
            for agent, class_, group in self._groups()
            for name, state, since_ms in sorted(
                [(name, "held", at_ms) for name, at_ms in group.held.items()]
                + [(name, "surplus", at_ms) for name, at_ms in group.surplus.items()]
            )
        ]

    def of_object(self, name: str) -> list[Holder]:
        """What this object holds, at each PBX."""
        return [
            Holder(agent, class_, name, state, names[name])
            for agent, class_, group in self._groups()
            for state, names in (("held", group.held), ("surplus", group.surplus))
            if name in names
        ]

    def written(self, agents: Iterable[str]) -> list[Statement]:
        """All holders as they are, also that there are none at one of these agents."""
        return [self._written(agent) for agent in dict.fromkeys([*agents, *self._agents])]

    def _groups(self) -> Iterator[tuple[str, str, _Group]]:
        """In order of agent and class."""
        for agent, classes in sorted(self._agents.items()):
            for class_ in sorted(classes):
                yield agent, class_, classes[class_]

    def _known(self, agent: str) -> dict[str, _Group]:
        classes = self._agents.get(agent)
        if classes is None:
            classes = self._agents[agent] = {}
            self._turns.append(agent)
        return classes

    def _group(self, agent: str, class_: str) -> _Group:
        classes = self._known(agent)
        group = classes.get(class_)
        if group is None:
            group = classes[class_] = _Group()
        return group

    def _written(self, agent: str) -> Statement:
        classes = self._agents.get(agent, {})
        there = {name: group.holders for name, group in classes.items() if group.held or group.surplus}
        return activity.holding(agent, there)

    def _next_written(self) -> list[Statement]:
        """The agent whose turn it is, once enough has happened: the events to follow at a start stay few."""
        agent = self._turns[0]
        size = sum(len(group.held) + len(group.surplus) for group in self._agents[agent].values())
        if self._unwritten < max(self._write_after, size):
            return []
        self._unwritten = 0
        self._turns.rotate(-1)
        return [self._written(agent)]
