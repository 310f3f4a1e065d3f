"""Two sites share the pools of one master: units go where a phone waits, and no further.

Real programs in every test: licence-master, two pbx-agents, each in front of a Kamailio with digest; the
phones are those of the demonstration, so that each answer is at hand.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack

import pytest

from demo.phone import Outcome, Phone
from tests.acceptance.house import House
from tests.acceptance.peers.network import Network
from tests.acceptance.site import Site

pytestmark = pytest.mark.real("kamailio")

GATEWAYS = {"hq": "gateway", "lyon": "gateway"}
VIRTUAL_LYON = {"hq": "gateway", "lyon": "ipva"}
WELL_UNDER_A_SECOND = 1.0


class Phones:
    """The phones of a test by site, made when they are first named."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._phones: dict[tuple[str, str], Phone] = {}

    async def at(self, site: Site, user: str) -> Phone:
        """One of them."""
        key = (site.name, user)
        if key not in self._phones:
            self._phones[key] = await self._stack.enter_async_context(site.handset(user))
        return self._phones[key]

    async def register(self, site: Site, *users: str) -> list[Outcome]:
        """All at once; what became of each."""
        phones = [await self.at(site, user) for user in users]
        return list(await asyncio.gather(*(phone.register() for phone in phones)))

    async def unregister(self, site: Site, *users: str) -> None:
        """All at once; the PBX has forgotten them."""
        phones = [await self.at(site, user) for user in users]
        outcomes = await asyncio.gather(*(phone.unregister() for phone in phones))
        assert [outcome.status for outcome in outcomes] == [200] * len(users)
        assert site.contacts().isdisjoint(users)


def refusals(site: Site, outcomes: list[Outcome]) -> list[str]:
    """The codes of those that were refused, each with status 403 and a Warning of this site."""
    refused = [outcome for outcome in outcomes if outcome.status != 200]
    assert {outcome.status for outcome in refused} <= {403}
    warnings = [outcome.warning for outcome in refused]
    assert all(warning.startswith(f'399 {site.name} "') for warning in warnings)
    return [warning.split('"')[1].partition(":")[0] for warning in warnings]


async def served(what: str, asked: Awaitable[list[Outcome]], began: float | None = None) -> None:
    """The one phone that asked was answered 200 to its first REGISTER, soon (after `began`)."""
    began = began or time.monotonic()
    (outcome,) = await asked
    took = time.monotonic() - began
    print(f"{what}: {outcome.status} after {1_000 * took:.0f} ms")
    assert (outcome.status, outcome.warning) == (200, "")
    assert took < WELL_UNDER_A_SECOND


async def master_knows(house: House, used: int) -> None:
    """The master has heard how many Ports are used: it recalls only what it knows to be idle."""
    await asyncio.to_thread(house.wait_used, used)


async def test_four_objects_want_three_licences_whichever_site_they_come_from(network: Network) -> None:
    house = House(network, {"PBX-Port13": 3}, GATEWAYS).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    async with AsyncExitStack() as stack:
        phones = Phones(stack)
        for at_hq, at_lyon in ((2, 2), (1, 3), (0, 4), (4, 0)):
            users = {hq: [f"100{n}" for n in range(at_hq)], lyon: [f"200{n}" for n in range(at_lyon)]}
            asked = (phones.register(site, *names) for site, names in users.items())
            outcomes = await asyncio.gather(*asked)
            codes = [
                code for site, said in zip(users, outcomes, strict=True) for code in refusals(site, said)
            ]
            assert codes == ["no_free_licence"]
            assert len(hq.contacts()) + len(lyon.contacts()) == 3
            assert sum(site.counts()["used"] for site in users) == 3
            house.assert_books_agree()
            (denial, *_) = house.get("denials") or [None]
            for site in users:
                await phones.unregister(site, *site.contacts())
            await master_knows(house, used=0)
        assert house.most_lent() == 3
        assert (denial["code"], denial["capacity"]) == ("no_free_licence", 3)
        assert sum(row["units"] for row in denial["held_by"]) == 3


async def test_an_idle_unit_at_one_site_serves_a_phone_at_the_other(network: Network) -> None:
    """Spare, given back, lingering; and a phone whose REGISTER is held until the recall has come."""
    house = House(network, {"PBX-Port13": 3}, GATEWAYS, linger_s={"user": 0, "executive": 120}).build()
    rows = [{"kind": "executive", "aor": ["11*"]}, {"kind": "user", "aor": ["*"]}]
    hq, lyon = house.site("hq", objects=rows), house.site("lyon")
    async with AsyncExitStack() as stack:
        phones = Phones(stack)
        await served("inside the share", phones.register(lyon, "2001"))
        assert (hq.counts()["granted"], hq.counts()["used"], lyon.counts()["granted"]) == (2, 0, 1)
        await served("idle as spare at hq", phones.register(lyon, "2002"))
        await served("inside the share", phones.register(hq, "1101"))
        await master_knows(house, used=3)  # else the 2 of before would do for the 2 of afterwards
        await phones.unregister(hq, "1101")
        assert hq.counts()["lingering"] == 1
        await master_knows(house, used=2)
        await served("lingering at hq", phones.register(lyon, "2003"))
        assert hq.counts()["lingering"] == 0
        assert refusals(hq, await phones.register(hq, "1001")) == ["no_free_licence"]

        await master_knows(house, used=3)
        began = time.monotonic()
        await phones.unregister(lyon, "2001")
        await master_knows(house, used=2)
        await served("given back at lyon", phones.register(hq, "1001"), began)

        await phones.unregister(hq, "1001")
        await served("kept at hq", phones.register(hq, "1102"))
        await master_knows(house, used=3)
        await phones.unregister(hq, "1102")
        await master_knows(house, used=2)
        hq.agent.freeze()
        held = asyncio.create_task(phones.register(lyon, "2001"))
        await asyncio.to_thread(lyon.wait_counts, waiting=1)
        hq.agent.thaw()
        await served("its REGISTER held while hq did not answer", held)
        house.assert_books_agree()


async def test_a_virtual_phone_draws_port_and_ipva_or_neither(network: Network) -> None:
    house = House(network, {"PBX-Port13": 3, "PBX-IPVA13": 2}, VIRTUAL_LYON).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    async with AsyncExitStack() as stack:
        phones = Phones(stack)
        first = await phones.register(lyon, "2001", "2002")
        assert refusals(lyon, first + await phones.register(lyon, "2003")) == ["ipva_missing"]
        assert (house.pool("port")["lent"], house.pool("ipva")["lent"]) == (2, 2)
        await served("the Port without an IPVA serves a gateway", phones.register(hq, "1001"))
        assert refusals(hq, await phones.register(hq, "1002")) == ["no_free_licence"]

        await phones.unregister(lyon, "2002")
        await master_knows(house, used=2)
        await served("a Port given back at lyon", phones.register(hq, "1002"))
        assert refusals(lyon, await phones.register(lyon, "2002")) == ["no_free_licence"]
        assert (house.pool("port")["lent"], house.pool("ipva")["lent"]) == (3, 1)

        await phones.unregister(hq, "1001")
        await master_knows(house, used=2)
        await served("a Port given back at hq, with the IPVA left", phones.register(lyon, "2002"))
        assert (house.pool("port")["lent"], house.pool("ipva")["lent"]) == (3, 2)
        assert (house.most_lent("port"), house.most_lent("ipva")) == (3, 2)
        house.assert_books_agree()
