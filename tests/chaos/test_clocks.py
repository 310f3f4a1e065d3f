"""Wall clocks jump at the master and at an agent: no share, binding or reservation changes, no grace grows.

Real programs: licence-master, two pbx-agents, each in front of a Kamailio with digest; libfaketime moves the
wall clock of one of them. Safety stands on no clock, grace on the one that says more.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import Site
from tests.chaos.clocks import REAL, WallClock, lives_by

pytestmark = pytest.mark.real("kamailio", "faketime")

GATEWAYS = {"hq": "gateway", "lyon": "gateway"}
HOUR_S = 3_600
JUMPS = {"+0 x10": 0, "+7200": 2 * HOUR_S, "-18000": -5 * HOUR_S}
EXPIRES_S = 600
TOLERANCE_S = 300  # ten times as fast since the process began is not far off in the time this takes


def picture(house: House) -> dict[str, Any]:
    """All that no clock may change."""
    return {
        "on record": house.granted(),
        "used": {name: site.counts()["used"] for name, site in house.sites.items()},
        "reserved": {name: site.counts()["reserved"] for name, site in house.sites.items()},
        "surplus": {name: site.counts()["surplus"] for name, site in house.sites.items()},
        "bindings": {name: site.told()["bindings"] for name, site in house.sites.items()},
        "at the PBX": {name: site.contacts() for name, site in house.sites.items()},
    }


def seen_at_s(house: House, whose: str) -> float:
    """What the clock of a program shows, by what it says of its last work, less what it really is."""
    if whose == "master":
        stamp = house.row("agents", "hq")["last_sync_ms"]
    else:
        stamp = house.get("events?limit=1")[0]["at_ms"]
    return float(stamp) / 1_000 - time.time()


async def comes_and_goes(house: House, site: Site, user: str) -> None:
    """Service goes on: a phone registers, and gives its unit back."""
    async with site.handset(user) as phone:
        assert (await phone.register(EXPIRES_S)).status == 200
        assert (await phone.unregister()).status == 200
    await asyncio.to_thread(site.wait_counts, used=2)
    events = {name for name, _ in house.events(user)}
    await asyncio.to_thread(until, lambda: events or house.events(user), what=f"{user} in the history")


@pytest.mark.parametrize("whose", ["master", "hq"])
async def test_a_jump_changes_nothing(network: Network, whose: str) -> None:
    clock = WallClock(network.folder, whose)
    environment = {whose: clock.environment}
    house = House(
        network, {"PBX-Port13": 8}, GATEWAYS, sync_s=1, installed=True, environment=environment.get("master")
    ).build()
    hq, lyon = house.site("hq", environment=environment.get("hq")), house.site("lyon")
    assert lives_by(house.master if whose == "master" else hq.agent)
    async with AsyncExitStack() as stack:
        for site, user in ((hq, "1001"), (hq, "1002"), (lyon, "2001")):
            phone = await stack.enter_async_context(site.handset(user))
            assert (await phone.register(EXPIRES_S)).status == 200
        await asyncio.to_thread(house.wait_used, 3)
        for number, (jump, shown_s) in enumerate(JUMPS.items()):
            before = picture(house)
            clock.set(jump)
            await comes_and_goes(house, hq, f"11{number:02}")
            assert abs(seen_at_s(house, whose) - shown_s) < TOLERANCE_S, jump
            assert picture(house) == before, jump

            held = await stack.enter_async_context(hq.handset(f"12{number:02}"))
            challenged = await held._send_register(EXPIRES_S, None)
            hq.registrar.freeze()
            asked = asyncio.create_task(held._send_register(EXPIRES_S, challenged))
            await asyncio.to_thread(hq.wait_counts, reserved=1)
            clock.set(REAL)
            clock.set(jump)
            assert hq.counts()["reserved"] == 1
            hq.registrar.thaw()
            assert (await asked).status == 200
            assert (await held.unregister()).status == 200
            await asyncio.to_thread(hq.wait_counts, used=2, reserved=0)
            house.assert_books_agree()
    assert "unbroken" in house.command("audit", "verify")


def grace_left_s(site: Site) -> int:
    """What the agent says it has left."""
    said: int = site.told()["master"]["grace_left_s"]
    return said


async def test_no_jump_makes_the_grace_longer(network: Network) -> None:
    """The master is away; the agent's wall clock jumps, also while the agent is dead."""
    clock = WallClock(network.folder, "hq")
    house = House(network, {"PBX-Port13": 8}, GATEWAYS, sync_s=1, grace_days=1, installed=True).build()
    hq = house.site("hq", environment=clock.environment)
    async with hq.handset("1001") as phone:
        assert (await phone.register(EXPIRES_S)).status == 200
        house.master.kill()
        await asyncio.to_thread(until, lambda: hq.told()["state"] == "away", 10.0)  # no answer is under way
        whole_s, began = grace_left_s(hq), time.monotonic()
        assert 23 * HOUR_S < whole_s <= 24 * HOUR_S

        def left_s() -> int:
            """What the agent says, which is never more than what is true while it runs."""
            passed_s = int(time.monotonic() - began)  # at least: neither answer's own way counts
            said = grace_left_s(hq)
            assert said <= whole_s - passed_s + 1
            return said

        for jump, shown_s in JUMPS.items():
            clock.set(jump)
            assert left_s() <= whole_s - shown_s, "a clock that is ahead shortens it"
            assert (await phone.register(EXPIRES_S)).status == 200

        clock.set(REAL)
        hq.agent.kill()
        clock.set("-18000")
        await asyncio.to_thread(hq.agent.start)
        # It counts on disk once a minute, and with its clock set back cannot know how long it was dead.
        again_s, began = grace_left_s(hq), time.monotonic()
        assert 21 * HOUR_S < again_s <= 24 * HOUR_S, "a clock that went ahead once took what it showed"
        whole_s = again_s
        clock.set("+82800")
        assert left_s() < HOUR_S + 1
        assert (await phone.register(EXPIRES_S)).status == 200

        clock.set("+90000")
        await asyncio.to_thread(until, lambda: house.state("hq") == "grace_over")
        assert left_s() == 0
        assert (await phone.register(EXPIRES_S)).status == 200, "who holds a seat is served"
