"""The machines of a simulation: a master with its store, agents with their journals; programs come and go.

Each program is put together as its `main` does, from the same parts, over simulated edges.
"""

import asyncio
import base64
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from random import Random

import msgspec

from agent.config import PbxEntry
from agent.service.opening import Around, OpenPbx
from agent.service.opening import assemble as assemble_pbx
from agent.store.enrolment import Enrolment
from agent.store.journal import MIGRATIONS as JOURNAL
from agent.store.journal import Journal
from licence_master.catalogue import read_catalogue
from licence_master.config import AgentsConfig, InstallationConfig
from licence_master.edges.agent_api import agent_application
from licence_master.service.calls.calls import Calls, calls_over
from licence_master.service.installation import Installation, Surroundings
from licence_master.service.installation import assemble as assemble_installation
from licence_master.store.call_index import MIGRATIONS as CALLS
from licence_master.store.directory import DataDirectory
from licence_master.store.schema import MIGRATIONS as LEDGER
from licensing import wire
from licensing.catalogue import Catalogue
from runtime.ballast import Ballast, Room
from runtime.config import parse
from runtime.signing import request_type
from telephony.address import Flow
from tests.simulation.services.disk import Disk, SimulatedDatabase
from tests.simulation.services.loop import SeededLoop
from tests.simulation.services.process import MachineClock, Process
from tests.simulation.services.seals import signing_key
from tests.simulation.services.wan import RESET, Answer, Asked, Told, Wan, WanLink, call, exchange

INSTALLATION = "acme"
WALL_MS = 1_800_000_000_000
DRAIN_LOOKS, DRAIN_LOOK_S = 200, 0.005


# Call records have their own store and their own tests.
def _no_calls(clock: MachineClock, ballast: Ballast) -> Calls:
    nowhere = Path("/nowhere")
    return calls_over(
        SimulatedDatabase(Disk(CALLS, Random(0))), INSTALLATION, nowhere, nowhere, clock, ballast
    )


OnDeath = Callable[[Process, BaseException], None]


class SimulatedBallast(Ballast):
    """A disk that has room, until a test says otherwise."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere/ballast"))

    def look(self) -> Room:
        """As it was set."""
        return self.room


@cache
def _catalogue() -> Catalogue:
    return read_catalogue()


class MasterMachine:
    """The licence master; `installation` is there while its process serves."""

    def __init__(
        self, loop: SeededLoop, dice: Random, config: InstallationConfig, sync_s: int, on_death: OnDeath
    ) -> None:
        self.loop = loop
        self.dice = dice
        self.config = config
        self.disk = Disk(LEDGER, dice)
        self.clock = MachineClock(loop, WALL_MS)
        self.key = signing_key("master")
        self.process: Process | None = None
        self.installation: Installation | None = None
        self.recovery = False  # the first start is `init`, the later ones are `serve`
        self.place = "here"  # another one when a backup is put there
        self.ballast = SimulatedBallast()
        self.sync_s = sync_s
        self.boots = 0
        self.answering: Callable[[Asked, int], None] = lambda asked, position: None
        self.answered: Callable[[Asked, Told, int], None] = lambda asked, told, position: None
        self._on_death = on_death
        self._open: list[Answer] = []

    @property
    def up(self) -> bool:
        """Whether it serves."""
        return self.installation is not None

    def start(self) -> None:
        """A new process, as systemd starts it."""
        assert self.process is None
        self.boots += 1
        self.process = Process("master", self.loop, self._on_death)
        self.process.spawn(self._main(self.process))

    async def _main(self, process: Process) -> None:
        around = Surroundings(
            DataDirectory(Path("/nowhere")),
            self.key,
            _catalogue(),
            self.clock,
            self.sync_s * 1_000,
            self.ballast,
            entropy=self.dice.randbytes,
        )
        database = SimulatedDatabase(self.disk)
        calls = _no_calls(self.clock, self.ballast)
        installation = await assemble_installation(INSTALLATION, around, database, calls, self.place)
        process.spawn(installation.run())
        await installation.begin(self.config, recovery=self.recovery)
        self.recovery = True
        self._app = agent_application({INSTALLATION: installation}, AgentsConfig(), self.clock)
        self.installation = installation

    def kill(self, *, reset: bool = True) -> None:
        """kill -9; with `reset` the kernel tells whoever waits for an answer, else (power) nobody does."""
        assert self.process is not None
        self.process.kill()
        self.process = self.installation = None
        waiting, self._open = self._open, []
        if reset:
            for answer in waiting:
                answer(RESET)

    async def stop(self) -> None:
        """SIGTERM: end the polls, commit what was accepted, go."""
        installation = self.installation
        assert installation is not None
        installation.end_polls()
        await _soon(lambda: not self._open)
        installation.stop()

    def door(self, asked: Asked, answer: Answer) -> None:
        """A request arrives."""
        if self.process is None or self.installation is None:
            answer(RESET)
            return
        self._open.append(answer)
        self.process.spawn(self._serve(asked, answer))

    async def _serve(self, asked: Asked, answer: Answer) -> None:
        installation = self.installation
        assert installation is not None
        position = installation.writer.state.position
        told = await call(self._app, asked)
        self.answered(asked, told, position)
        if answer in self._open:
            self._open.remove(answer)
        answer(told)


@cache
def entry_of(name: str, number: int) -> PbxEntry:
    """The PBX in agent.yaml."""
    net = f"10.0.{number}"
    text = (
        f'name: {name}\nsoftware: 13\nsip: {{listen: ["udp:{net}.1:5060"], pbx: "udp:{net}.250:5060", '
        "nat_keep_alive_s: 0}\nunknown: user\n"
    )
    return parse(text, "agent.yaml", PbxEntry)


class AgentMachine:
    """One agent; `open` is there while its process serves."""

    def __init__(
        self, loop: SeededLoop, dice: Random, wan: Wan, name: str, number: int, on_death: OnDeath
    ) -> None:
        self.loop = loop
        self.dice = dice
        self.name = name
        self.entry = entry_of(name, number)
        self.net = f"10.0.{number}"
        self.disk = Disk(JOURNAL, dice)
        self.clock = MachineClock(loop, WALL_MS)
        self.key = signing_key(name)
        self.enrolment: Enrolment | None = None
        self.process: Process | None = None
        self.open: OpenPbx | None = None
        self.boots = 0
        self.began_us = 0
        self.paused = False
        self.leaves: Callable[[Flow, bytes], None] = lambda flow, data: None
        self.speaks: Callable[[str, bytes], None] = lambda path, body: None
        self.started: Callable[[], None] = lambda: None
        self._wan = wan
        self._on_death = on_death
        self._talks: list[asyncio.Task[None]] = []

    async def enrol(self, token: str) -> None:
        """`pbx-agent join`: tried until it is answered."""
        request = wire.Enrol(
            v=wire.VERSION,
            token=token,
            public_key=base64.b64encode(self.key.public).decode(),
            software=wire.Software(release=13),
        )
        body = msgspec.json.encode(request)
        signature = self.key.sign(request_type("POST", "/v1/agent/enrol"), body)
        asked = Asked(self.name, "POST", "/v1/agent/enrol", body, signature)
        told = await exchange(self._wan, asked, 5)
        assert told.status == 200, told
        enrolled = msgspec.json.decode(told.body, type=wire.Enrolled)
        self.enrolment = Enrolment(("https://master.example:8443",), ("00",), enrolled)

    def start(self) -> None:
        """A new process, as systemd starts it."""
        assert self.process is None
        self.boots += 1
        self.began_us = self.loop.now_us
        self.paused = False
        self.process = Process(self.name, self.loop, self._on_death)
        self.process.spawn(self._main(self.process))

    async def _main(self, process: Process) -> None:
        enrolment = self.enrolment
        assert enrolment is not None
        journal = Journal(SimulatedDatabase(self.disk))

        def link(pins: Sequence[str]) -> WanLink:
            return WanLink(self._wan, enrolment, self.key, self.speaks)

        around = Around(self.clock, link, "refuse", self.dice.randbytes, self.dice.uniform)
        pbx = await assemble_pbx(self.entry, enrolment, journal, around)
        process.spawn(journal.run())
        await pbx.begin()
        self.open = pbx
        self.started()
        pbx.site.serve(self.leaves, pbx.conversation.speak, pbx.conversation.mention)
        talks = (pbx.floods.run(_Kernel()), pbx.conversation.run(), pbx.conversation.listen())
        self._talks = [process.spawn(talk) for talk in talks]

    def receive(self, data: bytes, flow: Flow) -> None:
        """A datagram arrives."""
        if self.process is not None and self.open is not None and not self.paused:
            turn = partial(self.open.site.intake.turn, [(data, flow)])
            self.process.run(turn, self.clock.monotonic_ms())

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process = self.open = None

    async def stop(self) -> None:
        """SIGTERM, as `agent.main.Main.run` does it; the process is over when this returns."""
        pbx = self.open
        assert pbx is not None
        await _soon(lambda: pbx.site.idle)
        self.paused = True
        await _soon(lambda: not (pbx.site.outbound.writing or pbx.site.intake.behind))
        for task in self._talks:
            task.cancel()
        await pbx.end()


class _Kernel:
    """Sockets that drop nothing."""

    dropped = 0

    def shut_out(self, sources: Sequence[str]) -> None:
        """Nobody floods here."""


async def _soon(condition: Callable[[], bool]) -> None:
    for _ in range(DRAIN_LOOKS):
        if condition():
            return
        await asyncio.sleep(DRAIN_LOOK_S)
