"""The real `pbx-agent` process, killed again and again while call records come: each arrives once."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.agent.cdr.calls import call_ref, line, repeated
from tests.agent.conftest import House
from tests.agent.scripted_pbx import free_port
from tests.agent.test_program import started

CHAOS = bool(os.environ.get("CHAOS"))
KILLS = 300 if CHAOS else 10
SENDERS = 4
IN_FILE = 100_000
"""Numbers of the calls in the file."""
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32) if CHAOS else 20_261_130))


class Pbx:
    """Sends each record until it is acknowledged, as innovaphone does, and writes others into a file."""

    def __init__(self, url: str, file: Path) -> None:
        self.acknowledged: set[str] = set()
        self.written: set[str] = set()
        self.came = asyncio.Event()
        self._url = url
        self._file = file
        self._numbers: Iterator[int] = count()
        self._in_file = count(IN_FILE)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """It sends and writes until the block ends; what it began it finishes."""
        over = asyncio.Event()
        async with httpx.AsyncClient(timeout=5) as client, asyncio.TaskGroup() as tasks:
            for _ in range(SENDERS):
                tasks.create_task(self._send(client, over))
            try:
                yield
            finally:
                over.set()

    async def _send(self, client: httpx.AsyncClient, over: asyncio.Event) -> None:
        while not over.is_set():
            number = next(self._numbers)
            await repeated(client, self._url, line(number))
            self.acknowledged.add(call_ref(number))
            if number % 3 == 0:
                self.write()
            self.came.set()

    def write(self) -> None:
        """One more record in the file, whose line comes in two pieces."""
        number = next(self._in_file)
        with self._file.open("ab", buffering=0) as file:
            whole = line(number)
            file.write(whole[:40])
            file.write(whole[40:])
        self.written.add(call_ref(number))

    def rotate(self, number: int) -> None:
        """What logrotate does."""
        self._file.rename(self._file.with_name(f"Custom.csv.{number}"))
        self._file.touch()

    async def acknowledges(self, more: int) -> None:
        """Wait until so many more are acknowledged."""
        enough = len(self.acknowledged) + more
        async with asyncio.timeout(30):
            while len(self.acknowledged) < enough:
                self.came.clear()
                await self.came.wait()


@pytest.mark.timeout(7_200 if CHAOS else 120)
async def test_a_killed_agent_loses_no_record_and_has_none_twice(
    house: House, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    port, file = free_port(), tmp_path / "Custom.csv"
    file.touch()
    house.cdrs = {
        "sources": [
            {"name": "web", "dialect": "asterisk_custom", "http": f"127.0.0.1:{port}"},
            {"name": "file", "dialect": "asterisk_custom", "file": str(file)},
        ]
    }
    config = tmp_path / "agent.yaml"
    config.write_text(house.config_text())
    chance = random.Random(SEED)
    pbx = Pbx(f"http://127.0.0.1:{port}/", file)
    async with AsyncExitStack() as last:
        async with pbx.busy():
            for kill in range(KILLS):
                house.master.takes_records = kill % 3 != 2
                async with started(config) as agent:
                    await pbx.acknowledges(chance.randint(1, 60))
                    agent.process.kill()
                    await agent.ended()
                if kill % 4 == 1:
                    pbx.rotate(kill)
            house.master.takes_records = True
            await last.enter_async_context(started(config))
            await pbx.acknowledges(SENDERS)
            pbx.rotate(KILLS)
            await pbx.acknowledges(SENDERS)
        sent = pbx.acknowledged | pbx.written
        await house.master.until_records(lambda: len(house.master.records()) >= len(sent))
        arrived = [record.call_ref for record in house.master.records()]
        assert len(arrived) == len(set(arrived))
        assert set(arrived) == sent
        assert house.master.unread() == []
        assert len(pbx.written) > KILLS
    record_property(
        "measured", f"{KILLS} kills of the agent, seed {SEED}, {len(sent)} records: each exactly once"
    )
