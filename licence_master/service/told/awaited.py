"""Whom a recovery waits for, as operators are told: what each had, since when it is silent, what ends it."""

from collections.abc import Mapping
from dataclasses import dataclass

from licensing.state import State


@dataclass(frozen=True, slots=True)
class Awaited:
    """One agent that the recovery waits for.

    `share` is what the store has on record for it, by class; `heard` says that it has said hello and that
    only its next message is missing; `command` ends the waiting when it will never come back.
    """

    pbx: str
    joined: bool
    heard: bool
    share: dict[str, int]
    last_sync_ms: int | None
    command: str


def awaited(state: State, seen: Mapping[str, int | None]) -> tuple[Awaited, ...]:
    """Everyone that the recovery waits for, by name; `seen` has the last sync of each, UTC milliseconds."""
    return tuple(
        Awaited(
            pbx=name,
            joined=name in state.agents,
            heard=name in state.heard,
            share={class_: share.granted for class_, share in sorted(state.shares.get(name, {}).items())},
            last_sync_ms=seen.get(name),
            command=f"licence-master release-site {name}",
        )
        for name in sorted(state.waiting)
    )
