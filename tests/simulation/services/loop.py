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
from contextvars import Context, ContextVar, copy_context
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


class Ready(events.TimerHandle):
    """A callback that waits for its turn; it knows its process, and the task that it goes on with, if any.

    What asyncio asks of the loop and of the time for each handle is known here: it is made without them.
    """

    __slots__ = ("owner", "task")

    def __init__(self, callback: Any, args: Any, loop: "SeededLoop", context: Context | None) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = self._source_traceback = None
        self._scheduled = False
        self._when = 0.0
        self.owner: Owner | None = self._context.get(OWNER)
        bound = getattr(callback, "__self__", None)
        self.task: asyncio.Task[Any] | None = bound if isinstance(bound, asyncio.Task) else None


class SeededLoop(asyncio.BaseEventLoop):
    """`steps` counts what was run; `digest` is the hash of the whole run so far, `trace` its lines."""

    def __init__(self, dice: Random, *, shuffle: bool = True) -> None:
        super().__init__()
        self._dice = dice
        self._shuffle = shuffle
        self._now_us = 0
        self._timers: list[tuple[int, int, Ready]] = []
        self._made = 0
        self._queue: deque[Ready] = deque()
        self._happened: list[tuple[object, ...]] = []  # time, process, what: put into words when asked for
        self.steps = 0
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
    def trace(self) -> list[str]:
        """What happened, a line each."""
        return [" ".join(map(str, words)) for words in self._happened]

    @property
    def digest(self) -> str:
        """What tells this run from any other."""
        return hashlib.blake2b("\n".join(self.trace).encode(), digest_size=8).hexdigest()

    def note(self, *words: object) -> None:
        """A line of the trace; it is part of the digest."""
        owner = OWNER.get()
        self._happened.append((self._now_us, owner.name if owner else "-", *words))

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override] # one kind of arguments for all
        """As asyncio: after what is ready already."""
        handle = Ready(callback, args, self, context)
        self._queue.append(handle)
        return handle

    def call_at(  # type: ignore[override] # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As asyncio, to the microsecond, never early; equal times in the order they were set."""
        handle = Ready(callback, args, self, context)
        handle._when = when
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
        if not _counts(handle):
            return
        self.steps += 1
        owner, task = handle.owner, handle.task
        what = _name(handle._callback) if task is None else task.get_name()
        if owner is None:
            self._happened.append((self._now_us, "-", what))
        else:
            owner.stirred = True
            self._happened.append((self._now_us, owner.name, what))
        handle._run()
        self.on_step()

    def _choose(self, queue: deque[Ready]) -> Ready:
        index = int(self._dice.random() * len(queue))
        chosen = queue[index]
        if chosen.task is None:
            owner = chosen.owner
            for earlier in range(index):
                other = queue[earlier]
                if other.task is None and other.owner is owner:
                    index, chosen = earlier, other
                    break
        del queue[index]
        return chosen

    def _pass_time(self) -> None:
        """To the next timer that still counts, and everything due then is ready."""
        timers, queue = self._timers, self._queue
        while timers and not queue:
            if _counts(timers[0][2]):
                self._now_us = max(self._now_us, timers[0][0])
            while timers and (timers[0][0] <= self._now_us or not _counts(timers[0][2])):
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


def _counts(handle: Ready) -> bool:
    """Whether it is still to be run."""
    return not handle._cancelled and (handle.owner is None or handle.owner.alive)


def _name(callback: Any) -> str:
    name: str = getattr(callback, "__qualname__", "") or type(callback).__name__
    return name


def _owned(loop: asyncio.AbstractEventLoop, coro: Any, context: Any = None) -> "asyncio.Task[Any]":
    """Tasks are named after their coroutine: no counter that other tests have moved on."""
    task = asyncio.Task(coro, loop=loop, name=getattr(coro, "__qualname__", "task"), context=context)
    owner = (context.get(OWNER) if context is not None else None) or OWNER.get()
    if owner is not None:
        owner.adopt(task)
    return task
