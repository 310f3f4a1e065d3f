"""Three agents, one master, a bad network and crashes: never oversold, every demand met or refused."""

from functools import partial
from random import Random

import pytest

from licensing import share
from licensing.codes import Code
from licensing.demand import PoolKey
from tests.simulation.sites import CLASS, Master, Site, Wire

NAMES = ["hq", "lyon", "nice"]
CAPACITY = 6
PHONES = 4
STEP_MS = 50
RETRY_MS = 700
SYNC_MS = 5_000


class World:
    """Everything of one seed."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.now = 0
        self.master = Master.founded(NAMES, CAPACITY)
        self.wire = Wire(self.dice, loss=0.25, late_ms=1_500)
        self.spoke = dict.fromkeys(NAMES, -SYNC_MS)
        self.sites: dict[str, Site] = {}
        for name in NAMES:
            record = share.enrolled(self.master.enrol(name), 0, 0)
            self.sites[name] = Site(name, share.encode(record), self.send)
            self.sites[name].start(0, unclean=False)

    # The network

    def send(self, name: str, request: share.Request) -> None:
        self.spoke[name] = self.now
        self.wire.post(self.now, partial(self.at_master, name, request))

    def at_master(self, name: str, request: share.Request, now: int) -> None:
        silent = frozenset(other for other in NAMES if now - self.spoke[other] > 3 * SYNC_MS)
        reply, wake = self.master.receive(request, silent)
        self.wire.post(now, partial(self.at_site, name, request, reply))
        for woken in wake:
            self.wire.post(now, partial(self.woken, woken))

    def at_site(self, name: str, request: share.Request, reply: share.Reply, now: int) -> None:
        if self.sites[name].up:
            self.sites[name].hear(request, reply, now)

    def woken(self, name: str, now: int) -> None:
        if self.sites[name].up:
            self.sites[name].speak(now, fresh=self.sites[name].record.in_flight is None)

    # Time

    def pass_time(self) -> None:
        self.now += STEP_MS
        self.wire.deliver(self.now)
        for name, site in self.sites.items():
            if site.up:
                site.settle(self.now)
                self.speak_when_due(name, site)
        self.check()

    def speak_when_due(self, name: str, site: Site) -> None:
        quiet = self.now - self.spoke[name]
        waits_for_answer = site.record.in_flight is not None
        if site.hello and quiet >= RETRY_MS:
            site.speak(self.now, fresh=True)
        elif waits_for_answer and quiet >= RETRY_MS:
            site.speak(self.now, fresh=self.dice.random() < 0.5)
        elif not waits_for_answer and (site.seats.urgent or quiet >= SYNC_MS):
            site.speak(self.now, fresh=True)

    def trouble(self) -> None:
        """One thing that happens to phones or machines."""
        name = self.dice.choice(NAMES)
        site = self.sites[name]
        phone = f"{name}-{self.dice.randrange(PHONES)}"
        chance = self.dice.random()
        if chance < 0.02 and site.up:
            site.crash()
        elif chance < 0.04 and not site.up:
            site.start(self.now, unclean=True)
        elif chance < 0.05:
            self.master.restart()
        elif site.up and chance < 0.25:
            site.register(phone, self.now, password=self.dice.random() < 0.9)
        elif site.up and chance < 0.38:
            site.leave(phone, self.now)

    # What must hold

    def check(self) -> None:
        on_record = {name: self.master.state.share(name, CLASS).granted for name in NAMES}
        assert sum(on_record.values()) <= CAPACITY
        assert self.master.state.lent_from(PoolKey("", "port")) <= CAPACITY
        for name, site in self.sites.items():
            stored = share.usable(share.decode(site.row, 0), CLASS, 13)
            assert stored <= on_record[name]
            if site.up:
                counts = site.seats.counts()[CLASS]
                occupied = counts.used + counts.reserved + counts.lingering
                assert occupied <= counts.usable <= stored
                assert counts.used + counts.surplus == len(site.bound)
                for waiting, since in site.waits.items():
                    assert self.now - since <= 2_000, f"{waiting} waits for ever"

    def calm_down(self) -> None:
        """The network heals, everyone comes back, everyone tries."""
        self.wire.loss, self.wire.late_ms = 0.0, 20
        for site in self.sites.values():
            if not site.up:
                site.start(self.now, unclean=True)
        for _ in range(40_000 // STEP_MS):
            self.pass_time()
        for _ in range(6):
            for name, site in self.sites.items():
                for number in range(PHONES):
                    site.register(f"{name}-{number}", self.now)
            for _ in range(3_000 // STEP_MS):
                self.pass_time()


@pytest.mark.parametrize("seed", range(40))
def test_never_oversold_and_every_demand_met_or_refused(seed: int) -> None:
    world = World(seed)
    for _ in range(1_000):
        world.trouble()
        world.pass_time()
    world.calm_down()
    bound = sum(len(site.bound) for site in world.sites.values())
    surplus = sum(site.seats.counts()[CLASS].surplus for site in world.sites.values())
    assert (bound, surplus) == (CAPACITY, 0)
    refusals = [refusal for site in world.sites.values() for refusal in site.refusals]
    assert {refusal.code for refusal in refusals} <= {
        Code.NO_FREE_LICENCE,
        Code.MASTER_AWAY,
        Code.RATE_LIMITED,
        Code.RECOVERING,
    }


def test_a_seed_tells_the_same_story_twice() -> None:
    stories = []
    for _ in range(2):
        world = World(7)
        for _ in range(400):
            world.trouble()
            world.pass_time()
        stories.append([(site.row, sorted(site.bound)) for site in world.sites.values()])
    assert stories[0] == stories[1]
