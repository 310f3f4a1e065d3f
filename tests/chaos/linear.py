"""Did the answers of a history come from one master that decided one operation after another? Pure.

Wing and Gong, "Testing and Verifying Concurrent Objects" (1993): search an order of the operations that
respects real time and in which each answer is the right one. A state that was reached before is not searched
again (Lowe, "Testing for linearizability", 2017), an answer that changes nothing is placed as soon as it may
be, and of several the one with the lowest `hint` is tried first: a hint makes the search short, and its
result no other. The object is a pool: a client's share becomes what it wants, or grows by what is free.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Position = tuple[int, ...]

MOST_STATES = 300_000


@dataclass(frozen=True, slots=True)
class Operation:
    """A client wanted so many units between two moments (any clock, both included), and was granted some.

    `hint` says where in the order it probably was.
    """

    client: str
    want: int
    granted: int
    began: int
    ended: int
    hint: int = 0


class UndecidedError(Exception):
    """The search looked at as many states as it may."""


def granted(want: int, held: int, free: int) -> int:
    """What one master answers: everything given back is given back, growth is cut to what is free."""
    return want if want <= held else held + min(want - held, max(0, free))


def linearizable(history: Sequence[Operation], capacity: int, before: Mapping[str, int]) -> bool:
    """Whether some order explains every answer; `before` is what each client held when it began."""
    queues = _by_client(history)
    held = [[before.get(queue[0].client, 0), *(each.granted for each in queue)] for queue in queues]
    end: Position = tuple(len(queue) for queue in queues)
    start: Position = (0,) * len(queues)
    idle = sum(before.values()) - sum(shares[0] for shares in held)  # of clients that ask for nothing
    seen, stack = {start}, [(start, _next(queues, held, start))]
    while stack:
        position, candidates = stack[-1]
        if position == end:
            return True
        if len(seen) > MOST_STATES:
            raise UndecidedError
        free = capacity - idle - sum(shares[at] for shares, at in zip(held, position, strict=True))
        for number in candidates:
            at = position[number]
            asked = queues[number][at]
            after = (*position[:number], at + 1, *position[number + 1 :])
            if after not in seen and asked.granted == granted(asked.want, held[number][at], free):
                seen.add(after)
                stack.append((after, _next(queues, held, after)))
                if asked.granted == held[number][at]:
                    stack[-2] = (position, iter(()))  # nothing changed: no other order explains more
                break
        else:
            stack.pop()
    return False


def _next(
    queues: Sequence[Sequence[Operation]], held: Sequence[Sequence[int]], position: Position
) -> Iterator[int]:
    """The clients whose next operation may come first: it began before any other one had ended."""
    waiting = [
        (queue[at], number) for number, queue in enumerate(queues) if (at := position[number]) < len(queue)
    ]
    soonest = min((each.ended for each, _ in waiting), default=0)
    possible = [(each, number) for each, number in waiting if each.began <= soonest]
    possible.sort(
        key=lambda pair: (pair[0].granted != held[pair[1]][position[pair[1]]], pair[0].hint, pair[0].ended)
    )
    return (number for _, number in possible)


def _by_client(history: Sequence[Operation]) -> list[list[Operation]]:
    queues: dict[str, list[Operation]] = {}
    for each in sorted(history, key=lambda operation: operation.began):
        queues.setdefault(each.client, []).append(each)
    return list(queues.values())
