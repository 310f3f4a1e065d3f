"""A full disk, a read-only disk: growth ends, what shrinks goes on, nothing acknowledged is lost (0021)."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from licence_master.store import ledger
from licensing.ledger import replay
from tests.acceptance.peers.waiting import until
from tests.chaos.small_disk import SmallDisk
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master
from tests.licence_master.peer import Peer, happened

SIZE = 4 << 20  # the ballast is a thirty-second part: 128 KiB
BALLAST = SIZE // 32
UNHURRIED = "agent_per_s: 10000, address_per_s: 10000"  # a fast machine fills the disk as fast as it can


class DiskMaster(Master):
    """A master whose data directory is a small disk."""

    def __init__(self, home: Path, disk: SmallDisk) -> None:
        super().__init__(home, agents=f", {UNHURRIED}")
        self.disk = disk
        self.place = disk

    @property
    def data(self) -> Path:
        return self.disk.outside

    def wait_logged(self, event: str, times: int = 1) -> None:
        """Until it was said so often since the beginning."""
        until(lambda: len(self.logged(event)) >= times, 5, event)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "data", SIZE) as made:
        yield made


@contextlib.asynccontextmanager
async def house(disk: SmallDisk, seats: int = 20) -> AsyncIterator[tuple[DiskMaster, Peer, Peer]]:
    """500 ports on a small disk; hq holds 30 of them and lyon `seats`."""
    async with AsyncExitStack() as stack:
        master = stack.enter_context(DiskMaster(disk.place.parent, disk))
        master.command("init")
        await asyncio.to_thread(master.start)
        stock(master, "PBX-Port13,500")
        hq = await stack.enter_async_context(await join(master, "hq"))
        lyon = await stack.enter_async_context(await join(master, "lyon"))
        await hq.sync({"seat": 30})
        await lyon.sync({"seat": seats})
        yield master, hq, lyon


def entries(master: Master) -> list[ledger.Entry]:
    """What the file says, of a copy: SQLite finds no way through another namespace."""
    with TemporaryDirectory() as folder:
        for name in ("ledger.db", "ledger.db-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(master.ledger().with_name(name), folder)
        return ledger.read_file(Path(folder) / "ledger.db")


def on_record(master: Master) -> dict[str, int]:
    """The shares that the file has."""
    state = replay(entry.event for entry in entries(master))
    return {name: shares["seat"].granted for name, shares in state.shares.items() if "seat" in shares}


def measured(master: Master, metric: str) -> float:
    with master.api() as api:
        text = api.get("http://master/metrics").text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(metric))


@pytest.mark.timeout(120)
async def test_a_disk_that_fills_under_load_ends_growth_and_nothing_else(disk: SmallDisk) -> None:
    async with house(disk) as (master, hq, lyon):
        assert (disk.outside / "ballast").stat().st_blocks * 512 == BALLAST
        disk.fill(BALLAST * 4)
        number = 0
        while master.disk.free >= BALLAST:  # history fills it; each event is acknowledged until it waits
            events = [happened(number + n, f"{n % 40}") for n in range(1, 101)]
            before = hq.activity
            await hq.sync({"seat": 31 + number % 2}, activity=events)
            if hq.activity == before:
                break
            number = hq.activity
            assert number < 100_000, "it never fills"
        await asyncio.to_thread(master.wait_logged, "disk.short")
        held = {"hq": hq.shares["seat"], "lyon": lyon.shares["seat"]}

        await lyon.sync({"seat": 40})
        denial = lyon.answer().denials["seat"]
        assert (lyon.shares["seat"], denial.code, denial.recalling) == (held["lyon"], "disk_full", 0)
        assert "Free space" in denial.hint
        for command in (("invite", "--pbx", "nice"), ("token", "make", "--role", "auditor")):
            said = master.run(*command)
            assert (said.returncode, "disk_full" in said.stderr, "Free space" in said.stderr) == (
                1,
                True,
                True,
            )
        (master.home / "more.csv").write_text("type,count\nPBX-Port13,5\n")
        assert "disk_full" in master.run("install", str(master.home / "more.csv")).stderr
        assert measured(master, "licence_disk_shortage") >= 1
        doctor = master.run("doctor")
        assert doctor.returncode == 1
        assert "make room" in doctor.stdout

        for step in range(150):  # refreshes, falls and returns, each of them durable
            await lyon.sync({"seat": max(1, 20 - step // 8)}, activity=[happened(step + 1, "7")])
            assert lyon.last is not None
            assert lyon.last.status == 200
            assert lyon.activity == 0, "history waits at the agent"
        assert lyon.shares == {"seat": 2}
        master.command("release-site", "hq", "--yes")
        assert on_record(master) == {"lyon": 2}

        await asyncio.to_thread(master.kill)
        assert on_record(master) == {"lyon": 2}


@pytest.mark.timeout(120)
async def test_a_full_disk_frees_its_ballast_and_all_goes_on_when_there_is_room(disk: SmallDisk) -> None:
    """Filled by something else, in one go: while it runs, and while it does not."""
    async with house(disk) as (master, hq, lyon):
        disk.fill(BALLAST // 8)
        await asyncio.to_thread(master.wait_logged, "disk.ballast_freed")
        assert not (disk.outside / "ballast").exists()
        await lyon.sync({"seat": 12})
        assert (lyon.shares, on_record(master)) == ({"seat": 12}, {"hq": 30, "lyon": 12})
        await hq.sync({"seat": 35})
        assert (hq.shares["seat"], hq.answer().denials["seat"].code) == (30, "disk_full")
        doctor = master.run("doctor").stdout
        assert "was freed because the disk was full" in doctor

        disk.clear()
        await asyncio.to_thread(master.wait_logged, "disk.ample")
        assert (disk.outside / "ballast").stat().st_blocks * 512 == BALLAST
        assert await hq.wake(), "whoever was refused asks again"
        await hq.sync({"seat": 35})
        assert hq.shares == {"seat": 35}
        assert measured(master, "licence_disk_shortage") == 0

        await asyncio.to_thread(master.stop)
        disk.fill()
        assert disk.free == 0
        await asyncio.to_thread(master.start)
        await lyon.move_to(master.url)
        await lyon.sync({"seat": 3})
        assert (lyon.shares, on_record(master)) == ({"seat": 3}, {"hq": 35, "lyon": 3})
        assert not (disk.outside / "ballast").exists()
        await lyon.sync({"seat": 4})
        assert lyon.answer().denials["seat"].code == "disk_full"


@pytest.mark.timeout(120)
async def test_without_any_room_it_steps_down_and_loses_nothing(disk: SmallDisk) -> None:
    """Also the ballast is used up: a commit fails, the process ends, and a start says what is wrong."""
    async with house(disk, seats=400) as (master, _, lyon):
        acknowledged = {"hq": 30, "lyon": 400}
        with contextlib.suppress(httpx.TransportError):
            for seats in range(399, 0, -1):  # each return is an event; what only replaces rows needs no room
                disk.fill()  # whatever the master frees, somebody else takes
                said = await lyon.sync({"seat": seats})
                if said.status != 200:
                    assert said.code in ("store_failed", "disk_full")
                    break
                acknowledged["lyon"] = lyon.shares["seat"]
        assert await asyncio.to_thread(master.exit_code) == 1
        (failed,) = master.logged("daemon.failed")
        assert "ledger.db" in str(failed["error"])
        assert "full" in str(failed["error"])
        assert "exception" not in failed
        found = on_record(master)
        assert found["hq"] == acknowledged["hq"]
        assert found["lyon"] in (acknowledged["lyon"], seats), "in flight: written or not"

        disk.clear()
        await asyncio.to_thread(master.start)
        await lyon.move_to(master.url)
        lyon.take(await lyon.again())
        await lyon.sync({"seat": 9})
        assert on_record(master) == {**acknowledged, "lyon": 9}

        await asyncio.to_thread(master.stop)
        (disk.outside / "ballast").unlink()
        disk.fill()
        with pytest.raises(AssertionError, match="did not start"):
            await asyncio.to_thread(master.start)
        assert "Traceback" not in json.dumps(master.lines)
        assert "(0 bytes free on its disk)" in str(master.logged("daemon.failed")[-1]["error"])
        disk.clear()
        await asyncio.to_thread(master.start)
        assert on_record(master) == {**acknowledged, "lyon": 9}


@pytest.mark.timeout(120)
async def test_a_read_only_disk_is_named_and_ends_it(disk: SmallDisk) -> None:
    async with house(disk) as (master, _, lyon):
        await asyncio.to_thread(master.kill)
        before = on_record(master)
        disk.remount("ro")
        with pytest.raises(AssertionError, match="did not start"):
            await asyncio.to_thread(master.start)
        (failed,) = master.logged("daemon.failed")
        assert "Read-only file system" in str(failed["error"])
        assert "exception" not in failed
        doctor = master.run("doctor")
        assert doctor.returncode == 1
        assert "Read-only file system" in doctor.stdout
        assert "Traceback" not in doctor.stderr
        disk.remount("rw")
        await asyncio.to_thread(master.start)
        await lyon.move_to(master.url)
        await lyon.sync({"seat": 4})
        assert on_record(master) == {**before, "lyon": 4}
