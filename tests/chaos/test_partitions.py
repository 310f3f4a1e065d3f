"""Cut, stopped, half-open and lossy links between agents and their master: nobody is over, nobody is dropped.

Real programs in every test: licence-master, two pbx-agents, each in front of a Kamailio with digest; each
agent reaches the master through a door of the chaos proxy. 16 phones want 5 licences and come and go. Where
an agent is stopped its phones wait: it cannot answer, and its share is nobody else's.
"""

import asyncio
import random
from collections.abc import Callable
from functools import partial

import pytest

from agent.store import enrolment
from tests.acceptance.house import AGENTS, House
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import Site
from tests.chaos.churn import Churn, Watch
from tests.chaos.conftest import CHAOS
from tests.chaos.doors import Doors
from tests.chaos.weather import CALM, CUT, Weather

pytestmark = pytest.mark.real("kamailio")

GATEWAYS = {"hq": "gateway", "lyon": "gateway"}
LICENCES = 5
PHONES = 8  # at each site
LASTS_S = 120 if CHAOS else 24
MIXES = [(name, 0) for name in ("partition", "stop_one", "lossy")]
MIXES += [("anything", number) for number in range(50 if CHAOS else 0)]
STEP_S = (0.5, 3.0)
LOSSY = Weather(loss=0.25, delay_ms=(5, 50))

Trouble = Callable[[], None]


class Front:
    """The house, the doors between agents and master, and what can be done to them."""

    def __init__(self, network: Network, seed: int) -> None:
        self.house = House(network, {"PBX-Port13": LICENCES}, GATEWAYS, sync_s=1).build()
        self.doors = network.start(Doors(network, seed))
        self.sites = [self._site(network, name) for name in GATEWAYS]
        self._drawn = random.Random(seed)
        self._stopped: list[Callable[[], None]] = []

    def _site(self, network: Network, name: str) -> Site:
        site = self.house.site(name, start=False)
        door = (network.address(), AGENTS)
        self.doors.tcp(name, door, (self.house.host, AGENTS))
        home = site.agent.folder / "data" / name
        known = enrolment.load(home)
        moved = enrolment.Enrolment((f"https://{door[0]}:{AGENTS}",), known.pins, known.enrolled)
        enrolment.save(home, moved)
        network.start(site.agent)
        until(lambda: self.house.state(name) == "in_sync", what=f"{name} in sync")
        return site

    def calm(self) -> None:
        """Everything is well again."""
        for site in self.sites:
            self.doors.weather(site.name)
        while self._stopped:
            self._stopped.pop()()

    def lossy(self) -> None:
        """A quarter is lost on every link, both ways."""
        for site in self.sites:
            self.doors.weather(site.name, there=LOSSY, back=LOSSY)

    def partition(self) -> None:
        """Some agents are cut off, in one direction or both; or their connections hang, or are reset."""
        for site in self._drawn.choice([self.sites[:1], self.sites[1:], self.sites]):
            silent = Weather(silent=True)
            ways = [(CUT, CUT), (CUT, CALM), (CALM, CUT), (silent, silent), (CALM, CALM)]
            there, back = self._drawn.choice(ways)
            self.doors.weather(site.name, there=there, back=back)
            if there is silent or there is back is CALM:
                self.doors.drop(site.name)

    def stop_master(self) -> None:
        """SIGSTOP."""
        self.house.master.freeze()
        self._stopped.append(self.house.master.thaw)

    def stop_agent(self) -> None:
        """SIGSTOP of one agent."""
        agent = self._drawn.choice(self.sites).agent
        agent.freeze()
        self._stopped.append(agent.thaw)

    def stop_one(self) -> None:
        """SIGSTOP of the master or of an agent."""
        self._drawn.choice([self.stop_master, self.stop_agent])()

    def anything(self) -> None:
        """One or two troubles at once."""
        kinds = [self.lossy, self.partition, self.stop_master, self.stop_agent]
        for trouble in self._drawn.sample(kinds, self._drawn.choice((1, 2))):
            trouble()

    async def suffer(self, trouble: Trouble, phones: Churn, watch: Watch) -> None:
        """Trouble and calm in turn, then calm until everyone is in sync; then the books are right."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + LASTS_S
        async with phones:
            while loop.time() < ends_at:
                for step in (trouble, self.calm):
                    await asyncio.to_thread(step)
                    await asyncio.sleep(self._drawn.uniform(*STEP_S))  # it lasts, and so does the calm
            for site in self.sites:
                in_sync = partial(lambda name: self.house.state(name) == "in_sync", site.name)
                await asyncio.to_thread(until, in_sync, 20.0, f"{site.name} in sync")
        self.house.assert_books_agree()
        assert self.house.most_lent() <= LICENCES
        assert watch.is_alive()


async def suffered(
    network: Network, seed: int, name: str, record_property: Callable[[str, object], None]
) -> None:
    """One mix: `name` is the trouble."""
    front = await asyncio.to_thread(Front, network, seed)
    phones = Churn(front.sites, PHONES, seed)
    with Watch(front.sites, LICENCES) as watch:
        await front.suffer(getattr(front, name), phones, watch)
    record_property(
        "measured",
        f"{name}, {LASTS_S} s: over-use {watch.over_s:.2f} s in {watch.samples} samples "
        f"(most {watch.most} of {LICENCES}), "
        f"dropped {len(phones.dropped)} of {phones.refreshed} refreshes, admitted {phones.admitted}",
    )
    assert (watch.over_s, phones.dropped) == (0.0, [])
    assert watch.most == LICENCES, "all licences were used at some time"
    assert min(phones.admitted.values()) > 0
    assert phones.refreshed > LASTS_S


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "number"), MIXES)
async def test_nobody_is_over_and_nobody_is_dropped(
    network: Network, seed: int, name: str, number: int, record_property: Callable[[str, object], None]
) -> None:
    await suffered(network, seed + number, name, record_property)
