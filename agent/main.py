"""The agent as one readable list: enrolments, journals, sites, sockets, then tasks until the stop."""

import asyncio
import importlib
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol, TypeAlias

from agent.config import AgentConfig, PbxEntry
from agent.edges import belongings
from agent.edges.device import Devices
from agent.edges.local_api import LocalApi
from agent.edges.local_client import SOCKET_NAME
from agent.edges.master import MasterClient
from agent.edges.observing import dialplan_of, observation_of
from agent.edges.sip.edge import SipEdge
from agent.edges.sip.sockets import make_room
from agent.service.link import Link
from agent.service.opening import OpenPbx, open_pbx
from agent.store.enrolment import BALLAST_BYTES, BALLAST_FILE, Enrolment
from licensing.box.proof import Sight
from runtime.ballast import Ballast, Room
from runtime.clock import Clock, SystemClock
from runtime.daemon import notify_ready, spare_the_collector
from runtime.entropy import SYSTEM
from runtime.logs import logger
from runtime.server import listen_unix, serve
from runtime.signing import SigningKey
from telephony import guard

if TYPE_CHECKING:
    from agent.edges.asterisk.dialplan import Dialplan
    from agent.edges.collecting import Collect
    from agent.edges.kamailio.edge import QuestionEdge

# A drain takes a second at most: a PBX answers in milliseconds, a phone repeats itself after half a second.
DRAIN_LOOKS = 200
DRAIN_LOOK_S = 0.005

Edge: TypeAlias = "SipEdge | QuestionEdge"

log = logger()


class Watch(Protocol):
    """Looks at the links and neighbours of this host, again and again."""

    async def run(self, saw: Callable[[Sight], None]) -> None:
        """Tell what is there until cancelled."""
        ...


MakeWatch = Callable[[Collection[str]], Watch]
"""Makes one for these addresses."""


class Main:
    """One agent process; `run(stop)` serves until `stop` is set."""

    def __init__(
        self, config: AgentConfig, clock: Clock | None = None, watch: MakeWatch | None = None
    ) -> None:
        """`watch` makes what looks at the host's links and neighbours in place of the kernel."""
        self.config = config
        self.process = SYSTEM(8).hex()
        self.looking = asyncio.Event()
        self._make_watch = watch or _of_the_kernel
        self.clock = clock or SystemClock()
        self.pbxs: dict[str, OpenPbx] = {}
        self.edges: dict[str, Edge] = {}
        self.dialplans: list[Dialplan] = []
        self.addresses: dict[str, list[str]] = {}
        self.ballast = Ballast(config.data / BALLAST_FILE, BALLAST_BYTES)
        self.ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`: a stop keeps the share, only a bye has given it back before."""
        async with AsyncExitStack() as stack:
            self.ballast.begin()
            await self._open(stack)
            self._room_changed(self.ballast.room)
            async with asyncio.TaskGroup() as tasks:
                for pbx in self.pbxs.values():
                    tasks.create_task(pbx.journal.run(), name=f"journal {pbx.entry.name}")
                    await pbx.begin()
                make_room(sum(entry.sip.connections.total for entry in self.config.pbxs if entry.sip.streams))
                for name, pbx in self.pbxs.items():
                    self.edges[name] = await self._listen(pbx)
                local = listen_unix(self.config.data / SOCKET_NAME)
                api = LocalApi(self.pbxs, self.clock, stop).app()
                tasks.create_task(serve(api, local, stop=stop, on_started=self._ready), name="local api")
                talks = [tasks.create_task(self._talk(pbx), name=name) for name, pbx in self.pbxs.items()]
                cares = [tasks.create_task(edge.run(), name="sip edge") for edge in self.edges.values()]
                cares.append(tasks.create_task(self.ballast.watch(self._room_changed), name="ballast"))
                cares.append(tasks.create_task(self._look(), name="boxes"))
                await stop.wait()
                edges = self.edges.values()
                await asyncio.gather(*map(_drain, self.pbxs.values(), edges))
                for edge in edges:
                    edge.close()
                for dialplan in self.dialplans:
                    dialplan.close()
                for task in talks + cares:
                    task.cancel()
                for pbx in self.pbxs.values():
                    await pbx.end()

    def reload(self) -> None:
        """SIGHUP: read the certificates again; the configuration is read at start only."""
        loaded = [edge.reload() for edge in self.edges.values()]
        if not any(loaded):
            log.warning("reload.ignored", hint="there are no certificates; agent.yaml is read at start only")

    def _room_changed(self, room: Room) -> None:
        """All PBXs of an agent lie on one disk."""
        advice = f"{self.config.data} is nearly full: no newcomers, registered phones go on. Make room there."
        for pbx in self.pbxs.values():
            pbx.site.hold_back("" if room is Room.AMPLE else advice)
            if pbx.cdrs is not None:
                pbx.cdrs.hold_back(room is not Room.AMPLE)

    async def _open(self, stack: AsyncExitStack) -> None:
        def link(enrolment: Enrolment, key: SigningKey, pins: Sequence[str]) -> Link:
            client = MasterClient(enrolment, key, pins)
            stack.push_async_callback(client.close)
            return client

        for entry in self.config.pbxs:
            observation = observation_of(entry, self.clock)
            collect = self._collect(entry)
            try:
                pbx = await open_pbx(entry, self.config, self.clock, link, self.process, observation, collect)
            except sqlite3.DatabaseError as error:
                raise belongings.damage(self.config.data / entry.name, error) from error
            stack.push_async_callback(pbx.journal.close)
            self.pbxs[entry.name] = pbx

    def _collect(self, entry: PbxEntry) -> "Collect | None":
        if not entry.cdrs.sources:
            return None
        from agent.edges.collecting import collect_for  # readers of all dialects: only where they are needed

        return collect_for(entry, self.config.data, self.clock)

    async def _listen(self, pbx: OpenPbx) -> Edge:
        edge = self._edge(pbx)
        self.addresses[pbx.entry.name] = await edge.open()
        pbx.site.serve(edge.send, pbx.conversation.speak, pbx.conversation.mention)
        pbx.box.serve(self.looking.set, pbx.conversation.speak)
        dialplan = dialplan_of(pbx.entry, pbx.site.desk, self.clock)
        if dialplan is not None:
            await dialplan.open()
            self.dialplans.append(dialplan)
        return edge

    def _edge(self, pbx: OpenPbx) -> Edge:
        if not pbx.entry.asked:
            return SipEdge(pbx.site, pbx.entry, self.clock)
        from agent.edges.kamailio.edge import QuestionEdge  # only where Kamailio is the SIP edge

        return QuestionEdge(pbx.site, pbx.entry, self.clock)

    async def _look(self) -> None:
        """Boxes are looked at once a master says that licences are bound to some."""
        await self.looking.wait()
        watch = await asyncio.to_thread(self._make_watch, [pbx.box.address for pbx in self.pbxs.values()])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch.run(self._saw), name="netlink")
            told = Devices(self.config.pbxs).run(lambda name, mac: self.pbxs[name].box.certified(mac))
            tasks.create_task(told, name="devices")

    def _saw(self, sight: Sight) -> None:
        for pbx in self.pbxs.values():
            pbx.box.saw(sight)

    async def _talk(self, pbx: OpenPbx) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pbx.floods.run(self.edges[pbx.entry.name]), name=f"floods {pbx.entry.name}")
            tasks.create_task(pbx.conversation.run(), name=f"sync {pbx.entry.name}")
            tasks.create_task(pbx.conversation.listen(), name=f"wake {pbx.entry.name}")
            if pbx.observer is not None:
                tasks.create_task(pbx.observer.run(), name=f"observer {pbx.entry.name}")
            if pbx.cdrs is not None:
                tasks.create_task(pbx.cdrs.run(), name=f"cdrs {pbx.entry.name}")

    def _ready(self) -> None:
        spare_the_collector()
        core = "interpreted" if guard.__file__.endswith(".py") else "compiled"
        log.info("agent.ready", sip=self.addresses, core=core)
        self.ready.set()
        notify_ready()


def _of_the_kernel(addresses: Collection[str]) -> Watch:
    """Only an agent whose box matters carries pyroute2: a fifth of a second, and 10 MB."""
    watch: Watch = importlib.import_module("agent.edges.netlink").Watch(addresses)
    return watch


async def _drain(pbx: OpenPbx, edge: Edge) -> None:
    """Go on until all that was taken in is answered, at most a second; then read no more.

    What is still unread, and the PBX's answers to what is still open, are for the next process where the
    sockets outlive this one (decision 0015).
    """
    await _soon(lambda: pbx.site.idle)
    edge.pause()
    await _soon(lambda: not (pbx.site.outbound.writing or pbx.site.intake.behind))


async def _soon(condition: Callable[[], bool]) -> None:
    for _ in range(DRAIN_LOOKS):
        if condition():
            return
        await asyncio.sleep(DRAIN_LOOK_S)
