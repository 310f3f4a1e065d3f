"""The agent is restarted under load: who loses what, with and without sockets that outlive it.

Real programs in every test: licence-master, pbx-agent, Kamailio with digest. The phones register and refresh
at a steady rate and repeat nothing, so each datagram that is lost shows as an unanswered request.
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import users
from tests.acceptance.peers.steady import Steady
from tests.acceptance.site import Site

pytestmark = [pytest.mark.real("kamailio"), pytest.mark.alone]

KNOWN, NEWCOMERS = users(1000, 1_000), users(2000, 1_000)
PER_S = 500
RESTARTS = 3
IN_HAND = 128  # datagrams that the agent may have read when it is killed: two turns
AROUND = 300  # answers before and after a restart
CALLEE, CALLER = "9001", "9002"


def terminate(site: Site) -> None:
    """As `systemctl restart` does it."""
    assert site.agent.end() == 0
    site.agent.start()


def kill(site: Site) -> None:
    """As the kernel does it when memory is short, and systemd a moment later."""
    site.agent.kill()
    site.agent.start()


@pytest.mark.parametrize(
    ("restart", "activated", "may_lose"),
    [(terminate, True, 0), (kill, True, RESTARTS * IN_HAND), (terminate, False, None), (kill, False, None)],
    ids=["SIGTERM, inherited", "SIGKILL, inherited", "SIGTERM, own", "SIGKILL, own"],
)
async def test_restart_under_load(
    network: Network, restart: Callable[[Site], None], activated: bool, may_lose: int | None
) -> None:
    """No registration is lost in any way; with inherited sockets no datagram but those a kill took along."""
    house = House(network, {"PBX-Port13": 4_000}, {"hq": "gateway"}, sync_s=1, installed=True).build()
    site = house.site("hq", activated=activated)
    async with site.handset(CALLEE) as callee, site.handset(CALLER) as caller:
        assert (await callee.register(600)).status == 200
        phones = Steady(network, site.guard, site.domain, known=KNOWN, newcomers=NEWCOMERS, per_s=PER_S)
        with phones:
            for _ in range(RESTARTS):
                await asyncio.to_thread(phones.wait_answered, AROUND)
                before = site.contacts()
                await asyncio.to_thread(restart, site)
                await asyncio.to_thread(phones.wait_answered, AROUND)
                assert before <= site.contacts()
        print(f"{RESTARTS} x {restart.__name__}, inherited: {activated}: {phones.told()}")
        assert set(phones.statuses.values()) == {200}
        if may_lose is None:
            assert phones.lost, "else this test cannot count"
        else:
            assert len(phones.lost) <= may_lose
        assert (await caller.register(600)).status == 200
        assert (await caller.dial(CALLEE)).status == 200
    house.assert_books_agree()
