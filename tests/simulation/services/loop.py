"""A seeded event loop: time is virtual, and whoever is ready is run in an order that the seed draws.

Time stands still while anything is ready and then jumps to the next timer. What `call_soon` promises is
kept: plain callbacks of one process run in their order; the steps of tasks, and different processes, do not.
A handle belongs to the process in whose context it was made; a dead process's are never run.
"""

import asyncio
import hashlib
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from heapq import heappop, heappush
from random import Random
from typing import Any, Protocol


class Owner(Protocol):
    """What the loop must know of a process."""

    name: str
    alive: bool
    stirred: bool

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """A task was made in the context of this process."""
        ...


OWNER: ContextVar[Owner | None] = ContextVar("OWNER", default=None)


class StuckError(Exception):
    """Nothing is ready and no timer is set: whoever waits now waits for ever."""


class SeededLoop(asyncio.BaseEventLoop):
    """`steps` counts what was run; `digest` is the hash of the whole run so far."""

    def __init__(self, dice: Random, *, shuffle: bool = True, keep_trace: bool = False) -> None:
        super().__init__()
        self._dice = dice
        self._shuffle = shuffle
        self._now_us = 0
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._made = 0
        self._hash = hashlib.blake2b(digest_size=8)
        self._queue: deque[Any] = deque()
        self.steps = 0
        self.trace: list[str] | None = [] if keep_trace else None
        self.on_step: Callable[[], None] = _nothing
        self.on_tick: Callable[[], None] = _nothing
        self.set_task_factory(_owned)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_us / 1_000_000

    @property
    def now_us(self) -> int:
        """The same in whole microseconds."""
        return self._now_us

    @property
    def digest(self) -> str:
        """What tells this run from any other."""
        return self._hash.hexdigest()

    def note(self, *words: object) -> None:
        """A line of the trace; it is part of the digest."""
        owner = OWNER.get()
        line = f"{self._now_us} {owner.name if owner else '-'} {' '.join(map(str, words))}"
        self._hash.update(line.encode())
        if self.trace is not None:
            self.trace.append(line)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override] # one kind of arguments for all
        """As asyncio: after what is ready already."""
        handle = events.Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    def call_at(  # type: ignore[override] # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As asyncio, to the microsecond, never early; equal times in the order they were set."""
        handle = events.TimerHandle(when, callback, args, self, context)
        due_us = max(self._now_us, -int(-when * 1_000_000 // 1))
        self._made += 1
        heappush(self._timers, (due_us, self._made, handle))
        return handle

    def call_later(  # type: ignore[override] # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As asyncio."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Dropped when its time comes."""

    def _run_once(self) -> None:
        """One step: the next handle that the dice choose."""
        queue = self._queue
        while not queue:
            self.on_tick()
            self._pass_time()
        handle = self._choose(queue) if self._shuffle and len(queue) > 1 else queue.popleft()
        if handle._cancelled or not _lives(handle):
            return
        self.steps += 1
        owner = handle._context.get(OWNER)
        if owner is not None:
            owner.stirred = True
        label = f"{self._now_us} {owner.name if owner else '-'} {_label(handle)}"
        self._hash.update(label.encode())
        if self.trace is not None:
            self.trace.append(label)
        handle._run()
        self.on_step()

    def _choose(self, queue: deque[Any]) -> Any:
        index = int(self._dice.random() * len(queue))
        chosen = queue[index]
        if not _is_step(chosen):
            owner = chosen._context.get(OWNER)
            for earlier in range(index):
                other = queue[earlier]
                if not _is_step(other) and other._context.get(OWNER) is owner:
                    index, chosen = earlier, other
                    break
        del queue[index]
        return chosen

    def _pass_time(self) -> None:
        """To the next timer that still counts, and everything due then is ready."""
        timers, queue = self._timers, self._queue
        while timers and not queue:
            self._now_us = max(self._now_us, timers[0][0]) if _counts(timers[0][2]) else self._now_us
            while (timers and timers[0][0] <= self._now_us) or (timers and not _counts(timers[0][2])):
                _, _, handle = heappop(timers)
                if _counts(handle):
                    queue.append(handle)
        if not queue:
            raise StuckError

    def _process_events(self, event_list: object) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There is no other thread."""


def _nothing() -> None:
    """Nobody looks."""


def _counts(handle: Any) -> bool:
    return not handle._cancelled and _lives(handle)


def _lives(handle: Any) -> bool:
    owner = handle._context.get(OWNER)
    return owner is None or owner.alive


def _is_step(handle: Any) -> bool:
    """Whether this is a task that goes on."""
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)


def _label(handle: Any) -> str:
    callback = handle._callback
    bound = getattr(callback, "__self__", None)
    if isinstance(bound, asyncio.Task):
        return str(bound.get_name())
    name: str = getattr(callback, "__qualname__", "") or type(callback).__name__
    return name


def _owned(loop: asyncio.AbstractEventLoop, coro: Any, context: Any = None) -> "asyncio.Task[Any]":
    """Tasks are named after their coroutine: no counter that other tests have moved on."""
    task = asyncio.Task(coro, loop=loop, name=getattr(coro, "__qualname__", "task"), context=context)
    owner = (context.get(OWNER) if context is not None else None) or OWNER.get()
    if owner is not None:
        owner.adopt(task)
    return task
