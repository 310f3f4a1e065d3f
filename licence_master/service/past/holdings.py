"""Which objects hold a unit where, as the agents report it: for people, never part of safety.

Agents report events that may lag, and with each sync a digest of what they really hold; where the digest
differs the master asks for the list, page by page, so that "who holds what" heals itself. The events are
stored anyhow; the holders are written down now and then, an agent at a time, and a start follows the events
since (decision 0025).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from licence_master.store import activity
from licence_master.store.activity import Holder
from licensing import wire
from licensing.site.holders import digest, fingerprint
from runtime.store import Statement

# What an event makes of its object; other events change nothing. None: it holds nothing any more.
_STATE_AFTER = {"held": "held", "surplus": "surplus", "released": None, "lingering": None}
_NOBODY = digest(0, 0)
WRITE_AFTER = 4_096  # events of an installation; as many as an agent has holders, where it has more


class _Group:
    """The holders of one class at one agent, with the digest of those that hold a unit."""

    def __init__(self) -> None:
        self.holders: dict[str, Holder] = {}
        self.held = 0
        self._fingerprints = 0

    def put(self, holder: Holder) -> bool:
        """Is this news?"""
        name, state = holder.object, holder.state
        before = self.holders.get(name)
        if before is not None and before.state == state:
            return False
        self.holders[name] = holder
        if state == "held":
            self.held += 1
            self._fingerprints ^= fingerprint(name)
        elif before is not None:
            self._drop(name)
        return True

    def take(self, name: str) -> bool:
        """Was it there?"""
        before = self.holders.pop(name, None)
        if before is not None and before.state == "held":
            self._drop(name)
        return before is not None

    def digest(self) -> wire.HolderDigest:
        return digest(self.held, self._fingerprints)

    def _drop(self, name: str) -> None:
        self.held -= 1
        self._fingerprints ^= fingerprint(name)


class Holdings:
    """All holders of an installation in memory; what must be stored comes back as statements."""

    def __init__(
        self, stored: Iterable[tuple[str, Sequence[Holder]]] = (), write_after: int = WRITE_AFTER
    ) -> None:
        self._write_after = write_after
        self._agents: dict[str, dict[str, _Group]] = {}
        self._turns: deque[str] = deque()
        self._unwritten = 0
        for agent, holders in stored:
            self._known(agent)
            for holder in holders:
                self._group(agent, holder.class_).put(holder)

    def apply(self, agent: str, events: Sequence[wire.Activity]) -> list[Statement]:
        """Follow an agent's events, which are stored, in their order; now and then write an agent down."""
        self.follow(agent, events)
        return self._next_written()

    def follow(self, agent: str, events: Sequence[wire.Activity]) -> None:
        """The same in memory alone: a start follows what was stored since."""
        groups = self._known(agent)
        self._unwritten += len(events)
        for event in events:
            state = _STATE_AFTER.get(event.event, "")
            if state == "":
                continue
            group = groups.get(event.class_) or self._group(agent, event.class_)
            if state is None:
                group.take(event.object)
            else:
                group.put(Holder(agent, event.class_, event.object, state, event.at_ms))

    def correct(self, agent: str, page: wire.HolderPage, at_ms: int) -> list[Statement]:
        """Make this stretch of names what the agent says it is."""
        group = self._group(agent, page.class_)
        names = set(page.names)
        end = None if page.last or not page.names else page.names[-1]
        stretch = [name for name in group.holders if name > page.after and (end is None or name <= end)]
        gone = [name for name in stretch if group.holders[name].state == "held" and name not in names]
        taken = [group.take(name) for name in gone]
        put = [group.put(Holder(agent, page.class_, name, "held", at_ms)) for name in page.names]
        return [self._written(agent)] if any(taken) or any(put) else []

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
        return group.held if group is not None else 0

    def newest(self, agent: str, class_: str, most: int) -> tuple[str, ...]:
        """The objects that hold a unit of the class at this agent since the shortest time, newest first."""
        group = self._agents.get(agent, {}).get(class_)
        held = [holder for holder in group.holders.values() if holder.state == "held"] if group else []
        held.sort(key=lambda holder: holder.since_ms, reverse=True)
        return tuple(holder.object for holder in held[:most])

    def all(self) -> list[Holder]:
        """Every holder, in order of agent, class and name."""
        return [
            group.holders[name]
            for _, classes in sorted(self._agents.items())
            for _, group in sorted(classes.items())
            for name in sorted(group.holders)
        ]

    def of_object(self, name: str) -> list[Holder]:
        """What this object holds, at each PBX."""
        return [
            group.holders[name]
            for _, classes in sorted(self._agents.items())
            for _, group in sorted(classes.items())
            if name in group.holders
        ]

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

    def _of(self, agent: str) -> list[Holder]:
        return [holder for group in self._agents[agent].values() for holder in group.holders.values()]

    def _written(self, agent: str) -> Statement:
        return activity.holding(agent, self._of(agent))

    def _next_written(self) -> list[Statement]:
        """The agent whose turn it is, once enough has happened: the events to follow at a start stay few."""
        agent = self._turns[0]
        size = sum(len(group.holders) for group in self._agents[agent].values())
        if self._unwritten < max(self._write_after, size):
            return []
        self._unwritten = 0
        self._turns.rotate(-1)
        return [self._written(agent)]
