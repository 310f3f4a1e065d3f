"""The licence master as one readable list: keys, stores, services, doors, and the tasks that keep them."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from licence_master.config import MasterConfig, host_and_port
from licence_master.edges.admin_api import admin_application
from licence_master.edges.agent_api import AgentApi, Limits
from licence_master.edges.doorkeeper import Doorkeeper
from licence_master.reload import reconfigure
from licence_master.service.founding import joining
from licence_master.service.installation import Installation, Surroundings, open_installation
from licence_master.store.catalogue import read_catalogue
from licence_master.store.directory import DataDirectory
from runtime.clock import SystemClock
from runtime.daemon import notify_ready
from runtime.logs import logger
from runtime.server import bound_port, listen_tcp, listen_unix, serve
from runtime.signing import SigningKey

log = logger()


class Main:
    """One licence master; once `ready` is set it serves at `agents_port` and `admin_port`."""

    def __init__(self, config: MasterConfig, path: Path) -> None:
        self.config = config
        self.path = path
        self.ready = asyncio.Event()
        self.agents_port = 0
        self.admin_port = 0
        self._installations: dict[str, Installation] = {}
        self._doors_to_open = 3
        self._tasks = asyncio.TaskGroup()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; raises when a store fails or anything else ends before."""
        config, clock = self.config, SystemClock()
        directory = DataDirectory(config.data)
        key = SigningKey.load(directory.signing_key)
        around = Surroundings(directory, key, read_catalogue(), clock, config.agents.sync_s * 1_000)
        limits = Limits(config.agents.agent_per_s, config.agents.address_per_s)
        agents = listen_tcp(*host_and_port(config.agents.listen))
        admin = listen_tcp(*host_and_port(config.admin.listen))
        local = listen_unix(directory.admin_socket)
        self.agents_port, self.admin_port = bound_port(agents), bound_port(admin)
        agent_app = AgentApi(self._installations, limits, clock).application()
        known, join = self._installations, joining(config, self.agents_port)
        admin_app = admin_application(known, Doorkeeper(known, directory), join)
        local_app = admin_application(known, Doorkeeper(known, None), join)
        tls, opened = config.tls.pair or directory.certificate, self._door_opened
        async with AsyncExitStack() as stores, self._tasks as tasks:
            for each in config.installations:
                installation = await open_installation(each.name, around)
                stores.push_async_callback(installation.close)
                tasks.create_task(installation.run(), name=f"store {each.name}")
                await installation.begin(each, recovery=True)
                self._installations[each.name] = installation
            doors = [
                serve(agent_app, agents, stop=stop, tls=tls, on_started=opened),
                serve(admin_app, admin, stop=stop, tls=tls, on_started=opened),
                serve(local_app, local, stop=stop, on_started=opened),
            ]
            serving = [tasks.create_task(door) for door in doors]
            await stop.wait()
            for installation in self._installations.values():
                installation.end_polls()
            await asyncio.wait(serving)
            for installation in self._installations.values():
                installation.stop()

    def reload(self) -> None:
        """Read the configuration again (SIGHUP) and follow what may change while serving."""
        self._tasks.create_task(reconfigure(self.config, self.path, self._installations))

    def _door_opened(self) -> None:
        self._doors_to_open -= 1
        if self._doors_to_open == 0:
            self.ready.set()
            log.info("master.ready", agents_port=self.agents_port, admin_port=self.admin_port)
            notify_ready(f"agents at {self.agents_port}, administrators at {self.admin_port}")
