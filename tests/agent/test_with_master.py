"""Two agents and the real `licence-master` process: units go where a phone waits."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.edges.joining import Invitation, join
from agent.main import Main
from runtime.config import parse
from tests.agent.conftest import CONFIG, started
from tests.agent.scripted_pbx import Phone, ScriptedPbx, free_port

PROGRAM = str(Path(sys.executable).with_name("licence-master"))
MASTER = """
data: master
agents: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
installations:
  - name: acme
    software: 13
    policy: {linger_s: {user: 0}}
    pbxs:
      - {name: lyon, role: master, platform: gateway}
      - {name: metz, role: slave, platform: gateway}
"""


@dataclass
class Master:
    """A running `licence-master serve` and its commands."""

    config: Path
    port: int = 0

    async def command(self, *words: str) -> str:
        """Run `licence-master WORDS`; what it printed."""
        argv = (PROGRAM, *words, "--config", str(self.config))
        process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def invitation(self, pbx: str) -> Invitation:
        """What `licence-master invite` says, as `pbx-agent join` reads it."""
        words = (await self.command("invite", "--pbx", pbx)).split()
        return Invitation(f"https://127.0.0.1:{self.port}", _after(words, "--token"), _after(words, "--pin"))


def _after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


@pytest.fixture
async def master(tmp_path: Path) -> AsyncIterator[Master]:
    master = Master(tmp_path / "master.yaml")
    master.config.write_text(MASTER)
    (tmp_path / "licences.csv").write_text("type,count,place,mac\nPBX-Port13,3,,\n")
    await master.command("init", "--installation", "acme")
    argv = (PROGRAM, "serve", "--config", str(master.config))
    process = await asyncio.create_subprocess_exec(*argv, stderr=PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while master.port == 0:
                line = json.loads(await process.stderr.readline())
                master.port = line.get("agents_port", 0)
        reader = asyncio.create_task(process.stderr.read())
        await master.command("install", str(tmp_path / "licences.csv"))
        yield master
    finally:
        process.terminate()
        await process.wait()
    await reader


@dataclass
class Branch:
    """One site: its agent, its PBX, and phones."""

    main: Main
    guard: tuple[str, int]
    phones: list[Phone]

    async def phone(self) -> Phone:
        """One more phone."""
        self.phones.append(await Phone.open())
        return self.phones[-1]


@asynccontextmanager
async def branch(name: str, master: Master, home: Path) -> AsyncIterator[Branch]:
    """A joined and running agent."""
    data, pbx = home / name, await ScriptedPbx.open()
    await asyncio.to_thread(join, await master.invitation(name), data, 13)
    guard = ("127.0.0.1", free_port())
    sip = json.dumps({"listen": [f"udp:127.0.0.1:{guard[1]}"], "pbx": f"udp:127.0.0.1:{pbx.address[1]}"})
    text = CONFIG.format(data=data, sip=sip, away="refuse").replace("lyon", name)
    phones: list[Phone] = []
    try:
        async with started(parse(text, "agent.yaml", AgentConfig)) as main:
            yield Branch(main, guard, phones)
    finally:
        for peer in (pbx, *phones):
            peer.close()


async def test_four_phones_at_two_sites_share_three_licences(master: Master, tmp_path: Path) -> None:
    """A unit given back at one site serves a phone at the other in under a second (wake and recall)."""
    async with AsyncExitStack() as stack:
        lyon = await stack.enter_async_context(branch("lyon", master, tmp_path))
        metz = await stack.enter_async_context(branch("metz", master, tmp_path))
        leaving = await lyon.phone()
        assert await leaving.registered(lyon.guard, "201") == 200
        assert await (await lyon.phone()).registered(lyon.guard, "202") == 200
        assert await (await metz.phone()).registered(metz.guard, "301") == 200
        late = await metz.phone()
        assert await late.registered(metz.guard, "302") == 403
        began = time.monotonic()
        assert await leaving.registered(lyon.guard, "201", expires=0) == 200
        while await late.registered(metz.guard, "302") != 200:  # as its user would, until the unit has come
            assert time.monotonic() - began < 1
        assert time.monotonic() - began < 1
        used = [
            site.main.pbxs[name].site.seats.counts()["seat"].used
            for name, site in (("lyon", lyon), ("metz", metz))
        ]
        assert used == [1, 2]
