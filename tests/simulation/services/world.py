"""One seed: machines, phones and an operator on one loop, until calm; then everything must have converged."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import cache
from random import Random
from typing import Any

from licence_master.config import InstallationConfig
from licence_master.service.administration import Document, Inventory, Restocking
from licensing.files.inventory import Item
from runtime.config import parse
from runtime.daemon import first_cause
from runtime.store import StoreFailedError
from telephony.address import Flow
from tests.simulation.services.converged import unfinished
from tests.simulation.services.loop import SeededLoop, StuckError
from tests.simulation.services.machines import AgentMachine, MasterMachine
from tests.simulation.services.mix import Mix, draw
from tests.simulation.services.process import Process, ordered
from tests.simulation.services.site import SimulatedSite
from tests.simulation.services.troubles import Machine, Troubles
from tests.simulation.services.wan import Wan
from tests.simulation.services.watch import BrokenError, Watch

NAMES = ("hq", "lyon", "nice", "brest")
CALM_S = 90.0
PATIENT_S = 4_000.0


@cache
def configuration(agents: int, virtual: int, linger_s: int) -> InstallationConfig:
    """The installation in master.yaml; the last PBXs are virtual."""
    rows = [
        f"{{name: {name}, role: {'slave' if number else 'master'}, "
        f"platform: {'ipva' if number >= agents - virtual else 'gateway'}}}"
        for number, name in enumerate(NAMES[:agents])
    ]
    text = (
        f"name: acme\nsoftware: 13\npolicy: {{linger_s: {{user: {linger_s}}}}}\npbxs: [{', '.join(rows)}]\n"
    )
    return parse(text, "master.yaml", InstallationConfig)


class World:
    """Everything of one seed; `run` raises BrokenError when an invariant breaks."""

    def __init__(self, seed: int, *, mix: Mix | None = None) -> None:
        self.seed = seed
        self.mix = mix or draw(seed)
        self.dice = Random(f"{seed}/world")
        self.loop = SeededLoop(Random(f"{seed}/loop"))
        self.context = copy_context()
        self.calm = False
        self.was_short = False  # whether the master's disk was ever nearly full
        self.fuses: list[tuple[int, Callable[[], None]]] = []
        self.broken: BaseException | None = None
        mix = self.mix
        self.people = Process("people", self.loop, self._person_failed)
        self.wan = Wan(self.loop, Random(f"{seed}/wan"))
        config = configuration(mix.agents, mix.virtual, mix.linger_s)
        self.master = MasterMachine(self.loop, Random(f"{seed}/master"), config, mix.sync_s, self._died)
        self.wan.door = self.master.door
        self.agents = [
            AgentMachine(self.loop, Random(f"{seed}/{name}"), self.wan, name, number, self._died)
            for number, name in enumerate(NAMES[: mix.agents])
        ]
        self.watch = Watch(self.master, self.agents)
        self.sites = [
            SimulatedSite(self, agent, Random(f"{seed}/{agent.name}/site")) for agent in self.agents
        ]
        self.troubles = Troubles(self)
        if not mix.lan_loss:
            sites = {site.agent.name: site for site in self.sites}
            self.watch.holds = lambda name, user: sites[name].settled(user)
        self.loop.on_step, self.loop.on_tick = self._stepped, self._ticked
        self.loop.set_exception_handler(self._surprised)

    # running

    def run(self) -> None:
        """From the first start to convergence."""
        main = self.loop.create_task(self._story())
        try:
            self.loop.run_until_complete(main)
            self._raise()
        except StuckError as error:
            raise BrokenError("nothing will ever happen again") from error
        finally:
            self._close(main)

    def _close(self, main: "asyncio.Task[None]") -> None:
        for process in [self.master.process, *(agent.process for agent in self.agents), self.people]:
            if process is not None and process.alive:
                process.kill()
        if not main.done():
            main._log_destroy_pending = False  # type: ignore[attr-defined] # the run has failed
            coroutine: Any = main.get_coro()
            coroutine.close()
        elif not main.cancelled():
            main.exception()
        self.loop.close()

    async def _story(self) -> None:
        mix = self.mix
        self.master.start()
        await self.until(lambda: self.master.up, 5)
        await self._enrol()
        self.master.disk.latency_ms = mix.disk_ms
        self.wan.loss, self.wan.repeats, self.wan.late_s = mix.loss, mix.repeats, mix.late_s
        for agent, site in zip(self.agents, self.sites, strict=True):
            agent.disk.latency_ms = mix.disk_ms
            agent.start()
            site.begin()
        self.troubles.begin()
        await asyncio.sleep(mix.calm_after_s)
        await self._calm_down()

    async def _enrol(self) -> None:
        installation = self.master.installation
        assert installation is not None
        for agent in self.agents:
            invited = await installation.enrolment.invite(agent.name)
            await agent.enrol(invited.secret)  # type: ignore[union-attr] # it is configured
        await self.install("PBX-Port13", self.mix.ports)
        if self.mix.ipva:
            await self.install("PBX-IPVA13", self.mix.ipva)

    async def _calm_down(self) -> None:
        """Everything is mended, everybody comes back and tries."""
        self.calm = True
        self.wan.calm()
        self.troubles.mend()
        limit_s = PATIENT_S if self.mix.patient else CALM_S
        verdicts: Counter[str] = Counter()
        end = self.loop.time() + limit_s
        while self.loop.time() < end:
            await asyncio.sleep(1.0)
            verdict = self.troubles.bring_up() or self.watch_all()
            if not verdict:
                return
            verdicts[verdict] += 1
        seen = "; ".join(f"{times} x {text}" for text, times in verdicts.most_common(3))
        raise BrokenError(f"no convergence after {limit_s:.0f} s: {seen}")

    def watch_all(self) -> str:
        """What has not converged yet; empty when everything has."""
        return unfinished(self)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait; whether it came true."""
        end = self.loop.time() + seconds
        while not condition():
            if self.loop.time() >= end:
                return False
            await asyncio.sleep(0.02)
        return True

    def later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Call this as nobody's process."""
        self.loop.call_later(delay, function, *args, context=self.context)

    def person(self, work: Coroutine[Any, Any, object]) -> "asyncio.Task[None]":
        """A script of a phone or an operator."""
        return self.people.spawn(work)

    # the operator

    async def install(self, type_: str, count: int) -> None:
        """Install licences; what was acknowledged must stay."""
        name = f"{type_} {count} {self.dice.random()}"
        await self._ordered(type_, count, name)

    async def remove(self, count: int) -> None:
        """Remove ports."""
        await self._ordered("PBX-Port13", -count, "")

    async def _ordered(self, type_: str, count: int, name: str) -> None:
        process, installation = self.master.process, self.master.installation
        if process is None or installation is None:
            return
        change = count if type_.startswith("PBX-Port") else 0
        before = set(self.watch.possible)
        after = {ports + change for ports in before if ports + change >= 0}
        self.watch.possible = before | after
        done: list[object] = []

        async def place() -> None:
            work = installation.administration
            item = Item(type_, abs(count))
            if count > 0:
                document = Document(name, Inventory(name, (item,)))
                done.append(await work.install([document], again=False, dry_run=False, actor="operator"))
            else:
                done.append(await work.remove([item], dry_run=False, actor="operator"))

        process.spawn(ordered(place))
        await self.until(lambda: bool(done) or not process.alive, 60)
        if done and process.alive:
            self.watch.possible = after if isinstance(done[0], Restocking) else before
            self.watch.require(
                self.watch.ports() in self.watch.possible, "what was acknowledged is not on disk"
            )

    # what goes wrong

    def _stepped(self) -> None:
        if self.fuses and self.fuses[0][0] <= self.loop.steps:
            _, burn = self.fuses.pop(0)
            burn()
        if self.broken is not None:
            self._raise()

    def _ticked(self) -> None:
        self.watch.tick()

    def _raise(self) -> None:
        if self.broken is not None:
            raise self.broken

    def fuse(self, steps: int, burn: Callable[[], None]) -> None:
        """Do this so many steps from now, between two steps."""
        self.fuses.append((self.loop.steps + steps, burn))
        self.fuses.sort(key=lambda fuse: fuse[0])

    def _died(self, process: Process, error: BaseException) -> None:
        """A task ended by an exception, and so does its program; only a disk that failed excuses it."""
        machine = self.machine_of(process)
        cause = first_cause(error)
        if not isinstance(cause, StoreFailedError) or not machine.disk.failures:
            self.broken = self.broken or cause
            return
        self.later(0, self.troubles.step_down, machine, process)

    def machine_of(self, process: Process) -> Machine:
        """Where a process runs."""
        return next((agent for agent in self.agents if agent.name == process.name), self.master)

    def _person_failed(self, process: Process, error: BaseException) -> None:
        self.broken = self.broken or error

    def _surprised(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        disks = [self.master.disk, *(agent.disk for agent in self.agents)]
        if isinstance(error, StoreFailedError) and any(disk.failures for disk in disks):
            return
        self.broken = self.broken or error or BrokenError(str(context.get("message")))

    # the LAN of a site calls these

    def to_agent(self, agent: AgentMachine, data: bytes, host: str) -> None:
        """A datagram arrives at the agent."""
        agent.receive(data, Flow(0, host, 5060))
