"""A process that lends, or asks for, units in rounds: what the master's load and its peers have in common.

The parent writes a line `COUNT UNITS`: each client of the process makes so many operations, one after
another, each for so many units. The process answers with one line of JSON, a `Round`. At the end of its
input it may check what it counted, and exits with a message when the server's ledger says otherwise.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, Self

import msgspec

from bench.world import ROOT

MODULE = (sys.executable, "-m")


class Round(msgspec.Struct, frozen=True):
    """What one round was: units newly lent, its length, and the latency of the median and the slowest 1 %.

    `again` counts attempts that had to be made again because another client came first.
    """

    operations: int
    units: int
    seconds: float
    p50_ms: float
    p99_ms: float
    again: int = 0

    @property
    def per_second(self) -> int:
        """Units lent per second."""
        return round(self.units / self.seconds)


class Client(Protocol):
    """Who asks for units: one connection, one operation at a time."""

    again: int

    async def lend(self, units: int) -> int:
        """Return how many units one operation brought once they are durable."""
        ...


@dataclass
class Rounds:
    """The clients of one process, and what it counted in all rounds."""

    clients: Sequence[Client]
    units: int = 0
    _latencies: list[float] = field(default_factory=list)

    async def answer(self) -> None:
        """Say that all are ready, then a round for each line read."""
        loop = asyncio.get_running_loop()
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            count, units = map(int, line.split())
            print(msgspec.json.encode(await self._measure(count, units)).decode(), flush=True)

    async def _measure(self, count: int, units: int) -> Round:
        """Let all of them ask at once, each `count` times."""
        self._latencies.clear()
        before, again = self.units, sum(client.again for client in self.clients)
        began = time.perf_counter()
        await asyncio.gather(*(self._run(client, count, units) for client in self.clients))
        seconds = time.perf_counter() - began
        again = sum(client.again for client in self.clients) - again
        return summary(self._latencies, self.units - before, seconds, again)

    async def _run(self, client: Client, count: int, units: int) -> None:
        for _ in range(count):
            began = time.perf_counter()
            lent = await client.lend(units)
            self._latencies.append(time.perf_counter() - began)
            self.units += lent


def summary(latencies_s: Sequence[float], units: int, seconds: float, again: int = 0) -> Round:
    """What one round was, from the latency of each of its operations."""
    ordered = sorted(latencies_s)
    p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return Round(len(ordered), units, round(seconds, 4), round(p50 * 1_000, 2), round(p99 * 1_000, 2), again)


class Worker(AbstractContextManager["Worker"]):
    """Such a process, seen from its parent."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        """Wait until it is ready."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the process says why it ended"
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let it check what it counted, and end it."""
        self._process.communicate()
        assert kind is not None or self._process.returncode == 0, "the process says what it missed"

    @property
    def pid(self) -> int:
        """Its process id, which is that of its session too."""
        return self._process.pid

    def ask(self, count: int, units: int) -> Round:
        """One round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count} {units}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process ended and said why"
        return msgspec.json.decode(line, type=Round)
