"""The agent as one readable list: enrolments, journals, sites, sockets, then tasks until the stop."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from agent.config import AgentConfig
from agent.edges.local_api import LocalApi
from agent.edges.local_client import SOCKET_NAME
from agent.edges.master import MasterClient
from agent.edges.sip.edge import SipEdge
from agent.edges.sip.sockets import make_room
from agent.service.link import Link
from agent.service.opening import OpenPbx, open_pbx
from agent.store.enrolment import Enrolment
from runtime.clock import Clock, SystemClock
from runtime.daemon import notify_ready, spare_the_collector
from runtime.logs import logger
from runtime.server import listen_unix, serve
from runtime.signing import SigningKey
from telephony import guard

# A drain takes a second at most: a PBX answers in milliseconds, a phone repeats itself after half a second.
DRAIN_LOOKS = 200
DRAIN_LOOK_S = 0.005

log = logger()


class Main:
    """One agent process; `run(stop)` serves until `stop` is set."""

    def __init__(self, config: AgentConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.pbxs: dict[str, OpenPbx] = {}
        self.edges: dict[str, SipEdge] = {}
        self.addresses: dict[str, list[str]] = {}
        self.ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`: a stop keeps the share, only a bye has given it back before."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
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
                await stop.wait()
                edges = self.edges.values()
                await asyncio.gather(*map(_drain, self.pbxs.values(), edges))
                for edge in edges:
                    edge.close()
                for task in talks + cares:
                    task.cancel()
                for pbx in self.pbxs.values():
                    await pbx.end()

    def reload(self) -> None:
        """SIGHUP: read the certificates again; the configuration is read at start only."""
        loaded = [edge.reload() for edge in self.edges.values()]
        if not any(loaded):
            log.warning("reload.ignored", hint="there are no certificates; agent.yaml is read at start only")

    async def _open(self, stack: AsyncExitStack) -> None:
        def link(enrolment: Enrolment, key: SigningKey, pins: Sequence[str]) -> Link:
            client = MasterClient(enrolment, key, pins)
            stack.push_async_callback(client.close)
            return client

        for entry in self.config.pbxs:
            pbx = await open_pbx(entry, self.config.data, self.config.policy.away, self.clock, link)
            stack.push_async_callback(pbx.journal.close)
            self.pbxs[entry.name] = pbx

    async def _listen(self, pbx: OpenPbx) -> SipEdge:
        edge = SipEdge(pbx.site, pbx.entry, self.clock)
        self.addresses[pbx.entry.name] = await edge.open()
        pbx.site.serve(edge.send, pbx.conversation.speak, pbx.conversation.mention)
        return edge

    async def _talk(self, pbx: OpenPbx) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pbx.floods.run(self.edges[pbx.entry.name]), name=f"floods {pbx.entry.name}")
            tasks.create_task(pbx.conversation.run(), name=f"sync {pbx.entry.name}")
            tasks.create_task(pbx.conversation.listen(), name=f"wake {pbx.entry.name}")

    def _ready(self) -> None:
        spare_the_collector()
        core = "interpreted" if guard.__file__.endswith(".py") else "compiled"
        log.info("agent.ready", sip=self.addresses, core=core)
        self.ready.set()
        notify_ready()


async def _drain(pbx: OpenPbx, edge: SipEdge) -> None:
    """Go on until all that was taken in is answered, at most a second; then read no more.

    What is still unread, and the PBX's answers to what is still open, are for the next process where the
    sockets outlive this one (decision 0015).
    """
    await _soon(lambda: pbx.site.idle)
    edge.pause()
    await _soon(lambda: not (pbx.site.writing or pbx.site.intake.behind))


async def _soon(condition: Callable[[], bool]) -> None:
    for _ in range(DRAIN_LOOKS):
        if condition():
            return
        await asyncio.sleep(DRAIN_LOOK_S)
