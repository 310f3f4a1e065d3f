"""Which objects hold a unit where, as the agents report it: for people, never part of safety.

Agents report events that may lag, and with each sync a digest of what they really hold; where the digest
differs the master asks for the list, page by page, so that "who holds what" heals itself.
"""

from collections.abc import Iterable, Mapping, Sequence

from licence_master.store import activity
from licence_master.store.activity import Holder
from licensing import wire
from licensing.holders import digest, fingerprint
from runtime.store import Statement

# What an event makes of its object; other events change nothing. None: it holds nothing any more.
_STATE_AFTER = {"held": "held", "surplus": "surplus", "released": None, "lingering": None}
_NOBODY = digest(0, 0)


class _Group:
    """The holders of one class at one agent, with the digest of those that hold a unit."""

    def __init__(self) -> None:
        self.holders: dict[str, Holder] = {}
        self.held = 0
        self._fingerprints = 0

    def put(self, holder: Holder) -> bool:
        """Is this news?"""
        before = self.holders.get(holder.object)
        if before is not None and before.state == holder.state:
            return False
        self.holders[holder.object] = holder
        if holder.state == "held":
            self._count(holder.object, 1)
        elif before is not None:
            self._count(holder.object, -1)
        return True

    def take(self, name: str) -> bool:
        """Was it there?"""
        before = self.holders.pop(name, None)
        if before is not None and before.state == "held":
            self._count(name, -1)
        return before is not None

    def digest(self) -> wire.HolderDigest:
        return digest(self.held, self._fingerprints)

    def _count(self, name: str, change: int) -> None:
        self.held += change
        self._fingerprints ^= fingerprint(name)


class Holdings:
    """All holders of an installation in memory; each change comes with the statements that keep it."""

    def __init__(self, stored: Iterable[Holder] = ()) -> None:
        self._agents: dict[str, dict[str, _Group]] = {}
        for holder in stored:
            self._group(holder.agent, holder.class_).put(holder)

    def apply(self, agent: str, events: Sequence[wire.Activity]) -> list[Statement]:
        """Follow an agent's events in their order."""
        holding: dict[tuple[str, str], Holder] = {}
        leaving: dict[tuple[str, str], None] = {}
        for event in events:
            group, key = self._group(agent, event.class_), (event.class_, event.object)
            state = _STATE_AFTER.get(event.event, "")
            if state:
                holder = Holder(agent, event.class_, event.object, state, event.at_ms)
                if group.put(holder):
                    holding[key] = holder
                    leaving.pop(key, None)
            elif state is None and group.take(event.object):
                holding.pop(key, None)
                leaving[key] = None
        return _statements(agent, holding.values(), leaving)

    def correct(self, agent: str, page: wire.HolderPage, at_ms: int) -> list[Statement]:
        """Make this stretch of names what the agent says it is."""
        group = self._group(agent, page.class_)
        names = set(page.names)
        end = None if page.last or not page.names else page.names[-1]
        stretch = [name for name in group.holders if name > page.after and (end is None or name <= end)]
        gone = [name for name in stretch if group.holders[name].state == "held" and name not in names]
        for name in gone:
            group.take(name)
        new = [Holder(agent, page.class_, name, "held", at_ms) for name in page.names]
        return _statements(agent, [h for h in new if group.put(h)], [(page.class_, name) for name in gone])

    def doubted(self, agent: str, digests: Mapping[str, wire.HolderDigest]) -> tuple[str, ...]:
        """The classes whose list the agent should send."""
        known = self._agents.get(agent, {}).keys() | digests.keys()
        return tuple(
            name for name in known if self._group(agent, name).digest() != digests.get(name, _NOBODY)
        )

    def clear(self, agent: str) -> list[Statement]:
        """Nobody holds anything at this agent any more."""
        self._agents.pop(agent, None)
        return [activity.leave_all(agent)]

    def count(self, agent: str, class_: str) -> int:
        """Objects of this agent that hold a unit of the class."""
        group = self._agents.get(agent, {}).get(class_)
        return group.held if group is not None else 0

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

    def _group(self, agent: str, class_: str) -> _Group:
        classes = self._agents.setdefault(agent, {})
        group = classes.get(class_)
        if group is None:
            group = classes[class_] = _Group()
        return group


def _statements(agent: str, holding: Iterable[Holder], leaving: Iterable[tuple[str, str]]) -> list[Statement]:
    here, gone = list(holding), list(leaving)
    return ([activity.hold(here)] if here else []) + ([activity.leave(agent, gone)] if gone else [])
