"""The licence master as one readable list: keys, stores, services, doors, and the tasks that keep them."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from licence_master.address import host_and_port
from licence_master.config import MasterConfig
from licence_master.edges.admin_doors import admin_doors
from licence_master.edges.agent_api import agent_application
from licence_master.edges.entrance import Door, Entrance
from licence_master.service import expiry
from licence_master.service.founding import joining, shown, surroundings
from licence_master.service.installation import Installation, Surroundings, open_installation
from licence_master.service.reload import reconfigure
from licence_master.store import damage
from licence_master.store.directory import DataDirectory
from licence_master.store.ledger import ChainBrokenError
from runtime.ballast import Room
from runtime.daemon import notify_ready, spare_the_collector
from runtime.logs import logger
from runtime.server import bound_port, listen_tcp, listen_unix, serve


class Main:
    """One licence master; once `ready` is set it serves at `agents_port` and `admin_port`.

    `damaged`: it has ended because of a store that no new start mends.
    """

    def __init__(self, config: MasterConfig, path: Path) -> None:
        self.config = config
        self.path = path
        self.ready = asyncio.Event()
        self.agents_port = 0
        self.admin_port = 0
        self.damaged = False
        self._installations: dict[str, Installation] = {}
        self._closed_doors = 3
        self._tasks = asyncio.TaskGroup()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; raises when a store fails or anything else ends before."""
        config, directory = self.config, DataDirectory(self.config.data)
        around = surroundings(config)
        around.ballast.begin()
        agents = listen_tcp(*host_and_port(config.agents.listen))
        admin = listen_tcp(*host_and_port(config.admin.listen))
        local = listen_unix(directory.admin_socket)
        self.agents_port, self.admin_port = bound_port(agents), bound_port(admin)
        known, join = self._installations, joining(config, self.agents_port)
        agent_app = Entrance(
            agent_application(known, config.agents, around.clock),
            Door("request", per_s=config.agents.address_per_s),
            around.clock,
        )
        admin_app, local_app, late = admin_doors(config.admin, known, directory, join, around.clock)
        tls, opened = shown(config), self._door_opened
        async with AsyncExitStack() as stores, self._tasks as tasks:
            for each in config.installations:
                installation = await self._open(each.name, around)
                stores.push_async_callback(installation.close)
                tasks.create_task(installation.run(), name=f"store {each.name}")
                tasks.create_task(installation.calls.run(), name=f"calls {each.name}")
                await installation.begin(each, recovery=True)
                known[each.name] = installation
            door = partial(serve, stop=stop, on_started=opened)
            most = config.agents.address_connections, config.admin.address_connections
            doors = [
                tasks.create_task(door(agent_app, agents, tls=tls, per_source=most[0])),
                tasks.create_task(door(admin_app, admin, tls=tls, per_source=most[1])),
                tasks.create_task(door(local_app, local)),
            ]
            watches = [
                tasks.create_task(around.ballast.watch(self._room_changed)),
                tasks.create_task(expiry.watch(known)),
                *(tasks.create_task(watch) for each in known.values() for watch in each.watches()),
            ]
            await self.ready.wait()
            await late.make()
            spare_the_collector()
            await stop.wait()
            for watch in watches:
                watch.cancel()
            for installation in known.values():
                installation.end_polls()
            await asyncio.wait(doors)
            for installation in known.values():
                await installation.snapshots.at_stop()
                installation.stop()

    def reload(self) -> None:
        """Read the configuration again (SIGHUP) and follow what may change while serving."""
        self._tasks.create_task(reconfigure(self.config, self.path, self._installations))

    async def _open(self, name: str, around: Surroundings) -> Installation:
        """DamagedStoreError, which names the file, for a store that no new start mends."""
        try:
            return await open_installation(name, around)
        except (sqlite3.DatabaseError, ChainBrokenError) as error:
            damaged = damage.found(error, around.directory, name)
            self.damaged = damaged is not None
            raise damaged or error from error

    def _room_changed(self, room: Room) -> None:
        """Who was refused for want of room asks again."""
        for installation in self._installations.values() if room is Room.AMPLE else ():
            installation.wake_all()

    def _door_opened(self) -> None:
        self._closed_doors -= 1
        if self._closed_doors == 0:
            self.ready.set()
            logger().info("master.ready", agents_port=self.agents_port, admin_port=self.admin_port)
            notify_ready(f"agents at {self.agents_port}, administrators at {self.admin_port}")
