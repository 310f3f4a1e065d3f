"""Two copies of an agent's directory run at once, or an older one is put back: it is found, named and frozen.

Real programs: licence-master, pbx-agents in front of Kamailio with digest; the phones are those of the demo.
"""

import asyncio
import shutil
import sqlite3
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from demo.phone import Phone
from licensing.site import record as records
from tests.acceptance.house import House
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio")

GATEWAYS = {"hq": "gateway", "lyon": "gateway"}
LICENCES = 10
EXPIRES_S = 300
# A copy that starts when the other has spoken already looks like an older one put back: that is frozen.
STATES = {"alert": ("alert", "frozen"), "freeze": ("frozen",), "quarantine": ("quarantined",)}


def copied(site: Site, name: str) -> Path:
    """The agent's whole folder, as `cp -a` makes it."""
    folder = site.network.folder / name
    return Path(shutil.copytree(site.agent.folder, folder, ignore=shutil.ignore_patterns("*.log", "*.sock")))


def twin_of(site: Site, folder: Path) -> Site:
    """An agent that runs from a copy, at an address of its own, in front of the same PBX."""
    guard = (site.network.address(), SIP)
    config = folder / "agent.yaml"
    config.write_text(config.read_text().replace(site.guard[0], guard[0]))
    words = ["pbx-agent", "run", "--config", str(config)]
    agent = Command(site.network, folder.name, words, ready="agent.ready")
    return Site(site.name, guard, site.registrar, agent, site.network, {"udp": guard}, site.ways)


def seq_of(site: Site) -> int:
    """The number of the last message that this agent wrote."""
    return record_of(site).seq


def granted_on_disk(site: Site) -> int:
    """What the last answer brought that this agent has kept, all classes together."""
    return sum(lent.granted for lent in record_of(site).shares.values())


def record_of(site: Site) -> records.ShareRecord:
    """What this agent has on disk of its share."""
    path = site.agent.folder / "data" / site.name / "agent.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        ((body,),) = connection.execute("SELECT body FROM share")
    return records.decode(body, 0)


async def said_to(phone: Phone) -> str:
    """`ok`, or the code of the refusal."""
    outcome = await phone.register(EXPIRES_S)
    assert outcome.status in (200, 403)
    return outcome.warning.partition('"')[2].partition(":")[0] or "ok"


def alarms(site: Site) -> set[str]:
    """The codes of an agent's alarms."""
    return {alarm["code"] for alarm in site.told()["alarms"]}


def registered(*sites: Site) -> int:
    """How many objects the PBXs of these sites know."""
    return sum(len(site.contacts()) for site in sites)


async def ask_all(stack: AsyncExitStack, site: Site, first: int, count: int) -> list[str]:
    """So many new phones register one after the other."""
    phones = [await stack.enter_async_context(site.handset(str(first + n))) for n in range(count)]
    return [await said_to(phone) for phone in phones]


@pytest.mark.parametrize("policy", STATES)
async def test_two_copies_are_found_at_the_second_message(network: Network, policy: str) -> None:
    house = House(network, {"PBX-Port13": LICENCES}, GATEWAYS, sync_s=1, clone=policy).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    async with AsyncExitStack() as stack:
        assert await ask_all(stack, hq, 1001, 2) == ["ok", "ok"]
        await asyncio.to_thread(house.wait_used, 2)
        hq.agent.end()
        before, lent = seq_of(hq), house.granted()["hq"]
        twin = twin_of(hq, copied(hq, "twin"))
        for each in (hq, twin):
            each.agent.launch()
        stack.callback(twin.agent.end)
        for each in (hq, twin):
            await asyncio.to_thread(each.agent.wait_for, "agent.ready")
        await asyncio.to_thread(until, partial(house.logged, "clone.suspected"), 10.0, "the clone is found")
        loser = await asyncio.to_thread(until, partial(refused_one, hq, twin), 10.0, "one is refused")
        assert seq_of(loser) - before <= 2, "at its second message at the latest"
        assert house.row("agents", "hq")["state"] in STATES[policy]
        assert alarms(loser) & {"clone_suspected", "seq_old"}

        said = {each: await ask_all(stack, each, first, 6) for each, first in ((hq, 1100), (twin, 1200))}
        at_lyon = await ask_all(stack, lyon, 2000, LICENCES)
        house.assert_never_over()
        if policy == "alert":  # the administrator chose to be told, and no more
            assert at_lyon.count("ok") + house.granted()["hq"] == LICENCES
        else:
            assert set(said[loser]) <= {"clone_suspected", "seq_old"}
            assert registered(hq) <= house.granted()["hq"] == lent, "nobody beyond the share of one"
            assert registered(hq, lyon) <= LICENCES

        twin.agent.end()
        house.command("confirm-site", "hq")
        hq.agent.end()
        await asyncio.to_thread(hq.agent.start)
        await asyncio.to_thread(until, lambda: house.state("hq") == "in_sync", 10.0, "hq is confirmed")
        assert house.row("agents", "hq")["state"] == "in_sync"
        house.assert_books_agree()


def refused_one(*sites: Site) -> Site | None:
    """The agent that the master refuses."""
    return next((site for site in sites if alarms(site) & {"clone_suspected", "seq_old"}), None)


async def test_an_older_copy_put_back_does_not_grow_before_an_operator_confirms(network: Network) -> None:
    """Its share is of yesterday: some of it is lyon's by now."""
    house = House(network, {"PBX-Port13": LICENCES}, GATEWAYS, sync_s=1).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(hq.handset(str(1001 + n))) for n in range(6)]
        assert [await said_to(phone) for phone in phones] == ["ok"] * 6
        await asyncio.to_thread(house.wait_used, 6)
        hq.agent.end()
        believed = granted_on_disk(hq)
        assert believed >= 6
        snapshot = copied(hq, "snapshot")
        await asyncio.to_thread(hq.agent.start)
        for phone in phones[1:]:
            assert (await phone.unregister()).status == 200
        await asyncio.to_thread(until, lambda: house.granted()["hq"] <= 3, 10.0, "hq gave back")
        assert await ask_all(stack, lyon, 2001, 6) == ["ok"] * 6
        hq.agent.end()

        shutil.rmtree(hq.agent.folder / "data")
        shutil.copytree(snapshot / "data", hq.agent.folder / "data")
        await asyncio.to_thread(hq.agent.start)
        assert hq.granted() == believed > house.granted()["hq"], "more than is its own by now"
        await asyncio.to_thread(until, partial(house.logged, "clone.suspected"), 10.0, "it is found")
        assert house.row("agents", "hq")["state"] == "frozen"
        said = await ask_all(stack, hq, 1100, 4)
        assert set(said) <= {"seq_old", "frozen"}
        assert await said_to(phones[0]) == "ok", "who is registered goes on"
        assert registered(hq, lyon) <= LICENCES
        house.assert_never_over()

        house.command("confirm-site", "hq")
        await asyncio.to_thread(until, lambda: house.state("hq") == "in_sync", 20.0, "hq is confirmed")
        for phone in phones[1:]:  # the copy believes them registered; the PBX says what is true
            assert (await phone.unregister()).status == 200
        assert await ask_all(stack, hq, 1200, 1) == ["ok"]
        house.assert_books_agree()
