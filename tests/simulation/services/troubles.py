"""What goes wrong, and how it is mended: crashes, stops, full disks, cuts, the operator's doings."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from runtime.ballast import Room
from runtime.store import Statement
from tests.simulation.services.machines import AgentMachine, MasterMachine
from tests.simulation.services.mix import Fault
from tests.simulation.services.process import Process, ordered

if TYPE_CHECKING:
    from tests.simulation.services.world import World

Machine = MasterMachine | AgentMachine

RESTART_S = (0.1, 0.5, 2.0, 6.0)
HOUR_MS = 3_600_000


class Troubles:
    """The faults of one seed."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._coming: set[str] = set()
        self._operating = asyncio.Lock()
        self._snapshot: bytes | None = None
        self.happened: list[str] = []

    def machines(self) -> list[Machine]:
        """The master's and the agents'."""
        return [self.world.master, *self.world.agents]

    def begin(self) -> None:
        """Each fault has its time."""
        for fault in self.world.mix.faults:
            self.world.later(fault.at_s, self._begin, fault)
            if fault.kind == "restore":
                self.world.later(fault.at_s * self.world.dice.random(), self._take_snapshot)

    def mend(self) -> None:
        """Disks have room, PBXs answer, nothing more is planned."""
        world = self.world
        world.fuses.clear()
        self._ample()
        for machine in self.machines():
            machine.disk.full, machine.disk.fails_in = False, None
            machine.disk.latency_ms = min(machine.disk.latency_ms, 2.0)
        for site in world.sites:
            site.pbx.silent, site.pbx.moody = False, 0.0
            site.disturb()

    def bring_up(self) -> str:
        """Start what is down and nobody starts; what is still missing."""
        down = ""
        for machine in self.machines():
            name = _name(machine)
            if machine.process is None:
                down = f"{name} is down"
                if name not in self._coming:
                    machine.start()
        return down

    def _take_snapshot(self) -> None:
        self._snapshot = self.world.master.disk.snapshot()

    def _begin(self, fault: Fault) -> None:
        if self.world.calm:
            return
        self.happened.append(f"{fault.at_s:.1f} {fault.kind}")
        self.world.loop.note("trouble", fault.kind, fault.victim)
        verb, _, who = fault.kind.partition(" ")
        machine = self.world.agents[fault.victim] if who == "agent" else self.world.master
        match verb:
            case "kill" | "reboot":
                self._kill_soon(fault, machine, reboot=verb == "reboot")
            case "stop":
                self.world.person(self._stop(machine))
            case "full":
                machine.disk.full = True
                self._disturb(machine)
                self.world.later(fault.for_s, self._room, machine)
            case "short":
                self.world.master.ballast.room = Room.SHORT
                self.world.was_short = True
                self.world.later(fault.for_s, self._ample)
            case "fail":
                machine.disk.fails_in = 1 + fault.steps // 4
            case _:
                self._begin_other(fault)

    def _begin_other(self, fault: Fault) -> None:
        world = self.world
        agent, site = world.agents[fault.victim], world.sites[fault.victim]
        match fault.kind:
            case "clock":
                machine = world.master if fault.commit else agent
                machine.clock.wall_offset_ms += round(HOUR_MS * world.dice.uniform(-8, 8))
            case "cut":
                world.wan.cut.add(agent.name)
                world.later(fault.for_s, world.wan.cut.discard, agent.name)
            case "pbx silent":
                site.pbx.silent = True
                site.disturb()
                world.later(fault.for_s, self._speak, fault.victim)
            case "install":
                world.person(self._operate(1 + fault.steps % 3))
            case "remove":
                world.person(self._operate(-1 - fault.steps % 3))
            case "restore":
                self._set_back(self._snapshot)
            case "lost":
                self._set_back(None)
            case "release":
                world.person(self._release(fault, agent))
            case unknown:
                raise AssertionError(unknown)

    # crashes

    def _kill_soon(self, fault: Fault, machine: Machine, *, reboot: bool) -> None:
        strike = partial(self._kill, machine, reboot)
        if not fault.commit:
            self.world.fuse(fault.steps, strike)
            return
        disk, watch = machine.disk, machine.disk.watch

        def watched(statements: Sequence[Statement]) -> None:
            disk.watch = watch
            watch(statements)
            self.world.fuse(1 + fault.steps % 12, strike)

        disk.watch = watched

    def _kill(self, machine: Machine, reboot: bool) -> None:
        if machine.process is None:
            return
        self.world.loop.note("killed", _name(machine))
        self._down(machine, reset=not reboot)
        if reboot:
            machine.clock.reboot(self.world.dice.randrange(100_000))
        self._start_soon(machine)

    def _down(self, machine: Machine, *, reset: bool = True) -> None:
        self._disturb(machine)
        if isinstance(machine, MasterMachine):
            machine.kill(reset=reset)
        else:
            machine.kill()

    def step_down(self, machine: Machine, process: Process) -> None:
        """A program that ended itself because its disk failed."""
        if machine.process is process:
            self.world.loop.note("stepped down", _name(machine))
            self._down(machine)
            self._start_soon(machine)

    def _start_soon(self, machine: Machine) -> None:
        name = _name(machine)
        self._coming.add(name)
        delay = 0.5 if self.world.calm else self.world.dice.choice(RESTART_S)
        self.world.later(delay, self._start, machine)

    def _start(self, machine: Machine) -> None:
        self._coming.discard(_name(machine))
        self._disturb(machine)
        if machine.process is None:
            machine.start()

    async def _stop(self, machine: Machine) -> None:
        process = machine.process
        ready = machine.up if isinstance(machine, MasterMachine) else machine.open is not None
        if process is None or not ready or process.stopping:
            return
        process.stopping = True
        self._disturb(machine)
        task = process.spawn(machine.stop())
        await self.world.until(lambda: task.done() or not process.alive, 10)
        if machine.process is process:
            await asyncio.sleep(0.05)  # the store's task ends by itself
        if machine.process is process:
            self._down(machine)
            self._start_soon(machine)

    def _disturb(self, machine: Machine) -> None:
        for site in self.world.sites:
            if site.agent is machine:
                site.disturb()

    # disks, PBXs

    def _ample(self) -> None:
        self.world.master.ballast.room = Room.AMPLE

    def _room(self, machine: Machine) -> None:
        machine.disk.full = False
        self._disturb(machine)

    def _speak(self, number: int) -> None:
        self.world.sites[number].pbx.silent = False
        self.world.sites[number].disturb()

    def _set_back(self, content: bytes | None) -> None:
        """The master's store is restored from a backup, or lost: its process is gone, a new one finds it."""
        world, master = self.world, self.world.master
        if content is None and not all(site.synced for site in world.watch.sites.values()):
            return  # who was never answered proves nothing: it would have to join again
        if master.process is not None:
            self._down(master)
        if content is None:
            master.disk.wipe()
        else:
            master.disk.restore(content)
            master.place += " again"
        world.watch.reread()
        self._start_soon(master)
        if content is None:
            world.person(self._restock())

    # the operator

    async def _restock(self) -> None:
        """After a lost store the licences are installed again."""
        async with self._operating:
            for _ in range(20):
                if self.world.watch.ports():
                    return
                await asyncio.sleep(0.5)
                await self.world.install("PBX-Port13", self.world.mix.ports)
        if self.world.mix.ipva:
            await self.world.install("PBX-IPVA13", self.world.mix.ipva)

    async def _operate(self, count: int) -> None:
        async with self._operating:
            if count > 0:
                await self.world.install("PBX-Port13", count)
            else:
                await self.world.remove(-count)

    async def _release(self, fault: Fault, agent: AgentMachine) -> None:
        """A site that is cut off is released; it comes back later."""
        world = self.world
        world.wan.cut.add(agent.name)
        await asyncio.sleep(0.5)
        process, installation = world.master.process, world.master.installation
        if process is not None and installation is not None:
            release = partial(installation.administration.release_site, agent.name, "operator")
            task = process.spawn(ordered(release))
            await world.until(lambda: task.done() or not process.alive, 10)
        await asyncio.sleep(fault.for_s)
        world.wan.cut.discard(agent.name)


def _name(machine: Machine) -> str:
    return machine.name if isinstance(machine, AgentMachine) else "master"
