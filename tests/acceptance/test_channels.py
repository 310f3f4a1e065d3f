"""Calls over a PRI gateway take Relay-Channels, and the one too many is refused at the guard.

Real programs in every test: licence-master, pbx-agent, Kamailio as PBX, SIPp as gateway and as callers; one
call is made by a phone of the demonstration, so that it hangs up when it is told to.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from demo.phone import Phone
from tests.acceptance.house import House
from tests.acceptance.peers.capture import Capture
from tests.acceptance.peers.loss import byes_lost
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp_calls import Answerer, Caller, staying
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site
from tests.acceptance.test_flood import rss_mb
from tests.machine import CHAOS

pytestmark = pytest.mark.real("kamailio", "sipp")

GATEWAY = "7000"
CHANNELS = 20
HOLD_MS = 45_000
AGE_S = 75
LICENCES = {"PBX-Port13": 2, "Relay-PRIs": 1, "Relay-Channels": CHANNELS}
BOX = {"model": "IP3011", "interfaces": ["pri1"]}
ENTRY: dict[str, Any] = {
    "objects": [{"kind": "gateway", "name": "gw1", "aor": [GATEWAY]}, {"kind": "user", "aor": ["*"]}],
    "calls": {"lines": [{"aor": [GATEWAY], "interface": "pri1"}], "max_age_s": AGE_S},
}


class Trunk:
    """A site whose gateway is registered, and callers."""

    def __init__(self, network: Network, *, dialogs: bool = False) -> None:
        self.house = House(network, LICENCES, {"hq": "gateway"}, boxes={"hq": BOX}, sync_s=1).build()
        self.site: Site = self.house.site("hq", dialogs=dialogs, **ENTRY)
        self.network = network
        self.registrar = (self.site.domain, SIP)
        network.start(Answerer(network, GATEWAY, self.registrar, self.site.guard, "u1"))
        until(lambda: GATEWAY in self.site.contacts(), what="the gateway is registered")

    def callers(self, calls: int, hold_ms: int = HOLD_MS) -> Caller:
        """So many calls at once, each of which stays so long."""
        made = Caller(
            self.network,
            GATEWAY,
            self.registrar,
            self.site.guard,
            "u1",
            calls,
            rate=100,
            scenario=staying(hold_ms),
        )
        return self.network.start(made)

    def dialogs(self) -> list[dict[str, Any]]:
        """What Kamailio knows of calls, also of those that are over."""
        listed: list[dict[str, Any]] = self.site.registrar.rpc("dlg.list")
        return listed

    def wait_used(self, count: int, **more: int) -> None:
        """Agent and master count so many channels."""
        self.site.wait_counts("relay_channel", used=count, surplus=0, **more)
        self.house.wait_used(count, "relay-channel@hq")


@pytest.mark.timeout(240)
async def test_l_h3_the_21st_call_is_refused_across_kill_9_and_none_is_lost(network: Network) -> None:
    """L.H3. 30 calls on 20 channels; the agent is killed, and a BYE comes that nobody sees."""
    trunk = await asyncio.to_thread(Trunk, network)
    capture = network.start(Capture(network))
    async with trunk.site.handset("1000") as anna, trunk.site.handset("1001") as bert:
        assert (await anna.dial(GATEWAY)).status == (await bert.dial(GATEWAY)).status == 200
        busy = await asyncio.to_thread(trunk.callers, 28)
        await asyncio.to_thread(trunk.wait_used, CHANNELS, refused=10)
        sent = capture.datagrams(source=trunk.site.guard, destination=trunk.registrar)
        refused = {got.data for got in sent if got.first_line.startswith("SIP/2.0 403")}
        assert len(refused) == 10
        assert all(b'399 hq "relay_channels_exhausted: ' in data for data in refused)

        trunk.site.agent.kill()
        bye = asyncio.create_task(bert.hang_up())  # nobody hears it, and he repeats nothing
        await asyncio.sleep(0)
        bye.cancel()
        await asyncio.to_thread(trunk.site.agent.start)
        async with trunk.site.handset("1002") as cora:
            await refused_once_more(trunk, cora)
            assert (await anna.hang_up()).status == 200
            await asyncio.to_thread(trunk.wait_used, CHANNELS - 1)
            assert (await cora.dial(GATEWAY)).status == 200
            await refused_once_more(trunk, anna)
            assert (await cora.hang_up()).status == 200
        assert await asyncio.to_thread(busy.finish, 90) == 28
        await asyncio.to_thread(trunk.wait_used, 1)
        await asyncio.to_thread(trunk.site.wait_counts, "relay_channel", AGE_S + 30.0, used=0)
        assert '"too_old"' in trunk.site.agent.log, "Bert's call, which nobody ended"
    await asyncio.to_thread(trunk.wait_used, 0)
    row = trunk.house.pool("relay-channel@hq")
    assert (row["lent"], row["usable"]) == (CHANNELS, CHANNELS)


@pytest.mark.real("nft")
@pytest.mark.timeout(120)
async def test_a_call_whose_bye_never_passed_is_counted_until_kamailio_says_so(network: Network) -> None:
    """Kamailio ends it, and its BYE is lost on the way to the guard; the others go on.

    Then Kamailio is started anew: its memory of dialogs is empty, and the calls go on.
    """
    trunk = await asyncio.to_thread(Trunk, network, dialogs=True)
    async with trunk.site.handset("1000") as anna, trunk.site.handset("1001") as bert:
        assert (await anna.dial(GATEWAY)).status == (await bert.dial(GATEWAY)).status == 200
        await asyncio.to_thread(trunk.wait_used, 2)
        (dialog,) = [each for each in trunk.dialogs() if "sip:1001@" in each["from_uri"]]
        with byes_lost(network, trunk.site.domain, trunk.site.guard[0]):
            await asyncio.to_thread(trunk.site.wait_looked)  # the next look, which finds it, is far away
            trunk.site.registrar.rpc("dlg.end_dlg", dialog["h_entry"], dialog["h_id"])
            assert trunk.site.counts("relay_channel")["used"] == 2, "nobody has told it"
            await asyncio.to_thread(trunk.wait_used, 1)
        assert '"unknown_to_pbx"' in trunk.site.agent.log
        assert {each["state"] for each in trunk.dialogs() if each["call-id"] != dialog["call-id"]} == {4}

        trunk.site.registrar.kill()
        trunk.site.registrar.start()
        await asyncio.to_thread(trunk.site.wait_looked)
        assert trunk.dialogs() == []
        assert trunk.site.counts("relay_channel")["used"] == 1
        assert (await anna.hang_up()).status == 200
    await asyncio.to_thread(trunk.wait_used, 0)


async def refused_once_more(trunk: Trunk, phone: Phone) -> None:
    """All channels are in use, and no more than those."""
    await asyncio.to_thread(trunk.wait_used, CHANNELS)
    answer = await phone.dial(GATEWAY)
    assert (answer.status, "relay_channels_exhausted" in answer.warning) == (403, True)


async def test_b_e21_the_channels_of_an_offer_reach_the_agent_without_a_restart(network: Network) -> None:
    """B.E21. The 5th call of 4 is refused; the offer is edited to 6, and the calls that stand stay."""
    channels = network.folder / "channels.json"
    channels.write_text('{"channels": {"0142000001": 4}}')
    house = await asyncio.to_thread(
        House(network, {"PBX-Port13": 8}, {"hq": "gateway"}, channels=str(channels), installed=True).build
    )
    line = {"aor": [GATEWAY], "carrier": "0142000001"}
    site = await asyncio.to_thread(house.site, "hq", **{**ENTRY, "calls": {"lines": [line]}})
    registrar = (site.domain, SIP)
    network.start(Answerer(network, GATEWAY, registrar, site.guard, "u1"))
    await asyncio.to_thread(until, lambda: GATEWAY in site.contacts(), what="the carrier is registered")
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(site.handset(f"100{n}")) for n in range(7)]
        for phone in phones[:4]:
            assert (await phone.dial(GATEWAY)).status == 200
        refused = await phones[4].dial(GATEWAY)
        assert (refused.status, "line_channels_exhausted" in refused.warning) == (403, True)

        channels.write_text('{"channels": {"0142000001": 6}}')
        house.master.reload()
        while (await phones[4].dial(GATEWAY)).status == 403:  # at once; the test's limit says how long
            pass
        assert (await phones[5].dial(GATEWAY)).status == 200
        assert (await phones[6].dial(GATEWAY)).status == 403
        assert (await phones[0].hang_up()).status == 200
        assert (await phones[6].dial(GATEWAY)).status == 200
        for phone in phones[1:]:
            assert (await phone.hang_up()).status == 200
    assert "relay_channel" not in site.told()["classes"], "it is no licence's matter"


@pytest.mark.skipif(not CHAOS, reason="ten minutes; `make chaos` runs it")
@pytest.mark.timeout(1_200)
def test_ten_minutes_of_calls_leave_nothing_behind(network: Network) -> None:
    """60,000 calls, some of them one too many: once caches are full (20,000 calls) nothing grows any more."""
    trunk = Trunk(network)
    store = trunk.site.agent.folder / "data" / "hq" / "agent.db"
    after: list[tuple[float, int]] = []
    for _ in range(10):
        made = Caller(
            network, GATEWAY, trunk.registrar, trunk.site.guard, "u1", 6_000, rate=100, scenario=staying(150)
        )
        assert network.start(made).finish(200) == 6_000
        trunk.wait_used(0)
        after.append((rss_mb(trunk.site.agent.pid), store.stat().st_size))
    print(f"MB and bytes after each minute: {after}")
    assert trunk.site.counts("relay_channel")["refused"] > 0
    full, last = max(after[:6]), after[-1]  # some caches are emptied when they are full, and fill again
    assert last[0] < full[0] + 2, f"MB and bytes after each minute: {after}"
    assert last[1] < full[1] + 1_000_000, f"MB and bytes after each minute: {after}"
