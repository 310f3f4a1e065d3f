"""Several PBXs behind one agent, and several agents in front of one PBX: what holds, and what it costs.

Real programs in every test: licence-master, pbx-agent, Kamailio with digest; the phones are those of the
demonstration. The limits that these tests show are in docs/operations.md.
"""

import asyncio
from contextlib import AsyncExitStack

import pytest

from demo.phone import Outcome, Phone
from tests.acceptance.house import House
from tests.acceptance.peers.asked import run
from tests.acceptance.peers.kamailio import Registrar
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import users
from tests.acceptance.peers.steady import Steady
from tests.acceptance.peers.typed import ended
from tests.acceptance.site import SIP

pytestmark = pytest.mark.real("kamailio")

EXPIRES_S = 12
T1_S = 0.5  # then a phone asks again
PBXS = {"hq": "gateway", "lyon": "gateway"}


def registrar(network: Network, name: str) -> Registrar:
    """A PBX that runs."""
    return network.start(Registrar(network.folder / f"pbx-{name}", network, (network.address(), SIP)))


def code_of(outcome: Outcome) -> str:
    """The code in the Warning of a refusal."""
    return outcome.warning.partition('"')[2].partition(":")[0]


async def eventually(phone: Phone) -> None:
    """Register, however often it takes."""
    async with asyncio.timeout(10):
        while (await phone.register()).status != 200:
            pass


async def test_two_pbxs_behind_one_agent_draw_on_one_pool(network: Network) -> None:
    house = House(network, {"PBX-Port13": 3}, PBXS, sync_s=1).build()
    sites = house.agent("agent", {name: registrar(network, name) for name in PBXS})
    hq, lyon = sites["hq"], sites["lyon"]
    async with AsyncExitStack() as stack:
        first, second, third = [
            await stack.enter_async_context(hq.handset(user)) for user in ("1001", "1002", "1003")
        ]
        namesake, other = [await stack.enter_async_context(lyon.handset(user)) for user in ("1001", "1002")]
        for phone in (first, second, namesake):
            assert (await phone.register()).status == 200
        assert (hq.counts()["used"], lyon.counts()["used"]) == (2, 1), "1001 is another object at each PBX"
        for phone in (third, other):
            outcome = await phone.register()
            assert (outcome.status, code_of(outcome)) == (403, "no_free_licence")
        assert (hq.contacts(), lyon.contacts()) == ({"1001", "1002"}, {"1001"})
        assert (await second.unregister()).status == 200
        await eventually(other)
        assert (hq.counts()["used"], lyon.counts()["used"]) == (1, 2)
        assert (await other.dial("1001")).status == 200
        assert other.call is not None
        assert namesake.call is not None, "the one of the same PBX picked up"
        assert (await first.dial("1002")).status == 404, "whoever is registered at the other one is not here"
    house.assert_books_agree()


@pytest.mark.alone
async def test_a_dead_pbx_does_not_hurt_the_other(network: Network) -> None:
    house = House(network, {"PBX-Port13": 500}, PBXS, sync_s=1).build()
    sites = house.agent("agent", {name: registrar(network, name) for name in PBXS})
    hq, lyon = sites["hq"], sites["lyon"]
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(lyon.handset(user)) for user in users(5000, 50)]
        kept = await stack.enter_async_context(lyon.handset("6000"))
        assert (await kept.register()).status == 200
        lyon.registrar.kill()
        asking = [asyncio.create_task(phone.register()) for phone in phones]
        steady = Steady(
            network, hq.guard, hq.domain, known=users(1000, 200), newcomers=users(2000, 200), per_s=200
        )
        with steady:
            await asyncio.to_thread(steady.wait_answered, 400)
        print(f"beside a dead PBX: {steady.told()}")
        assert (steady.lost, set(steady.statuses.values())) == ([], {200})
        assert steady.slow_s < T1_S
        assert not any(task.done() for task in asking), "a dead PBX answers nobody, and nobody answers for it"
        assert (house.state("hq"), house.state("lyon")) == ("in_sync", "in_sync")

        await asyncio.to_thread(lyon.registrar.start)
        async with asyncio.timeout(20):
            outcomes = await asyncio.gather(*asking)
        assert {outcome.status for outcome in outcomes} == {200}
        assert (await kept.register()).status == 200
        assert lyon.contacts() == {*users(5000, 50), "6000"}
    house.assert_books_agree()


async def test_two_agents_in_front_of_one_pbx_draw_a_unit_each(network: Network) -> None:
    """An object that is registered through both counts twice; calls find it through either."""
    house = House(network, {"PBX-Port13": 3}, PBXS, sync_s=1).build()
    pbx = registrar(network, "shared")
    one, two = house.agent("agent-one", {"hq": pbx})["hq"], house.agent("agent-two", {"lyon": pbx})["lyon"]
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(site.handset("1001")) for site in (one, two)]
        caller, late = [await stack.enter_async_context(two.handset(user)) for user in ("1002", "1003")]
        for phone in (here, there, caller):
            assert (await phone.register(EXPIRES_S)).status == 200
        assert len(pbx.contacts()["1001"]) == 2
        assert (one.counts()["used"], two.counts()["used"]) == (1, 2)
        outcome = await late.register()
        assert (outcome.status, code_of(outcome)) == (403, "no_free_licence"), "three units, two objects"

        # The phone behind the other agent is called, and so is the one behind the caller's.
        there.close()
        assert (await caller.dial("1001")).status == 200
        assert here.call is not None
        assert (await caller.hang_up()).status == 200

        # What the PBX holds counts, also what came by the other agent: the unit stays until that ends.
        assert (await here.register(EXPIRES_S)).status == 200
        assert (await here.unregister()).status == 200
        assert "1001" in pbx.contacts()
        assert one.counts()["used"] == 1
        await asyncio.to_thread(one.wait_counts, used=0, within_s=2 * EXPIRES_S)
        await eventually(late)
    house.assert_books_agree()


def refusal_of_an_invitation(house: House, pbx: str) -> str:
    """What `licence-master invite` says when it refuses."""
    done = ended(["licence-master", "invite", "--pbx", pbx, "--config", str(house.config)])
    assert done.returncode == 1
    return done.stderr


async def test_two_agents_cannot_have_one_name(network: Network) -> None:
    """So the units of one PBX are never lent to two agents; a new host starts when the old one said bye."""
    house = House(network, {"PBX-Port13": 2}, PBXS, sync_s=1).build()
    pbx = registrar(network, "shared")
    one = house.agent("agent-one", {"hq": pbx})["hq"]
    async with one.handset("1001") as phone:
        assert (await phone.register()).status == 200
    assert "This PBX still holds a share (share_held)" in refusal_of_an_invitation(house, "hq")
    config = str(one.agent.folder / "agent.yaml")
    await asyncio.to_thread(run, "pbx-agent", "bye", "--config", config)
    assert one.agent.wait() == 0
    two = house.agent("agent-two", {"hq": pbx})["hq"]
    async with two.handset("1002") as phone:
        assert (await phone.register()).status == 200
    house.assert_books_agree()
