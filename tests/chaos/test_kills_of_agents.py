"""kill -9 of agents, and now and then of their master, while their phones register and refresh all the time.

Real programs in every test: licence-master, two pbx-agents, each in front of a Kamailio with digest. There
are more phones than licences. The phones repeat nothing, so each acknowledgement is known by its number.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import users
from tests.acceptance.peers.steady import Steady
from tests.acceptance.site import Site
from tests.chaos.conftest import CHAOS
from tests.chaos.siege import RECOVERED_WITHIN_S

pytestmark = [pytest.mark.real("kamailio"), pytest.mark.alone]

GATEWAYS = {"hq": "gateway", "lyon": "gateway"}
SHARDS = 2
KILLS = (1_000 if CHAOS else 18) // SHARDS
LICENCES = 360
KNOWN, NEWCOMERS = 120, 200
PER_S = 150
BETWEEN = 200  # answers between two kills, at most


class Phones(Steady):
    """Steady phones of one site that remember who asked; `dropped` were admitted and refused later."""

    def __init__(self, site: Site, first: int) -> None:
        self.asked: dict[int, str] = {}
        self.site = site
        known, newcomers = users(first, KNOWN), users(first + KNOWN, NEWCOMERS)
        where: dict[str, Any] = {"guard": site.guard, "domain": site.domain}
        super().__init__(site.network, **where, known=known, newcomers=newcomers, per_s=PER_S)
        self.first_known = set(known)

    def _send(self, user: str) -> None:
        self.asked[self._number + 1] = user
        super()._send(user)

    @property
    def admitted(self) -> set[str]:
        """Who has been answered 200 so far."""
        said = {self.asked[number] for number, status in self.statuses.copy().items() if status == 200}
        return said | self.first_known

    @property
    def dropped(self) -> list[tuple[str, int]]:
        """Who was refused after a 200, with the status; a refresh is never refused."""
        found, admitted = [], set(self.first_known)
        for number, status in sorted(self.statuses.copy().items()):
            user = self.asked[number]
            if status == 200:
                admitted.add(user)
            elif user in admitted:
                found.append((user, status))
        return found


def killed(victims: list[Any], phones: list[Phones]) -> float:
    """Kill these programs at once and start them again; seconds from there to an answer at every site."""
    for victim in victims:
        victim.kill()
    before = [len(each.statuses) for each in phones]
    began = time.monotonic()
    for victim in victims:
        victim.launch()
    for victim in victims:
        victim.wait_for(r"(agent|master)\.ready")
    for each, count in zip(phones, before, strict=True):
        each.wait_answered(1 + count - len(each.statuses))
    return time.monotonic() - began


def assert_nothing_lost(house: House, phones: list[Phones]) -> None:
    """Who was admitted is registered, no more are registered than there are licences, and the books agree."""
    for each in phones:
        admitted = each.admitted
        assert admitted <= each.site.contacts()
        assert each.dropped == []
    assert sum(len(each.site.contacts()) for each in phones) <= LICENCES
    house.assert_books_agree()


@pytest.mark.timeout(7_200 if CHAOS else 120)
@pytest.mark.parametrize("shard", range(SHARDS))
async def test_kill_9_of_agents_under_load(
    network: Network, seed: int, shard: int, record_property: Callable[[str, object], None]
) -> None:
    drawn = random.Random(seed + shard)
    house = House(network, {"PBX-Port13": LICENCES}, GATEWAYS, sync_s=1, installed=True).build()
    phones = [Phones(house.site(name), first) for name, first in (("hq", 10_000), ("lyon", 20_000))]
    hq, lyon = (each.site.agent for each in phones)
    recoveries = []
    with ExitStack() as stack:
        for each in phones:
            stack.enter_context(each)
        for _ in range(KILLS):
            await asyncio.to_thread(drawn.choice(phones).wait_answered, drawn.randrange(1, BETWEEN))
            victims = drawn.choice([[hq], [lyon], [hq, lyon], [hq, house.master], [house.master, lyon]])
            recoveries.append(await asyncio.to_thread(killed, victims, phones))
            assert recoveries[-1] < RECOVERED_WITHIN_S
            assert_nothing_lost(house, phones)
    for each in phones:
        each.ask_again()  # whoever asked an agent that died keeps a unit until he asks again
    assert_nothing_lost(house, phones)
    for each in phones:
        each.site.wait_counts(used=len(each.site.contacts()), surplus=0)
    assert house.most_lent() <= LICENCES
    assert "unbroken" in house.command("audit", "verify")
    acknowledged = sum(list(each.statuses.values()).count(200) for each in phones)
    record_property(
        "measured",
        f"agents, shard {shard}: {KILLS} kills, {acknowledged} REGISTERs acknowledged, 0 phones lost or "
        f"dropped, 0 over, recovery median {median(recoveries):.2f} s, slowest {max(recoveries):.2f} s",
    )
