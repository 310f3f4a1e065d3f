"""Yesterday's copy of the master's data directory is started beside today's master: nothing is lent twice.

Real programs: two licence-masters with the same keys, two pbx-agents, each in front of a Kamailio with
digest. Each agent knows both addresses, through doors of the chaos proxy; the phones are those of the demo.
"""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.store import enrolment
from demo.phone import Phone
from tests.acceptance.house import AGENTS, INSTALLATION, House
from tests.acceptance.peers.asked import ask
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import Site
from tests.chaos.doors import Doors
from tests.chaos.weather import Weather

pytestmark = pytest.mark.real("kamailio")

GATEWAYS = {"hq": "gateway", "lyon": "gateway"}
LICENCES = 8
EXPIRES_S = 300
LEDGER = Path("data", "installations", INSTALLATION, "ledger.db")
SILENT = Weather(silent=True)


class Copy:
    """A copy of the master's folder, with an address of its own."""

    def __init__(self, house: House, host: str) -> None:
        self.folder = house.network.folder / "yesterday"
        self._house, self.host = house, host
        config = self.folder / "master.yaml"
        words = ["licence-master", "serve", "--config", str(config)]
        self.master = Command(house.network, "yesterday", words, ready="master.ready")

    def take(self) -> "Copy":
        """Copy file by file: right when the master is stopped."""
        shutil.copytree(self._house.folder, self.folder, ignore=shutil.ignore_patterns("*.log", "*.sock"))
        return self._readdressed()

    def take_online(self) -> "Copy":
        """Copy the store by SQLite's online backup, beside the running master, and the rest file by file."""
        ignored = shutil.ignore_patterns("*.log", "*.sock", "ledger.db*")
        shutil.copytree(self._house.folder, self.folder, ignore=ignored)
        source, target = self._house.folder / LEDGER, self.folder / LEDGER
        with closing(sqlite3.connect(source)) as running, closing(sqlite3.connect(target)) as copied:
            running.backup(copied)
        target.chmod(0o600)
        return self._readdressed()

    def _readdressed(self) -> "Copy":
        config = self.folder / "master.yaml"
        config.write_text(config.read_text().replace(self._house.host, self.host))
        return self

    def start(self) -> None:
        """Start it beside the other."""
        self._house.network.start(self.master)

    def installation(self) -> Any:
        """What it says of itself."""
        return ask(self.folder / "data" / "admin.sock", "/api/v1/installations")[0]

    def waits_for_hq(self) -> bool:
        """Whether it is in recovery, and lyon has said all that it asks of it."""
        return waiting_for(self.folder) == ["hq"]

    def history(self) -> Any:
        """Its ledger, newest first."""
        return self._get("history")

    def granted(self) -> dict[str, int]:
        """Units on its record, by PBX."""
        rows = self._get("shares")
        return {name: sum(row["granted"] for row in rows if row["pbx"] == name) for name in GATEWAYS}

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What it has logged of this event since its last start."""
        lines = [json.loads(line) for line in self.master.lines if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def _get(self, what: str) -> Any:
        return ask(self.folder / "data" / "admin.sock", f"/api/v1/installations/{INSTALLATION}/{what}")


def waiting_for(folder: Path) -> list[str]:
    """Whom the recovery of the master in this folder waits for."""
    (found,) = ask(folder / "data" / "admin.sock", "/api/v1/installations")
    names: list[str] = found["waiting_for"]
    return names


class Crossroads:
    """Each agent's two ways: `hq-today`, `hq-yesterday`, `lyon-today`, `lyon-yesterday`."""

    def __init__(self, network: Network, seed: int) -> None:
        self.house = House(network, {"PBX-Port13": LICENCES}, GATEWAYS, sync_s=1).build()
        self.doors = network.start(Doors(network, seed))
        self.copy = Copy(self.house, network.address())
        self.hq, self.lyon = (self._site(network, name) for name in GATEWAYS)

    def _site(self, network: Network, name: str) -> Site:
        site = self.house.site(name, start=False)
        urls = []
        for way, host in (("today", self.house.host), ("yesterday", self.copy.host)):
            door = (network.address(), AGENTS)
            self.doors.tcp(f"{name}-{way}", door, (host, AGENTS))
            urls.append(f"https://{door[0]}:{AGENTS}")
        home = site.agent.folder / "data" / name
        known = enrolment.load(home)
        enrolment.save(home, enrolment.Enrolment(tuple(urls), known.pins, known.enrolled))
        network.start(site.agent)
        until(lambda: self.house.state(name) == "in_sync", what=f"{name} in sync")
        return site

    def leads(self, name: str, way: str) -> None:
        """From now on this agent reaches this master only."""
        for each in ("today", "yesterday"):
            weather = Weather() if each == way else SILENT
            self.doors.weather(f"{name}-{each}", there=weather, back=weather)
            if each != way:
                self.doors.drop(f"{name}-{each}")

    def usable(self) -> int:
        """What all sites together may use now."""
        return self.hq.usable() + self.lyon.usable()


async def ask_all(phones: Mapping[Site, list[Phone]]) -> dict[str, list[str]]:
    """Each phone registers, one after the other; `ok` or the code of the refusal."""
    said: dict[str, list[str]] = {}
    for site, those in phones.items():
        outcomes = [await phone.register(EXPIRES_S) for phone in those]
        codes = [outcome.warning.partition('"')[2].partition(":")[0] for outcome in outcomes]
        said[site.name] = [code or "ok" for code in codes]
        assert {outcome.status for outcome in outcomes} <= {200, 403}
    return said


async def half_of_them(stack: AsyncExitStack, roads: Crossroads) -> dict[Site, list[Phone]]:
    """As many phones at each site as there are licences."""
    return {
        site: [await stack.enter_async_context(site.handset(str(first + n))) for n in range(LICENCES)]
        for site, first in ((roads.hq, 1000), (roads.lyon, 2000))
    }


def in_force(roads: Crossroads) -> None:
    """Nothing is lent twice: what both sites may use is no more than there is, and no record says more."""
    assert roads.usable() <= LICENCES
    assert sum(roads.copy.granted().values()) <= LICENCES
    roads.house.assert_never_over()
    assert len(roads.hq.contacts()) + len(roads.lyon.contacts()) <= LICENCES


async def test_a_copy_made_while_the_master_was_stopped(network: Network, seed: int) -> None:
    """No agent has said a word since: nothing in the messages tells the copy that it is one."""
    roads = await asyncio.to_thread(Crossroads, network, seed)
    house, copy = roads.house, roads.copy
    async with AsyncExitStack() as stack:
        phones = await half_of_them(stack, roads)
        lent = house.granted()
        house.master.end()
        copy.take()
        roads.leads("lyon", "yesterday")
        roads.leads("hq", "today")
        house.master.start()
        assert not house.logged("store.moved"), "today's master is where it was"
        copy.start()
        await asyncio.to_thread(until, copy.waits_for_hq, 20.0, "lyon said hello to the copy")
        said = await ask_all(phones)
        assert said["hq"].count("ok") == LICENCES - lent["lyon"]
        assert said["lyon"].count("ok") == lent["lyon"]
        assert set(said["lyon"]) == {"ok", "recovering"}
        in_force(roads)
        moved = copy.logged("store.moved")
        assert "stop one of the two" in moved[0]["hint"]
        assert copy.installation()["state"] == "recovering"
        assert copy.waits_for_hq()
        assert copy.logged("recovery.waiting")[-1]["pbxs"] == ["hq"]
        assert "moved store" in {row["actor"] for row in copy.history()}

        copy.master.end()
        roads.leads("lyon", "today")
        await back_to_work(roads, phones)
        house.assert_books_agree()


async def test_a_copy_made_of_the_running_master_which_then_went_on(network: Network, seed: int) -> None:
    """Lyon strays to the copy; then the copy takes over for both, and today's master comes back beside it."""
    roads = await asyncio.to_thread(Crossroads, network, seed)
    house, copy = roads.house, roads.copy
    async with AsyncExitStack() as stack:
        phones = await half_of_them(stack, roads)
        copy.take_online()
        for site, count in ((roads.hq, 5), (roads.lyon, 2)):
            for phone in phones[site][:count]:
                assert (await phone.register(EXPIRES_S)).status == 200
        await asyncio.to_thread(house.wait_used, 7)
        lent = house.granted()
        roads.leads("lyon", "yesterday")
        copy.start()
        await asyncio.to_thread(until, copy.waits_for_hq, 20.0, "lyon said hello to the copy")
        said = await ask_all(phones)
        assert said["lyon"].count("ok") == lent["lyon"]
        assert set(said["lyon"]) == {"ok", "recovering"}
        assert copy.waits_for_hq()
        in_force(roads)

        house.master.kill()
        roads.leads("hq", "yesterday")
        for name in GATEWAYS:
            await asyncio.to_thread(until, partial(in_sync, house, name), 20.0, f"{name} obeys the copy")
        assert copy.installation()["state"] == "open"
        assert copy.granted() == {name: site.granted() for name, site in house.sites.items()}

        house.master.start()
        roads.leads("hq", "today")
        await asyncio.to_thread(
            until, lambda: waiting_for(house.folder) == ["lyon"], 20.0, "today's master waits for lyon"
        )
        assert house.logged("recovery.started")
        await ask_all(phones)
        in_force(roads)

        copy.master.end()
        roads.leads("lyon", "today")
        await back_to_work(roads, phones)
        house.assert_books_agree()


async def back_to_work(roads: Crossroads, phones: Mapping[Site, list[Phone]]) -> None:
    """Everyone speaks with today's master; it waits for both once, and lends again."""
    for name in GATEWAYS:
        await asyncio.to_thread(until, partial(in_sync, roads.house, name), 20.0, f"{name} in sync")
    for phone in phones[roads.hq][:2]:
        assert (await phone.unregister()).status == 200
    (late,) = phones[roads.lyon][-1:]
    async with asyncio.timeout(10):
        while (await late.register(EXPIRES_S)).status != 200:
            pass


def in_sync(house: House, name: str) -> bool:
    """Whether this agent says so."""
    return house.state(name) == "in_sync"
