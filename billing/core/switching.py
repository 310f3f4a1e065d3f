"""The history of an option: commands that started and stopped it, each once by its key (seed 000).

A command that is sent again because nobody knows whether it arrived opens no second interval.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Do(StrEnum):
    """What a command does."""

    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Switch:
    """A command: its idempotency key, the instant from which it counts (UTC ms), and who gave it."""

    key: str
    at_ms: int
    do: Do
    by: str = ""


def history(commands: Iterable[Switch]) -> tuple[Switch, ...]:
    """Each command once, in order of its instant; of two with one key the first is kept."""
    once: dict[str, Switch] = {}
    for command in commands:
        once.setdefault(command.key, command)
    return tuple(sorted(once.values(), key=lambda command: command.at_ms))


def conflict(commands: Iterable[Switch]) -> int | None:
    """The index of the first command unlike one with its key before it; None: there is none."""
    once: dict[str, Switch] = {}
    for index, command in enumerate(commands):
        if once.setdefault(command.key, command) != command:
            return index
    return None


def intervals(switches: Iterable[Switch]) -> Iterator[tuple[int, int | None]]:
    """(on, off) of a history, UTC ms, off excluded; None: still on. Starting what is on changes nothing."""
    since: int | None = None
    for switch in switches:
        if switch.do is Do.START and since is None:
            since = switch.at_ms
        elif switch.do is Do.STOP and since is not None:
            yield since, switch.at_ms
            since = None
    if since is not None:
        yield since, None
