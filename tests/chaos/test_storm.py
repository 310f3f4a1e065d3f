"""A power cut, twice in a row: 1,000 phones come back at once to an agent and a master that were killed.

Real programs: licence-master, pbx-agent, Kamailio with digest; the phones answer challenges and repeat what
stays unanswered. From their first REGISTER to the last 200.
"""

import time
from collections.abc import Callable

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.crowd import Crowd
from tests.acceptance.peers.network import Network
from tests.acceptance.site import Site
from tests.chaos.conftest import CHAOS

pytestmark = [pytest.mark.real("kamailio"), pytest.mark.alone]

PHONES = 10_000 if CHAOS else 1_000
PER_S, AT_ONCE = 1_000, 500
ADDRESSES = 20
SETTLED_WITHIN_S = 60.0 if CHAOS else 5.0


def power_cut(house: House, site: Site) -> None:
    """Kill -9 of both, and the PBX forgets who was registered."""
    site.agent.kill()
    house.master.kill()
    site.registrar.kill()
    site.registrar.start()
    house.master.start()
    site.agent.start()


@pytest.mark.timeout(300 if CHAOS else 120)
def test_everybody_is_back_twice_in_a_row(
    network: Network, record_property: Callable[[str, object], None]
) -> None:
    house = House(network, {"PBX-Port13": PHONES}, {"hq": "gateway"}, sync_s=1, installed=True).build()
    site = house.site("hq")
    hosts = [network.address() for _ in range(ADDRESSES)]
    crowd = Crowd(network, hosts, 10_000, PHONES, site.domain, site.guard)
    took_s = []
    for cut in range(3):  # the first time everybody is new
        if cut:
            power_cut(house, site)
        began = time.monotonic()
        outcome = crowd.register(PER_S, AT_ONCE)
        took_s.append(time.monotonic() - began)
        assert outcome.answered == PHONES, outcome
        assert len(site.contacts()) == PHONES
        site.wait_counts(used=PHONES, surplus=0)
    crowd.close()
    house.assert_books_agree()
    assert house.most_lent() == PHONES
    record_property(
        "measured",
        f"storm: {PHONES} phones new in {took_s[0]:.2f} s, back after the 1st cut in {took_s[1]:.2f} s, "
        f"after the 2nd in {took_s[2]:.2f} s",
    )
    assert max(took_s[1:]) < SETTLED_WITHIN_S
