"""Between the commits of an agent a crowd gathers; who writes alone waits for nobody (decision 0054)."""

import asyncio
import contextlib
from random import Random

from agent.store.journal import MIGRATIONS
from runtime.store import REST_S, GroupCommit, Statement
from tests.simulation.services.disk import Disk, SimulatedDatabase
from tests.simulation.services.loop import SeededLoop

WRITES = 400
VISIT_S = 0.02  # to the disk and back
MARK = "INSERT OR REPLACE INTO mark (name, value) VALUES (?, ?)"


class Steady(Random):
    """Every visit to the disk takes its whole time."""

    def random(self) -> float:
        return 1.0


def written(*, gap_s: float | None, rests: bool, visit_s: float = VISIT_S) -> tuple[int, list[float]]:
    """Transactions of so many writes, and the virtual seconds that each waited.

    A write comes each `gap_s`, whatever became of those before; None: each as soon as the last is on disk.
    """
    disk = Disk(MIGRATIONS, Steady())
    disk.latency_ms = visit_s / 2 * 1_000
    transactions: list[int] = []
    disk.watch = lambda statements: transactions.append(len(statements))
    waits: list[float] = []
    loop = SeededLoop(Random(1))

    async def write(commits: GroupCommit, number: int) -> None:
        mark: Statement = (MARK, [(f"{number}", number)])
        began = loop.time()
        await commits.submit([mark])
        waits.append(loop.time() - began)

    async def all_of_them() -> None:
        commits = GroupCommit(SimulatedDatabase(disk), rests=rests)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(commits.run())
            async with asyncio.TaskGroup() as writers:
                for number in range(WRITES):
                    if gap_s is None:
                        await write(commits, number)
                    else:
                        writers.create_task(write(commits, number))
                        await asyncio.sleep(gap_s)
            commits.close()

    with contextlib.closing(loop):
        loop.run_until_complete(all_of_them())
    assert sum(transactions) == WRITES
    return len(transactions), waits


def test_a_crowd_makes_half_as_many_commits() -> None:
    hasty, _ = written(gap_s=0.001, rests=False)
    rested, waits = written(gap_s=0.001, rests=True)
    assert rested <= 0.6 * hasty
    assert max(waits) <= 3.1 * VISIT_S, "the commit under way, as long again, and its own"


def test_who_writes_alone_waits_for_nobody() -> None:
    transactions, waits = written(gap_s=None, rests=True)
    assert transactions == WRITES
    assert max(waits) <= 1.1 * VISIT_S


def test_nobody_rests_long_for_a_slow_disk() -> None:
    _, waits = written(gap_s=0.01, rests=True, visit_s=1.0)
    assert max(waits) <= 2.01 + REST_S
