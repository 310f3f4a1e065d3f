"""10,000 phones refresh while one source floods: nobody loses a registration, and the agent does not grow.

Real programs: licence-master, pbx-agent, Kamailio with digest, SIPp. The agent has one core for itself; the
phones (this process, or SIPp), the flood, Kamailio and the master share the other. What was measured is
printed (-rP).
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.crowd import Crowd
from tests.acceptance.peers.flood import Flood
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import Counts, users
from tests.acceptance.site import Site

pytestmark = [pytest.mark.real("kamailio", "sipp"), pytest.mark.alone]

PHONES, ADDRESSES, FIRST = 10_000, 125, 10_000
REGISTER_PER_S, REFRESH_PER_S, FLOOD_PER_S = 2_000, 1_000, 20_000


@pytest.fixture
def cores() -> Iterator[tuple[int, int]]:
    """One core for this process and what it starts, one for the agent; the same where there is but one."""
    before = os.sched_getaffinity(0)
    first, last = min(before), max(before)
    os.sched_setaffinity(0, {first})
    try:
        yield first, last
    finally:
        os.sched_setaffinity(0, before)


def site_alone(network: Network, core: int, **sip: Any) -> Site:
    """A site whose agent has a core for itself."""
    house = House(network, {"PBX-Port13": PHONES + 100}, {"hq": "gateway"}, sync_s=5, installed=True).build()
    site = house.site("hq", sip=sip)
    for thread in os.listdir(f"/proc/{site.agent.pid}/task"):
        os.sched_setaffinity(int(thread), {core})
    return site


def crowd_of(network: Network, site: Site) -> Crowd:
    """The phones, at addresses that are all the namespace's own."""
    network.ip("route", "add local 10.79.0.0/24 dev lo")
    addresses = [f"10.79.0.{number}" for number in range(1, ADDRESSES + 1)]
    return Crowd(network, addresses, FIRST, PHONES, site.domain, site.guard)


def rss_mb(pid: int) -> float:
    """The memory of a process that is in use now."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid: int) -> float:
    """The CPU time a process has used."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_flood_costs_no_phone_its_refresh(network: Network, cores: tuple[int, int]) -> None:
    site = site_alone(network, cores[1])
    crowd = crowd_of(network, site)
    registered = crowd.register(REGISTER_PER_S, at_once=500)
    print(f"register, no flood: {registered}")
    assert registered.answered == PHONES
    calm = crowd.register(REFRESH_PER_S, at_once=PHONES)
    print(f"refresh, no flood:  {calm}")

    before_mb, used_s = rss_mb(site.agent.pid), cpu_s(site.agent.pid)
    flood = network.start(Flood(network, site.guard, site.domain, FLOOD_PER_S))
    stormy = crowd.register(REFRESH_PER_S, at_once=PHONES)
    used_s = cpu_s(site.agent.pid) - used_s
    status, grown_mb = site.status(), rss_mb(site.agent.pid) - before_mb
    sent, flooded_per_s = flood.stop()
    print(f"refresh in a flood: {stormy}")
    print(f"flood of one source: {sent} messages at {flooded_per_s:.0f}/s; {status['rejections']}")
    print(f"agent: {before_mb:.0f} MB and {grown_mb:+.1f} MB in the flood, {used_s:.1f} s of CPU meanwhile")

    assert flooded_per_s > 10 * stormy.per_s
    assert stormy.loss < 0.01
    assert stormy.repeated < 0.2 * PHONES, "few phones even notice"
    assert grown_mb < 0.1 * before_mb
    (alarm,) = status["alarms"]
    assert (alarm["code"], flood.host in alarm["hint"]) == ("flood", True)
    assert status["bindings"] == PHONES
    unread = [status["rejections"].get(reason, 0) for reason in ("over_limit", "kernel")]
    assert sum(unread) > sent / 2
    crowd.close()


def test_sipp_refreshes_10000_phones_in_a_flood(network: Network, cores: tuple[int, int]) -> None:
    """SIPp has one address for all of them: as a proxy of phones it is trusted, the flood is not."""
    host, everyone = network.address(), users(FIRST, PHONES)
    site = site_alone(network, cores[1], limits={"trusted": [host]})
    all_admitted = Counts({200: PHONES}, unexpected=0)
    rate = {"rate": REFRESH_PER_S // 2, "at_once": PHONES}  # a challenge and an answer to it for each
    assert site.phones(everyone, host=host, **rate).counts(90) == all_admitted
    flood = network.start(Flood(network, site.guard, site.domain, FLOOD_PER_S))
    refreshed = site.phones(everyone, host=host, **rate).counts(90)
    sent, flooded_per_s = flood.stop()
    print(f"SIPp in a flood: {refreshed}; flood: {sent} messages at {flooded_per_s:.0f}/s")
    assert refreshed.admitted > 0.99 * PHONES
    assert flooded_per_s > 5 * REFRESH_PER_S
    status = site.status()
    assert status["bindings"] == PHONES
    unread = [status["rejections"].get(reason, 0) for reason in ("over_limit", "kernel")]
    assert sum(unread) > sent / 2
