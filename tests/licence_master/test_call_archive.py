"""The archive is the index once more, whatever came late or was cut short; old months go from both."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import msgspec
import pytest

from licence_master.config import CallsConfig
from licence_master.service.calls.calls import Calls, open_calls
from licence_master.store import call_index
from licence_master.store.call_archive import MANIFEST, CallArchive, Manifest, month_of
from runtime.ballast import Ballast
from runtime.clock import Monotonic, Wall
from telephony.cdr.columns import COLUMNS
from telephony.cdr.verdict import Verdict
from telephony.cdr.wire import Batch, BatchAnswer, Record
from tests.licence_master.recorder import DAY_MS, record

NAMES = ", ".join(column.name for column in COLUMNS)
NOW_MS = 1_793_880_000_000  # 2026-11-05T12:00Z


@dataclass
class SetClock:
    """A clock that a test sets."""

    now_ms: int = NOW_MS

    def wall_ms(self) -> Wall:
        return Wall(self.now_ms)

    def monotonic_ms(self) -> Monotonic:
        return Monotonic(self.now_ms)


class House:
    """The call records of acme in this process, and what files say of them."""

    def __init__(self, calls: Calls, home: Path, clock: SetClock) -> None:
        self.calls = calls
        self.home = home
        self.clock = clock
        self.archive = CallArchive(home / "calls", calls.reader)
        self.number = 0

    async def put(self, records: Iterable[Record]) -> None:
        """One more batch."""
        self.number += 1
        batch = Batch(1, "acme", "lyon", "s", self.number, tuple(records))
        assert await self.calls.intake.take(batch) == BatchAnswer("s", self.number)

    def index(self, sql: str = f"SELECT {NAMES} FROM call") -> set[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.home / 'calls.db'}?mode=ro", uri=True)) as store:
            found = store.execute(sql).fetchall()
        assert len(found) == len(set(found))
        return set(found)

    def archived(self, months: str = "*") -> set[tuple[object, ...]]:
        """What DuckDB reads in the files as they lie there."""
        pattern = self.home / "calls" / f"month={months}" / "*.parquet"
        if not list(pattern.parent.parent.glob(f"{pattern.parent.name}/*.parquet")):
            return set()
        with duckdb.connect() as connection:
            sql = f"SELECT {NAMES} FROM read_parquet(?, hive_partitioning = true)"
            found = connection.execute(sql, [str(pattern)]).fetchall()
        assert len(found) == len(set(found)), "a record twice"
        return set(found)

    def holds(self) -> Manifest:
        """The manifest, whose every word is true."""
        manifest = self.archive.manifest()
        files = {each.relative_to(self.home / "calls").as_posix() for each in self.home.glob("calls/*/*")}
        assert files == {part.file for parts in manifest.months.values() for part in parts}
        for month, parts in manifest.months.items():
            for part in parts:
                path = self.home / "calls" / part.file
                assert (part.bytes, part.sha256) == (
                    path.stat().st_size,
                    hashlib.sha256(path.read_bytes()).hexdigest(),
                )
                assert month_of(part.first_ms) == month_of(part.last_ms) == month
            assert sum(part.rows for part in parts) == len(self.archived(month))
        assert self.archived() == self.index()
        return manifest


@asynccontextmanager
async def house(home: Path) -> AsyncIterator[House]:
    clock = SetClock()
    calls = await open_calls("acme", home / "calls.db", home / "calls", clock, Ballast(home / "ballast"))
    running = asyncio.create_task(calls.run())
    try:
        yield House(calls, home, clock)
    finally:
        calls.stop()
        await running
        await calls.close()


def remove(directory: Path, pattern: str) -> None:
    for path in directory.glob(pattern):
        path.unlink()


def some(name: str, end_ms: int, count: int = 3) -> list[Record]:
    return [record("lyon", f"{name}-{n}", end_ms=end_ms + n) for n in range(count)]


async def test_the_archive_is_the_index_by_month(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        assert (await here.calls.upkeep.archive()).rows == 0
        october = call_index.begin_of("2026-11") - 1
        odd = msgspec.structs.replace(
            record("lyon", 'é,"\n\0', end_ms=NOW_MS), raw=bytes(range(256)), cause=None
        )
        await here.put(
            [*some("a", NOW_MS), odd, *some("b", october - 5), record("lyon", "edge", end_ms=october)]
        )
        done = await here.calls.upkeep.archive()
        assert (done.rows, done.added, done.parts) == (8, 8, 2)
        assert list(here.holds().months) == ["2026-10", "2026-11"]

        await here.put([*some("late", october - 1_000), *some("c", NOW_MS)])
        assert (await here.calls.upkeep.archive()).added == 6
        before = here.holds()
        assert [len(parts) for parts in before.months.values()] == [2, 2]

        (tmp_path / "calls" / "month=2026-10" / "orphan.parquet").write_bytes(b"x")
        (tmp_path / "calls" / ".lines").mkdir()
        (tmp_path / "calls" / ".lines" / "2026-10").write_bytes(b"{")
        assert (await here.calls.upkeep.archive()).added == 0
        here.holds()

        done = await here.calls.upkeep.archive(rebuild=True)
        assert (done.rows, done.added, done.parts) == (14, 14, 2)
        here.holds()


async def test_many_records_make_parts_of_a_bounded_size(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        for n in range(3):
            await here.put(some(f"x{n}", NOW_MS, 500))
        while await asyncio.to_thread(here.archive.extend, 700):
            pass
        assert [part.rows for part in here.holds().months["2026-11"]] == [700, 700, 100]


async def test_an_archive_of_another_index_is_made_again(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        await here.put(some("a", NOW_MS))
        await here.calls.upkeep.archive()
    remove(tmp_path, "calls.db*")
    async with house(tmp_path) as here:
        await here.put(some("b", NOW_MS, 5))
        assert (await here.calls.upkeep.archive()).added == 5
        here.holds()
    (tmp_path / "calls" / MANIFEST).write_text("{")
    async with house(tmp_path) as here:
        assert (await here.calls.upkeep.archive()).added == 5
        here.holds()


async def test_a_failure_leaves_the_archive_as_it_was(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        await here.put(some("a", NOW_MS))
        await here.calls.upkeep.archive()
        before = here.holds()
        await here.put([*some("b", NOW_MS), *some("c", NOW_MS - 50 * DAY_MS)])
        obstacle = tmp_path / "calls" / "month=2026-09"
        obstacle.write_text("a file where a directory must be")
        with pytest.raises(FileExistsError):
            await here.calls.upkeep.archive()
        assert here.archive.manifest() == before
        obstacle.unlink()
        await here.calls.upkeep.archive()
        here.holds()


async def test_old_months_go_and_their_records_do_not_come_back(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        here.calls.upkeep.config = CallsConfig(keep_days=60)
        august, september = call_index.begin_of("2026-08"), call_index.begin_of("2026-09")
        old, kept = some("old", august, 1_000), some("kept", september)
        await here.put(old)
        await here.put([*some("older", august - 1), *kept])
        await here.calls.upkeep.archive()
        assert await here.calls.upkeep.prune() == 1_003, (
            "what ended on the last of July is of the months before"
        )
        assert await here.calls.upkeep.prune() == 0, "once a day"
        assert list(here.holds().months) == ["2026-09"]
        assert {row[1] for row in here.index()} == {each.call_ref for each in kept}

        await here.put(old)
        assert here.calls.intake.arrived == {Verdict.KEPT: 1_006, Verdict.DUPLICATE: 1_000}
        assert len(here.index("SELECT * FROM call_key")) == 1_006

        here.clock.now_ms = august + 367 * DAY_MS
        assert await here.calls.upkeep.prune() == 3
        assert here.archived() == here.index() == set()
        assert len(here.index("SELECT * FROM call_key")) == 3
        await here.put(old)
        assert here.calls.intake.arrived[Verdict.TOO_OLD] == 1_000
