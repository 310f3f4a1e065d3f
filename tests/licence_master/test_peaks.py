"""Stored peaks are those of brute force over the activity, however late a site tells its part."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from licence_master.catalogue import read_catalogue
from licence_master.service.past.holdings import Holdings
from licence_master.service.past.peaks import GRACE_MS, Peaks
from licence_master.service.past.upkeep import DAY_MS, Upkeep
from licence_master.service.writer import Writer
from licence_master.store import activity
from licence_master.store.activity import Seen
from licence_master.store.peaks import PeakReader
from licence_master.store.retention import Oldest
from licence_master.store.schema import MIGRATIONS
from licensing import administration, wire
from licensing.installation import Pbx, Settings
from licensing.named import assigning
from licensing.usage.peaks import HOUR_MS, Peak, Told
from runtime.ballast import Ballast
from runtime.clock import Monotonic, Wall
from runtime.store import GroupCommit, open_database
from tests.licensing.test_usage import brute_force
from tests.machine import CHAOS

EPOCH = 480_000  # an hour of 2024
HOURS = 60


class HandClock:
    """A clock that the test sets."""

    def __init__(self, hour: int = EPOCH) -> None:
        self.now_ms = hour * HOUR_MS

    def monotonic_ms(self) -> Monotonic:
        return Monotonic(self.now_ms)

    def wall_ms(self) -> Wall:
        return Wall(self.now_ms)


@asynccontextmanager
async def serving(path: Path, clock: HandClock) -> AsyncIterator[tuple[Peaks, Upkeep, GroupCommit, Writer]]:
    """The services that keep peaks, over the store as it is."""
    database = await open_database(path, MIGRATIONS, synchronous="NORMAL")
    commits = GroupCommit(database)
    writer = Writer("acme", commits, clock, Ballast(path.with_name("ballast")))
    pbxs = (Pbx("hq", role="master"), Pbx("lyon", platform="ipva"))
    founded = administration.found("one", 1, recovery=False, settings=Settings(), pbxs=pbxs)
    writer.state = assigning.learn(founded.state, read_catalogue()).state
    running = asyncio.create_task(commits.run())
    peaks = Peaks(writer, commits, PeakReader(path), Holdings())
    try:
        yield peaks, Upkeep(writer, commits, peaks, Oldest(path)), commits, writer
    finally:
        commits.close()
        await running
        await database.close()


def as_told(row: Told) -> wire.Activity:
    return wire.Activity(1, row.at_ms, row.object, "user", row.class_, row.event)  # type: ignore[arg-type]


CLASS = {"hq": "seat", "lyon": "virtual_seat"}
rows_of = {
    agent: st.lists(
        st.builds(
            Told,
            at_ms=st.integers(EPOCH * HOUR_MS, (EPOCH + HOURS) * HOUR_MS - 1),
            agent=st.just(agent),
            object=st.sampled_from(["201", "202", "203"]),
            class_=st.just(class_),
            event=st.sampled_from(["held", "held", "released", "refused"]),
        ),
        max_size=25,
    )
    for agent, class_ in CLASS.items()
}
hours = st.sets(st.integers(0, HOURS), max_size=8)


@settings(max_examples=1_000 if CHAOS else 30, deadline=None)
@given(st.fixed_dictionaries(rows_of), st.fixed_dictionaries(dict.fromkeys(CLASS, hours)), hours)
def test_stored_peaks_are_those_of_brute_force(
    told: dict[str, list[Told]], syncs: dict[str, set[int]], rolls: set[int]
) -> None:
    """Each site tells in its order, when it is not cut off; in some hours the peaks are stored."""
    for rows in told.values():
        rows.sort(key=lambda row: row.at_ms)
    with TemporaryDirectory() as folder:
        found = asyncio.run(_lived(Path(folder) / "ledger.db", told, syncs, rolls))
    rows = told["hq"] + told["lyon"]
    first = min((row.at_ms // HOUR_MS for row in rows), default=EPOCH)
    assert sorted(found) == sorted(brute_force(rows, first, EPOCH + HOURS + 1))


async def _lived(
    path: Path, told: dict[str, list[Told]], syncs: dict[str, set[int]], rolls: set[int]
) -> list[Peak]:
    clock, left = HandClock(), {agent: list(rows) for agent, rows in told.items()}
    async with serving(path, clock) as (peaks, _, commits, writer):
        for hour in sorted(set().union(rolls, *syncs.values(), [HOURS])):
            clock.now_ms = (EPOCH + hour) * HOUR_MS + GRACE_MS
            for agent, rows in left.items():
                if hour in syncs[agent] or hour == HOURS:
                    come = [as_told(row) for row in rows if row.at_ms < clock.now_ms]
                    left[agent] = [row for row in rows if row.at_ms >= clock.now_ms]
                    writer.tally.activity += len(come)
                    await commits.submit(activity.add(agent, come) + peaks.holdings.apply(agent, come))
            if hour in rolls:
                await peaks.roll()
        return await peaks.hours(0, None, None)


async def test_a_year_is_kept_when_its_activity_is_gone(tmp_path: Path) -> None:
    clock, path = HandClock(), tmp_path / "ledger.db"
    async with serving(path, clock) as (peaks, upkeep, commits, _):
        for day in range(30):
            begin_ms = (EPOCH + day * 24) * HOUR_MS
            names = [f"2{n:02}" for n in range(day + 1)]
            events = [(name, begin_ms, "held") for name in names]
            events += [(name, begin_ms + 2 * HOUR_MS, "released") for name in names]
            rows = [Told(at_ms, "hq", name, "seat", event) for name, at_ms, event in events]
            await commits.submit(activity.add("hq", [as_told(row) for row in rows]))
        clock.now_ms = (EPOCH + 30 * 24) * HOUR_MS + GRACE_MS
        upkeep.keep(10)
        assert await upkeep.prune() == 0, "nothing goes before its peaks are stored"
        clock.now_ms += DAY_MS
        await peaks.roll()
        before = await peaks.hours(0, "", "port")
        assert max(row.peak for row in before) == 30
        assert await upkeep.prune() == 2 * sum(range(1, 22)) + 22
        assert await upkeep.prune() == 0, "once a day"
        assert await peaks.hours(0, "", "port") == before
        with closing(sqlite3.connect(path)) as store:
            ((oldest,),) = store.execute("SELECT min(at_ms) FROM activity").fetchall()
        assert oldest >= clock.now_ms - 10 * DAY_MS


async def test_who_holds_what_is_known_when_the_rows_are_gone(tmp_path: Path) -> None:
    clock, path = HandClock(), tmp_path / "ledger.db"
    async with serving(path, clock) as (peaks, upkeep, commits, _):
        told = [as_told(Told(clock.now_ms, "hq", name, "seat", "held")) for name in ("201", "202")]
        seen = activity.saw(Seen("hq", clock.now_ms, 2))
        await commits.submit([*activity.add("hq", told), *peaks.holdings.apply("hq", told), seen])
        clock.now_ms += 30 * DAY_MS
        await peaks.roll()
        upkeep.keep(10)
        assert await upkeep.prune() == 2
    database = await open_database(path, MIGRATIONS)
    found = Holdings(await activity.holders(database))
    async for agent, events in activity.since_holders(database):
        found.follow(agent, events)
    await database.close()
    assert {holder.object for holder in found.all()} == {"201", "202"}


async def test_one_wrong_date_holds_up_no_deletion(tmp_path: Path) -> None:
    clock, path = HandClock(), tmp_path / "ledger.db"
    async with serving(path, clock) as (peaks, upkeep, commits, _):
        far = Told(clock.now_ms + 1_000 * DAY_MS, "hq", "999", "seat", "held")
        old = Told(clock.now_ms, "hq", "201", "seat", "held")
        await commits.submit(activity.add("hq", [as_told(far), as_told(old)]))
        clock.now_ms += 30 * DAY_MS
        await peaks.roll()
        upkeep.keep(10)
        assert await upkeep.prune() == 1
        assert {row.peak for row in await peaks.hours(0, "hq", "port")} == {1}, (
            "who holds on is still counted"
        )
