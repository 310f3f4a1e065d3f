"""An agent whose disk is full, or takes no writes: registered phones go on, newcomers are told why."""

import asyncio
import json
import resource
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.peers.typed import ended_here
from tests.agent.conftest import House
from tests.agent.scripted_master import ScriptedMaster
from tests.agent.scripted_pbx import ScriptedPbx, status_of
from tests.agent.test_program import PROGRAM, Agent
from tests.chaos.small_disk import SmallDisk

SIZE = 4 << 20
BALLAST = SIZE // 32


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "data", SIZE) as made:
        yield made


@pytest.fixture
async def house(tmp_path: Path, disk: SmallDisk) -> AsyncIterator[House]:
    directory = tmp_path / "master"
    directory.mkdir()
    pbx = await ScriptedPbx.open()
    async with ScriptedMaster(directory).serving() as master:
        house = House(disk.outside, master, pbx)
        house.enrol()
        text = house.config_text().replace(str(disk.outside), str(disk.place))
        (tmp_path / "agent.yaml").write_text(text)
        yield house
    pbx.close()
    for phone in house.phones:
        phone.close()


@asynccontextmanager
async def running(disk: SmallDisk) -> AsyncIterator[Agent]:
    """The real process, on the small disk."""
    command = disk.inside([PROGRAM, "run", "--config", str(disk.place.parent / "agent.yaml")])
    process = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
    agent = Agent(process)
    try:
        yield agent
    finally:
        if process.returncode is None:
            process.kill()
            await agent.ended()


async def asked(disk: SmallDisk, *words: str) -> tuple[int, str]:
    """A command beside it."""
    command = ["pbx-agent", *words, "--config", str(disk.place.parent / "agent.yaml")]
    done = await asyncio.to_thread(ended_here, command, disk)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


async def site(disk: SmallDisk) -> dict[str, Any]:
    code, out = await asked(disk, "status", "--json")
    assert code == 0
    entry: dict[str, Any] = json.loads(out)["pbxs"][0]
    return entry


@pytest.mark.timeout(120)
async def test_on_a_full_disk_registered_phones_go_on_and_newcomers_are_told_why(
    house: House, disk: SmallDisk
) -> None:
    house.master.state = "short"
    async with running(disk) as agent:
        await agent.until("agent.ready")
        assert (disk.outside / "ballast").stat().st_blocks * 512 == BALLAST
        first, second = await house.phone(), await house.phone()
        for phone, user in ((first, "202"), (second, "203")):
            assert await phone.registered(house.guard, user) == 200
        disk.fill(BALLAST // 2)
        await agent.until("disk.short")
        newcomer = await house.phone()
        newcomer.register(house.guard, "204")
        answer = await newcomer.answer()
        assert status_of(answer) == 503
        assert b"disk_full" in answer
        assert b"\r\nRetry-After: " in answer
        assert await first.registered(house.guard, "202") == 200
        assert await house.register("202") == 200, "a further device"
        alarms = {alarm["code"]: alarm["hint"] for alarm in (await site(disk))["alarms"]}
        assert "Make room there" in alarms["disk_full"]
        code, said = await asked(disk, "check")
        assert (code, "disk_full" in said) == (2, True)
        assert "newcomers are refused" in (await asked(disk, "doctor"))[1]
        assert await second.registered(house.guard, "203", expires=0) == 200
        await house.heard_demand(used=1, want=1)

        agent.process.kill()
        await agent.ended()
    disk.fill()
    assert disk.free == 0
    async with running(disk) as agent:
        await agent.until("agent.ready")
        assert "disk.ballast_freed" in [line["event"] for line in agent.log]
        assert not (disk.outside / "ballast").exists()
        status = await site(disk)
        assert (status["bindings"], status["classes"]["seat"]["used"]) == (1, 1)
        assert await first.registered(house.guard, "202") == 200
        assert await newcomer.registered(house.guard, "204") == 503
        disk.clear()
        await agent.until("disk.ample")
        assert await newcomer.registered(house.guard, "204") == 200
        assert (await site(disk))["alarms"] == []
        assert (disk.outside / "ballast").exists()
        agent.process.terminate()
        assert await agent.ended() == 0


@pytest.mark.timeout(120)
async def test_a_disk_that_takes_no_writes_ends_it_and_nobody_is_forgotten(
    house: House, disk: SmallDisk
) -> None:
    """What cannot be written is not admitted; the log says what is wrong, and a start mends it."""
    async with running(disk) as agent:
        await agent.until("agent.ready")
        phone, newcomer = await house.phone(), await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        no_writes = (0, resource.RLIM_INFINITY)  # no disk turns read-only while a file is open for writing
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, no_writes)
        newcomer.register(house.guard, "204")
        with pytest.raises(TimeoutError):
            await newcomer.answer()
        assert not [request for request in house.pbx.requests if b"204" in request], "noted before it leaves"
        assert await agent.ended() == 1
        failed = agent.log[-1]
        assert (failed["event"], "exception" in failed) == ("daemon.failed", False)
        assert "agent.db" in failed["error"]
    disk.remount("ro")
    async with running(disk) as agent:
        assert await agent.ended() == 1
        (failed,) = [line for line in agent.log if line["event"] == "daemon.failed"]
        assert "Read-only file system" in failed["error"]
        assert "exception" not in failed
    disk.remount("rw")
    async with running(disk) as agent:
        await agent.until("agent.ready")
        assert (await site(disk))["bindings"] == 1
        assert await phone.registered(house.guard, "202") == 200
        assert await newcomer.registered(house.guard, "204") == 200
