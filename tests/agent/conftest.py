"""One agent in this process, between a scripted PBX, scripted phones and a scripted master."""

import asyncio
import gc
import json
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.main import Main, MakeWatch
from agent.service.opening import OpenPbx
from agent.service.status import status
from agent.store import enrolment
from licensing import wire
from runtime.config import parse
from runtime.signing import SigningKey
from tests.agent.scripted_master import ScriptedMaster
from tests.agent.scripted_pbx import Address, Phone, ScriptedPbx, free_port

COLLECTOR = gc.get_threshold()
CONFIG = """
data: "{data}"
pbxs:
  - name: lyon
    software: 13
    sip: {sip}
    objects:
      - {{kind: group, aor: ["11"]}}
      - {{kind: user, name: anna, aor: ["201", "anna"]}}
    unknown: user
policy: {{away: {away}}}
"""


@asynccontextmanager
async def started(config: AgentConfig, watch: MakeWatch | None = None) -> AsyncIterator[Main]:
    """An agent in this process that is ready; leaving the block is SIGTERM."""
    main, stop = Main(config, watch=watch), asyncio.Event()
    task, ready = asyncio.create_task(main.run(stop)), asyncio.create_task(main.ready.wait())
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    try:
        if not task.done():
            yield main
    finally:
        gc.disable()  # until the sockets are collected below, by our own hand
        stop.set()
        try:
            await task
        finally:
            collect_sockets()
            gc.enable()


def collect_sockets() -> None:
    """httpcore leaves the socket of a TLS handshake that the stop cancelled to the collector: do it here.

    The collector, which the agent spares (runtime.daemon), is given back to other tests as it was.
    """
    gc.unfreeze()
    gc.set_threshold(*COLLECTOR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class House:
    """The agent's surroundings; `running` starts an agent in them, as often as one likes."""

    def __init__(self, data: Path, master: ScriptedMaster, pbx: ScriptedPbx) -> None:
        self.data = data
        self.master = master
        self.pbx = pbx
        self.guard: Address = ("127.0.0.1", free_port())
        self.away = "refuse"
        self.watch: MakeWatch | None = None
        self.objects = ""  # further rows of the directory
        self.asterisk: dict[str, Any] = {}  # the section of this name
        self.kamailio: dict[str, Any] = {}  # and of this one
        self.cdrs: dict[str, Any] = {}  # and this one
        self.further = ""  # further keys of the PBX
        self.listen = [f"udp:127.0.0.1:{self.guard[1]}"]
        self.sip: dict[str, Any] = {"pbx": f"udp:127.0.0.1:{pbx.address[1]}"}
        self.phones: list[Phone] = []
        self.main: Main

    @property
    def lyon(self) -> OpenPbx:
        """The PBX that the agent serves."""
        return self.main.pbxs["lyon"]

    def enrol(self) -> None:
        """Put an enrolment where `join` would."""
        directory = self.data / "lyon"
        directory.mkdir(parents=True)
        key = SigningKey.generate()
        key.save(directory / enrolment.KEY_FILE)
        enrolment.save(directory, self.master.enrolment("lyon", key))

    def config_text(self) -> str:
        """The agent's configuration file."""
        sip = json.dumps({"listen": self.listen, **self.sip})
        text = CONFIG.format(data=self.data, away=self.away, sip=sip)
        for name, section in (
            ("asterisk", self.asterisk), ("kamailio", self.kamailio), ("cdrs", self.cdrs),
        ):  # fmt: skip
            if section:
                text = text.replace("    objects:\n", f"    {name}: {json.dumps(section)}\n    objects:\n")
        text = text.replace("    objects:\n", f"    objects:\n{self.objects}")
        return text.replace("policy:", f"{self.further}policy:")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Main]:
        """A started agent; leaving the block is SIGTERM."""
        config = parse(self.config_text(), "agent.yaml", AgentConfig)
        async with started(config, self.watch) as self.main:
            yield self.main

    async def phone(self, host: str = "127.0.0.1") -> Phone:
        """One more phone; at the address of the PBX no limit counts."""
        phone = await Phone.open(host)
        self.phones.append(phone)
        return phone

    async def register(self, user: str, expires: int = 600) -> int:
        """A phone of its own registers this user; the status of the answer."""
        return await (await self.phone()).registered(self.guard, user, expires)

    def status(self) -> dict[str, Any]:
        """The agent's entry in `pbx-agent status --json`."""
        return status(self.lyon, self.main.clock)

    def seats(self) -> dict[str, int]:
        """The class that phones draw."""
        counts: dict[str, int] = self.status()["classes"]["seat"]
        return counts

    async def sync(self) -> None:
        """One whole exchange with the master, from the demand to the use of the answer."""
        await self.lyon.conversation.sync()

    async def written(self) -> None:
        """Everything the agent has decided to store is on disk."""
        await self.lyon.journal.keep_marks(clean_stop=0)

    async def heard(self, within_s: float = 10) -> tuple[str, wire.Sync]:
        """The next request that reaches the master."""
        async with asyncio.timeout(within_s):
            return await self.master.arrived.get()

    async def heard_demand(self, used: int, want: int, within_s: float = 10) -> wire.Sync:
        """The next request that says so much of the seats; the agent is woken to say it."""
        self.master.woken.put_nowait(True)
        async with asyncio.timeout(within_s):
            while True:
                _, message = await self.master.arrived.get()
                seats = message.classes.get("seat")
                if seats is not None and (seats.used, seats.want) == (used, want):
                    return message
                self.master.woken.put_nowait(True)


@pytest.fixture
async def master(tmp_path: Path) -> AsyncIterator[ScriptedMaster]:
    directory = tmp_path / "master"
    directory.mkdir()
    async with ScriptedMaster(directory).serving() as serving:
        yield serving


@pytest.fixture
async def house(tmp_path: Path, master: ScriptedMaster) -> AsyncIterator[House]:
    pbx = await ScriptedPbx.open()
    house = House(tmp_path / "data", master, pbx)
    house.enrol()
    yield house
    pbx.close()
    for phone in house.phones:
        phone.close()
