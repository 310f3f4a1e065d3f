"""Programs are killed in the middle of their work, and nothing is lent twice, lost or dropped.

Real programs in every test: licence-master, two pbx-agents, each in front of a Kamailio with digest; the
phones are SIPp where there are many, else those of the demonstration. A kill is SIGKILL.
"""

import asyncio
import shutil
import time
from contextlib import AsyncExitStack

import pytest

from demo.phone import Phone
from tests.acceptance.house import House
from tests.acceptance.peers.asked import run
from tests.acceptance.peers.capture import Capture
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import Counts, users
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio", "sipp")

GATEWAYS = {"hq": "gateway", "lyon": "gateway"}
AT_HQ, AT_LYON = users(1000, 500), users(5000, 500)


class Crowd:
    """Many phones of one site, with the same contacts in each run."""

    def __init__(self, site: Site, rate: int = 150) -> None:
        self.site = site
        self._host = site.network.address()
        self._rate = rate
        self._runs = 0

    def begin(self, names: list[str]) -> "Crowd":
        """Begin to register these."""
        self._runs += 1
        name = f"sipp-{self.site.name}-{self._runs}"
        self._run = self.site.phones(names, host=self._host, rate=self._rate, name=name)
        return self

    def end(self) -> Counts:
        """What became of them."""
        return self._run.counts()

    def assert_registered(self) -> None:
        """Whoever the PBX knows is answered 200 to a refresh."""
        known = sorted(self.site.contacts())
        assert self.begin(known).end() == Counts({200: len(known)}, unexpected=0)


def registered(*crowds: Crowd) -> int:
    """How many phones the PBXs of these sites know."""
    return sum(len(crowd.site.contacts()) for crowd in crowds)


def code_of(warning: str) -> str:
    """The code in a Warning of the guard; empty where there is none."""
    return warning.partition('"')[2].partition(":")[0]


def adopted(house: House, pbx: str) -> int:
    """The share that went on record when this site said hello to a new store."""
    changes = [row["facts"] for row in house.get("history") if row["event"] == "share.changed"]
    granted: int = [facts for facts in changes if facts["agent"] == pbx][-1]["granted"]
    return granted


async def eventually_registered(phone: Phone, expires_s: int = 60) -> None:
    """Ask again and again until the answer is 200."""
    async with asyncio.timeout(10):
        while (await phone.register(expires_s)).status != 200:
            pass


@pytest.mark.timeout(180)
def test_kill_9_of_the_master_in_the_middle_of_1000_registrations(network: Network) -> None:
    licences = 800
    house = House(network, {"PBX-Port13": licences}, GATEWAYS).build()
    crowds = hq, lyon = Crowd(house.site("hq")), Crowd(house.site("lyon"))
    hq.begin(AT_HQ), lyon.begin(AT_LYON)
    until(lambda: registered(hq, lyon) >= 200, what="200 phones are registered")
    house.master.kill()
    usable = {name: site.granted() for name, site in house.sites.items()}
    house.master.start()
    on_record = house.granted()
    assert all(on_record[name] >= units for name, units in usable.items()), (usable, on_record)

    counts = [crowd.end() for crowd in crowds]
    print(f"lent before the kill: {usable}; after it: {counts}")
    assert [count.admitted + count.refused for count in counts] == [500, 500]
    assert [count.admitted for count in counts] == [registered(crowd) for crowd in crowds]
    assert 200 <= registered(hq, lyon) <= licences
    house.assert_books_agree()

    for crowd in crowds:
        crowd.assert_registered()
    missing = [sorted({*AT_HQ} - hq.site.contacts()), sorted({*AT_LYON} - lyon.site.contacts())]
    for crowd, names in zip(crowds, missing, strict=True):
        crowd.begin(names)
    assert sum(crowd.end().refused for crowd in crowds) == 1_000 - licences
    assert registered(hq, lyon) == licences == house.most_lent()
    house.assert_books_agree()
    assert "unbroken" in house.command("audit", "verify")


@pytest.mark.timeout(180)
def test_kill_9_of_an_agent_in_the_middle_of_registrations(network: Network) -> None:
    """With the master, then without it."""
    house = House(network, {"PBX-Port13": 300}, GATEWAYS).build()
    crowds = hq, lyon = Crowd(house.site("hq")), Crowd(house.site("lyon"))
    hq.begin(AT_HQ[:200]), lyon.begin(AT_LYON[:80])
    until(lambda: registered(hq) >= 60, what="60 phones are registered at hq")
    hq.site.agent.kill()
    before = registered(hq)
    assert house.granted()["hq"] >= before
    hq.site.agent.start()
    assert [crowd.end() for crowd in crowds] == [Counts({200: n}, unexpected=0) for n in (200, 80)]
    assert before < registered(hq) == 200
    house.assert_books_agree()

    house.master.kill()
    share = hq.site.granted()
    hq.site.agent.kill()
    hq.site.agent.start()
    assert hq.site.granted() == share
    assert hq.site.counts()["used"] == 200
    hq.assert_registered()
    more = hq.begin(users(2000, share - 200 + 5)).end()
    assert more == Counts({200: share - 200, 403: 5}, unexpected=0)

    house.master.start()
    until(lambda: house.state("hq") == "in_sync", what="hq speaks with its master again")
    assert house.granted()["hq"] >= registered(hq) == share
    for crowd in crowds:
        crowd.assert_registered()
    house.assert_books_agree()


async def assert_hq_keeps_the_unit(house: House, phone: Phone) -> None:
    """The only unit stays with hq, and a phone at lyon is told so."""
    outcome = await phone.register()
    assert (outcome.status, code_of(outcome.warning)) == (403, "no_free_licence")
    assert house.granted() == {"hq": 1, "lyon": 0}


async def test_after_a_crash_no_want_falls_before_the_longest_expiry(network: Network) -> None:
    """And a phone that the PBX accepted while the agent was dead keeps its unit."""
    house = House(network, {"PBX-Port13": 1}, GATEWAYS, sync_s=1).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    expires_s = 4
    async with AsyncExitStack() as stack:
        phone = await stack.enter_async_context(hq.handset("1001"))
        other = await stack.enter_async_context(lyon.handset("2001"))
        challenged = await phone._send_register(expires_s, None)  # it is not refreshed
        assert (await phone._send_register(expires_s, challenged)).status == 200
        hq.agent.kill()
        began = time.monotonic()
        await asyncio.to_thread(hq.agent.start)
        assert (await phone.unregister()).status == 200
        await assert_hq_keeps_the_unit(house, other)
        await eventually_registered(other)
        assert time.monotonic() - began >= expires_s
        assert (await other.unregister()).status == 200
        await eventually_registered(phone, expires_s)
        assert (await phone.unregister()).status == 200

        lasts_s = 60  # longer than a slow machine needs for what follows
        challenged = await phone._send_register(lasts_s, None)
        hq.registrar.freeze()
        capture = stack.enter_context(Capture(network))
        accepted = asyncio.create_task(phone._send_register(lasts_s, challenged))
        pbx = (hq.domain, SIP)
        await asyncio.to_thread(until, lambda: capture.datagrams(destination=pbx), what="REGISTER on its way")
        hq.agent.kill()
        hq.registrar.thaw()
        await asyncio.to_thread(until, lambda: "1001" in hq.contacts(), what="the PBX accepted the phone")
        accepted.cancel()
        await asyncio.to_thread(hq.agent.start)
        assert hq.counts()["used"] == 1
        await asyncio.to_thread(until, lambda: house.state("hq") == "in_sync", what="hq has said hello")
        await assert_hq_keeps_the_unit(house, other)
        assert "1001" in hq.contacts()
        assert (await phone.register(expires_s)).status == 200
        house.assert_books_agree()


async def test_sigterm_keeps_the_share_and_bye_gives_it_back(network: Network) -> None:
    house = House(network, {"PBX-Port13": 3}, GATEWAYS).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(hq.handset(user)) for user in ("1001", "1002")]
        assert [(await phone.register()).status for phone in (first, second)] == [200, 200]
        share = house.granted()
        assert hq.agent.end() == 0
        assert house.granted() == share
        house.master.kill()
        await asyncio.to_thread(hq.agent.start)
        assert (hq.counts()["used"], hq.granted()) == (2, share["hq"])
        assert [(await phone.register()).status for phone in (first, second)] == [200, 200]
        await asyncio.to_thread(house.master.start)
        assert house.granted() == share

        config = str(hq.agent.folder / "agent.yaml")
        await asyncio.to_thread(run, "pbx-agent", "bye", "--config", config)
        assert hq.agent.wait() == 0
        assert house.granted()["hq"] == 0
        for user in ("2001", "2002", "2003"):
            phone = await stack.enter_async_context(lyon.handset(user))
            assert (await phone.register()).status == 200
        assert house.granted() == {"hq": 0, "lyon": 3}
        await asyncio.to_thread(hq.agent.start)
        await asyncio.to_thread(hq.wait_counts, surplus=2)  # the PBX has them; they are cut by nobody
        third = await stack.enter_async_context(hq.handset("1003"))
        outcome = await third.register()
        assert (outcome.status, code_of(outcome.warning)) == (403, "no_free_licence")
        house.assert_books_agree()


@pytest.mark.parametrize("comes_back", [True, False], ids=["each says hello", "one is released by name"])
async def test_a_lost_store_lends_nothing_new_before_it_knows_what_is_lent(
    network: Network, comes_back: bool
) -> None:
    licences = {"PBX-Port13": 7}  # more than both want: nobody is short
    house = House(network, licences, GATEWAYS, sync_s=1).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(hq.handset(user)) for user in users(1001, 5)]
        away = await stack.enter_async_context(lyon.handset("2001"))
        for phone in (*phones[:2], away):
            assert (await phone.register()).status == 200
        before = {"hq": 4, "lyon": 2}
        await asyncio.to_thread(
            until,
            lambda: house.granted() == before == {"hq": hq.granted(), "lyon": lyon.granted()},
            what="both have what they use and a spare",
        )
        house.master.end()
        lyon.agent.end()
        assert before["hq"] == hq.granted()
        shutil.rmtree(house.folder / "data" / "installations")
        await asyncio.to_thread(house.master.start)
        assert house.logged("recovery.started")
        house.install(licences)
        await asyncio.to_thread(until, lambda: house.state("hq") == "recovering", what="hq said hello")
        assert house.granted() == {"hq": before["hq"], "lyon": 0}

        inside = before["hq"] - 2  # units of the share that nobody uses yet
        for phone in phones[2 : 2 + inside]:
            assert (await phone.register()).status == 200
        outcome = await phones[2 + inside].register()
        assert (outcome.status, code_of(outcome.warning)) == (403, "recovering")
        assert [(await phone.register()).status for phone in phones[:2]] == [200, 200]
        assert house.granted() == {"hq": before["hq"], "lyon": 0}
        house.assert_never_over()

        if comes_back:
            await asyncio.to_thread(lyon.agent.start)
            await asyncio.to_thread(
                until, lambda: house.state("hq") == "in_sync", what="everybody said hello"
            )
            assert {name: adopted(house, name) for name in before} == before
            assert (await away.register()).status == 200
        else:
            await asyncio.to_thread(house.command, "release-site", "lyon", "--yes")
        await eventually_registered(phones[2 + inside])
        house.assert_books_agree()
        if not comes_back:
            await asyncio.to_thread(lyon.agent.start)
            await asyncio.to_thread(
                until, lambda: house.row("agents", "lyon")["epoch"] == 2, what="a new epoch"
            )
            # until it has heard of that it uses its old share, which is the operator's risk
            await asyncio.to_thread(until, lambda: house.state("lyon") == "in_sync", what="lyon was told")
            assert (await away.register()).status == 200
            house.assert_books_agree()
