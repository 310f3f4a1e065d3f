"""A disk that is full, or takes no writes: records are refused, phones go on, and afterwards all is well."""

import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.agent.cdr.calls import call_ref, line, post, repeated, until_open
from tests.agent.conftest import House
from tests.agent.scripted_master import ScriptedMaster
from tests.agent.scripted_pbx import ScriptedPbx, free_port
from tests.agent.test_program import asked, started
from tests.chaos.small_disk import SmallDisk
from tests.chaos.test_disk_agent import running, site

SIZE = 8 << 20


async def test_a_spool_that_cannot_be_written_stops_no_phone(house: House, tmp_path: Path) -> None:
    port, config = free_port(), tmp_path / "agent.yaml"
    house.cdrs = {"sources": [{"name": "web", "dialect": "asterisk_custom", "http": f"127.0.0.1:{port}"}]}
    config.write_text(house.config_text())
    url = f"http://127.0.0.1:{port}/"
    async with started(config) as agent, httpx.AsyncClient() as client:
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        await until_open(port)
        assert await post(client, url, line(1)) == 200
        while (await asked(config, "status"))["pbxs"][0]["cdrs"]["waiting"]:
            pass  # else it is the note that the master has it which cannot be written, and the door is shut
        before = resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        assert await post(client, url, line(2)) == 503
        assert "spool.db" in (await agent.until("cdr.stopped"))["error"]
        (source,) = (await asked(config, "status"))["pbxs"][0]["cdrs"]["sources"]
        assert not source["connected"]
        assert "spool.db" in source["trouble"]
        assert await phone.registered(house.guard, "202") == 200, "a refresh"
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, before)
        await repeated(client, url, line(2))
        await house.master.until_records(lambda: len(house.master.records()) == 2)
    assert [record.call_ref for record in house.master.records()] == [call_ref(1), call_ref(2)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "data", SIZE) as made:
        yield made


@pytest.fixture
async def on_disk(tmp_path: Path, disk: SmallDisk) -> AsyncIterator[House]:
    directory = tmp_path / "master"
    directory.mkdir()
    pbx = await ScriptedPbx.open()
    async with ScriptedMaster(directory).serving() as master:
        house = House(disk.outside, master, pbx)
        house.enrol()
        yield house
    pbx.close()


async def test_a_full_disk_is_told_to_the_source(on_disk: House, disk: SmallDisk) -> None:
    port, house = free_port(), on_disk
    house.cdrs = {"sources": [{"name": "web", "dialect": "asterisk_custom", "http": f"127.0.0.1:{port}"}]}
    text = house.config_text().replace(str(disk.outside), str(disk.place))
    (disk.place.parent / "agent.yaml").write_text(text)
    url, taken = f"http://127.0.0.1:{port}/", []
    async with running(disk) as agent, httpx.AsyncClient() as client:
        await agent.until("agent.ready")
        await until_open(port)
        assert await post(client, url, line(0)) == 200
        while (await site(disk))["cdrs"]["waiting"]:
            pass  # else the note that the master has it may be what finds the disk full, and the door is shut
        house.master.takes_records = False
        disk.fill(leave=64 * 1024)
        for number in range(1, 200):
            status = await post(client, url, line(number))
            if status == 503:
                break
            assert status == 200
            taken.append(number)
        assert status == 503
        disk.clear()
        await repeated(client, url, line(1_000))
        house.master.takes_records = True
        await house.master.until_records(lambda: len(house.master.records()) == len(taken) + 2)
    expected = {call_ref(number) for number in (0, *taken, 1_000)}
    assert {record.call_ref for record in house.master.records()} == expected
