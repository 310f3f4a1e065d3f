"""400 phones come back at once after a power cut.

Real programs in every test: licence-master, pbx-agent, Kamailio with digest, and SIPp as the phones.
"""

from typing import Any

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.capture import Capture
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.sipp import Counts, users
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import Site

pytestmark = [pytest.mark.real("kamailio", "sipp"), pytest.mark.alone]

PHONES = 400
AT_ONCE_PER_S = 1000


def one_site(network: Network, ports: int, **policy: Any) -> tuple[House, Site]:
    """A site whose agent holds nothing but its spare; it reports each second."""
    ground: dict[str, Any] = {"sync_s": 1, "installed": True, **policy}
    house = House(network, {"PBX-Port13": ports}, {"hq": "gateway"}, **ground).build()
    return house, house.site("hq")


def storm(site: Site, first: int = 1000, count: int = PHONES) -> Counts:
    """All phones register at once; what they were answered."""
    return site.phones(users(first, count), rate=AT_ONCE_PER_S).counts(within_s=30)


def warnings(capture: Capture) -> set[bytes]:
    """The different Warning lines that passed."""
    return {
        line for got in capture.datagrams() for line in got.data.split(b"\r\n") if line.startswith(b"Warning")
    }


def test_enough_licences_at_the_master_refuse_nobody(network: Network) -> None:
    """The share is empty but for its spare: the phones wait unanswered while the master lends more."""
    house, site = one_site(network, PHONES)
    assert site.counts()["granted"] < 10
    assert storm(site) == Counts({200: PHONES}, unexpected=0)
    assert sorted(site.registrar.contacts()) == users(1000, PHONES)
    house.wait_used(PHONES)
    house.assert_never_over()


def test_300_licences_admit_300(network: Network) -> None:
    house, site = one_site(network, 300)
    capture = network.start(Capture(network))
    assert storm(site) == Counts({200: 300, 403: 100}, unexpected=0)
    assert warnings(capture) == {b'Warning: 399 hq "no_free_licence: No free licence"'}
    assert len(site.registrar.contacts()) == 300
    house.wait_used(300)
    house.assert_never_over()


def test_the_master_is_dead_and_the_share_serves_its_number(network: Network) -> None:
    """100 phones have drawn, their share is 100 and some spare; then the master dies and 400 others come."""
    house, site = one_site(network, PHONES + 100)
    assert storm(site, first=2000, count=100).admitted == 100
    house.wait_used(100)
    house.master.kill()
    spare = site.counts()["granted"] - 100
    assert spare > 0
    capture = network.start(Capture(network))
    assert storm(site) == Counts({200: spare, 403: PHONES - spare}, unexpected=0)
    assert warnings(capture) == {b'Warning: 399 hq "master_away: The licence master cannot be reached"'}
    assert len(site.registrar.contacts()) == 100 + spare
    site.wait_counts(used=100 + spare, surplus=0, waiting=0)

    house.master.start()
    assert storm(site) == Counts({200: PHONES}, unexpected=0)
    house.wait_used(PHONES + 100)
    house.assert_never_over()


def test_the_master_is_dead_and_the_policy_admits_and_reports(network: Network) -> None:
    house, site = one_site(network, PHONES, away="report")
    until(lambda: site.counts()["granted"], what="the spare")
    house.master.kill()
    granted = site.counts()["granted"]
    assert storm(site) == Counts({200: PHONES}, unexpected=0)
    site.wait_counts(used=granted, surplus=PHONES - granted)
    assert site.agent.log.count("registration.reported") == PHONES - granted

    house.master.start()
    site.wait_counts(used=PHONES, surplus=0)
    house.wait_used(PHONES)
    reported = [row for row in house.get("events?limit=10000") if row["event"] == "reported"]
    assert {row["code"] for row in reported} == {"master_away"}
    assert len({row["object"] for row in reported}) == PHONES - granted
    house.assert_never_over()
