"""A real master, 64 agents that ask it all the time, and kill -9; its ledger beside what was answered."""

import asyncio
import random
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from licence_master.store.ledger import Entry, read_file
from licensing.ledger import ShareChanged
from tests.acceptance.house import INSTALLATION, House
from tests.acceptance.peers.network import Network
from tests.chaos.asking import Asker, Line
from tests.chaos.linear import Operation, linearizable

CLIENTS = 64
ADDRESSES = 8
CAPACITY = 200
OPERATIONS = 500  # of one history
MOST_WANTED = 8  # by one client: 64 of them want more than there is
RECOVERED_WITHIN_S = 5.0
# Syncs that take 20 ms, as on a busy disk: whoever answers before one has ended is killed before it, too.
SLOW_DISK = (
    *("strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null"),
    *("-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=20000"),
)


@dataclass
class Siege:
    """What was done and found; every field but the counters is checked as it goes."""

    house: House
    line: Line
    askers: list[Asker]
    drawn: random.Random
    recoveries_s: list[float] = field(default_factory=list)
    repeats: int = 0

    @classmethod
    @asynccontextmanager
    async def laid(
        cls, network: Network, seed: int, clients: int = CLIENTS, prefix: Sequence[str] = ()
    ) -> "AsyncIterator[Siege]":
        """Start the master and let everyone join; at the end all hang up, however it ended."""
        names = [f"pbx{number:02}" for number in range(clients)]
        limits = {"address_per_s": 1_000_000, "agent_per_s": 10_000}
        pbxs = dict.fromkeys(names, "gateway")
        house = House(network, {"PBX-Port13": CAPACITY}, pbxs, agents=limits, prefix=prefix, installed=True)
        await asyncio.to_thread(house.build)
        invitations = await asyncio.to_thread(_invite, house, names)
        line = Line(house, invitations[0]["pin"])
        sources = [network.address() for _ in range(ADDRESSES)]
        askers = [Asker(name, sources[n % ADDRESSES], line) for n, name in enumerate(names)]
        with ExitStack() as stack:
            for asker in askers:
                stack.callback(asker.close)
            await asyncio.gather(*(a.enrol(i["token"]) for a, i in zip(askers, invitations, strict=True)))
            yield cls(house, line, askers, random.Random(seed))

    async def history(self, *, kill: bool) -> list[Operation]:
        """So many operations of all clients at once; the master is killed at a random point of them."""
        left = iter(range(OPERATIONS))
        made: list[Operation] = []
        # So early that some still ask afterwards: answers on their way may end an operation of each.
        after = self.drawn.randrange(OPERATIONS - 2 * len(self.askers)) if kill else -1
        reached = asyncio.Event()

        async def work(asker: Asker, drawn: random.Random) -> None:
            for _ in left:
                made.append(await asker.ask(drawn.randrange(MOST_WANTED + 1)))
                if len(made) > after:
                    reached.set()

        async def strike() -> None:
            await reached.wait()
            await self._kill()

        async with asyncio.TaskGroup() as group:
            for asker in self.askers:
                group.create_task(work(asker, random.Random(self.drawn.getrandbits(32))))
            if kill:
                group.create_task(strike())
        return made

    async def _kill(self) -> None:
        """Kill -9, start again (now and then killed while it starts), compare, and let them go on."""
        self.line.up.clear()
        self.house.master.kill()
        if self.drawn.random() < 0.1:
            await asyncio.to_thread(self._kill_at_start)
        began = time.monotonic()
        await asyncio.to_thread(self.house.master.start)
        ready_s = time.monotonic() - began
        self.compare(await asyncio.to_thread(self.entries))
        self.line.answered.clear()
        went_on = time.monotonic()
        self.line.up.set()
        async with asyncio.timeout(RECOVERED_WITHIN_S):
            await self.line.answered.wait()
        self.recoveries_s.append(ready_s + time.monotonic() - went_on)
        assert self.recoveries_s[-1] < RECOVERED_WITHIN_S

    def _kill_at_start(self) -> None:
        self.house.master.launch()
        with suppress(subprocess.TimeoutExpired):
            code = self.house.master.process.wait(self.drawn.uniform(0.1, 1.0))
            raise AssertionError(f"the master ended with {code}: {self.house.master.log}")
        self.house.master.kill()

    def entries(self) -> list[Entry]:
        """The ledger, its chain checked, in a store whose pages are sound; ChainBrokenError."""
        path = self.house.folder / "data" / "installations" / INSTALLATION / "ledger.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        return read_file(path)

    def compare(self, entries: Sequence[Entry]) -> None:
        """Nothing acknowledged is lost, nothing is on record that nobody asked for, nothing is lent twice."""
        lent = dict.fromkeys((asker.name for asker in self.askers), 0)
        for entry in entries:
            if isinstance(entry.event, ShareChanged):
                lent[entry.event.agent] = entry.event.granted
                assert sum(lent.values()) <= CAPACITY, entry
        for asker in self.askers:
            wanted = asker.granted if asker.wanted is None else asker.wanted
            low, high = sorted((asker.granted, wanted))
            assert low <= lent[asker.name] <= high, f"{asker.name}: {lent[asker.name]} on record; {asker}"

    def finish(self, histories: Sequence[list[Operation]]) -> None:
        """What was answered is what the ledger says, change by change; one master can have answered it."""
        entries = self.entries()
        self.compare(entries)
        changes: dict[str, list[tuple[int, int]]] = {asker.name: [] for asker in self.askers}
        for entry in entries:
            if isinstance(entry.event, ShareChanged):
                changes[entry.event.agent].append((entry.seq, entry.event.granted))
        for asker in self.askers:
            assert [granted for _, granted in changes[asker.name]] == asker.grants, asker.name
        before: dict[str, int] = {}
        for number, history in enumerate(histories):
            placed = [
                replace(each, hint=changes[each.client][each.hint - 1][0] if each.hint else 0)
                for each in history
            ]
            assert linearizable(placed, CAPACITY, before), f"history {number}"
            for each in sorted(history, key=lambda operation: operation.ended):
                before[each.client] = each.granted


def _invite(house: House, names: Sequence[str]) -> list[dict[str, Any]]:
    return [house.order("invites", {"pbx": name}) for name in names]
