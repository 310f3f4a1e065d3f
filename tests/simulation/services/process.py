"""A process that can be killed between any two steps, and the machine whose clocks it reads."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

from runtime.clock import Monotonic, Wall
from runtime.store import StoreFailedError
from tests.simulation.services.loop import OWNER, SeededLoop

Result = TypeVar("Result")


async def ordered(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """What an operator asks of a process: one that stops, or whose disk fails, has promised nothing."""
    with contextlib.suppress(StoreFailedError):
        await work()


class MachineClock:
    """The clocks of one machine: wall time may jump, monotonic time starts anew with each boot."""

    def __init__(self, loop: SeededLoop, wall_ms: int) -> None:
        self._loop = loop
        self._booted_us = 0
        self._since_boot_ms = 1_000
        self.wall_offset_ms = wall_ms

    def monotonic_ms(self) -> Monotonic:
        """Now, for timers and expiries."""
        return Monotonic(self._since_boot_ms + (self._loop.now_us - self._booted_us) // 1_000)

    def wall_ms(self) -> Wall:
        """Now, for records that people read."""
        return Wall(self.wall_offset_ms + self._loop.now_us // 1_000)

    def reboot(self, since_boot_ms: int) -> None:
        """The machine starts anew; no process that knew the old count may live."""
        self._booted_us, self._since_boot_ms = self._loop.now_us, since_boot_ms


class Process:
    """One incarnation of a program: its tasks, timers and callbacks, all gone at once when it is killed."""

    def __init__(
        self, name: str, loop: SeededLoop, on_death: Callable[["Process", BaseException], None]
    ) -> None:
        self.name = name
        self.alive = True
        self.stopping = False
        self.stirred = True  # whether anything has run here since somebody looked
        self._loop = loop
        self._on_death = on_death
        self._tasks: list[asyncio.Task[Any]] = []
        self._works: dict[asyncio.Task[None], Coroutine[Any, Any, object]] = {}
        self.context: Context = copy_context()
        self.context.run(OWNER.set, self)

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """A task that ends with this process."""
        if len(self._tasks) > 100:
            self._tasks = [known for known in self._tasks if not known.done()]
            self._works = {task: work for task, work in self._works.items() if not task.done()}
        self._tasks.append(task)

    def run(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call something as this process."""
        self.stirred = True
        return self.context.run(function, *args)

    def spawn(self, work: Coroutine[Any, Any, object]) -> "asyncio.Task[None]":
        """A task of this process; an exception of it ends the process."""
        task = self._loop.create_task(self._guarded(work), context=self.context)
        task.set_name(getattr(work, "__qualname__", "work"))
        self._works[task] = work
        return task

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - judged by whoever started the process
            if self.alive:
                self._on_death(self, error)

    def kill(self) -> None:
        """No step of it runs any more; its coroutines are closed where they stand."""
        assert self.alive
        self.alive = False
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined] # it is killed on purpose
                coroutine: Any = task.get_coro()
                self.context.run(coroutine.close)
                if task in self._works:  # it may not have begun yet
                    self.context.run(self._works[task].close)
        self._tasks.clear()
        self._works.clear()
