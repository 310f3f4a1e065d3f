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
from typing import Any

import httpx
import pytest

from agent.config import AgentConfig
from agent.edges.joining import Invitation, join
from agent.main import Main
from runtime.config import parse
from tests.acceptance.peers.typed import ended_here
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
        argv = ("licence-master", *words, "--config", str(self.config))
        done = await asyncio.to_thread(ended_here, argv)
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def asked(self, path: str, order: dict[str, object] | None = None) -> Any:
        """What the admin API says to a GET, or to a POST of this order."""
        transport = httpx.AsyncHTTPTransport(
            uds=str(self.config.parent / "master" / "admin.sock"), verify=False
        )
        base = "http://master/api/v1/installations/acme"
        async with httpx.AsyncClient(transport=transport, base_url=base, timeout=60) as client:
            said = await (client.get(path) if order is None else client.post(path, json=order))
        assert said.status_code == 200, said.text
        return said.json()

    async def install(self, *rows: str) -> None:
        """Install these rows (`TYPE,COUNT`)."""
        file = {"name": "licences.csv", "content": "\n".join(("type,count", *rows, ""))}
        await self.asked("/licences", {"files": [file]})

    async def invitation(self, pbx: str) -> Invitation:
        """What `licence-master invite` says, as `pbx-agent join` reads it."""
        said = await self.asked("/invites", {"pbx": pbx})
        return Invitation(f"https://127.0.0.1:{self.port}", said["token"], said["pin"])


@pytest.fixture
async def master(tmp_path: Path) -> AsyncIterator[Master]:
    async with serving(tmp_path, MASTER, "PBX-Port13,3") as master:
        yield master


@asynccontextmanager
async def serving(tmp_path: Path, text: str, *rows: str) -> AsyncIterator[Master]:
    """A master of this configuration, with these licences (`TYPE,COUNT`)."""
    master = Master(tmp_path / "master.yaml")
    master.config.write_text(text)
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
        await master.install(*rows)
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
async def branch(name: str, master: Master, home: Path, objects: str = "") -> AsyncIterator[Branch]:
    """A joined and running agent; `objects` are further rows of its directory."""
    data, pbx = home / name, await ScriptedPbx.open()
    await asyncio.to_thread(join, await master.invitation(name), data, 13)
    guard = ("127.0.0.1", free_port())
    sip = json.dumps({"listen": [f"udp:127.0.0.1:{guard[1]}"], "pbx": f"udp:127.0.0.1:{pbx.address[1]}"})
    text = CONFIG.format(data=data, sip=sip, away="refuse").replace("lyon", name)
    text = text.replace("    objects:\n", f"    objects:\n{objects}")
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
