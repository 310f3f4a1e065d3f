"""`pbx-agent doctor` at real PBXs: who trusts the agent's address, drops Path or writes contacts anew.

Real programs in every test: licence-master, pbx-agent, Kamailio; the phones are those of the demonstration.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.kamailio import Registrar
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.typed import ended
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP, Site

pytestmark = pytest.mark.real("kamailio")


def site_of(network: Network, **habits: Any) -> Site:
    """A PBX with these habits, and its agent."""
    pbx = network.start(Registrar(network.folder / "pbx", network, (network.address(), SIP), **habits))
    house = House(network, {"PBX-Port13": 9}, {"hq": "gateway"}, sync_s=1).build()
    return house.agent("agent", {"hq": pbx})["hq"]


def doctor(site: Site) -> dict[str, tuple[str, str]]:
    """State and detail of each check; exit code 1 says that one failed."""
    words = ["pbx-agent", "doctor", "--json", "--config", str(site.agent.folder / "agent.yaml")]
    done = ended(words, site.network)
    checks: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
    assert done.returncode == any(check["state"] == "failed" for check in checks), done.stderr
    return {check["check"]: (check["state"], check["detail"]) for check in checks}


async def test_a_pbx_as_it_should_be(network: Network) -> None:
    site = site_of(network)
    found = doctor(site)
    assert found["trust"] == ("unknown", f"asked for 11@{site.domain}:{SIP}, the PBX said 404 Unknown user")
    assert found["path"][0] == found["contacts"][0] == "unknown"
    async with AsyncExitStack() as stack:
        caller, callee = [await stack.enter_async_context(site.handset(user)) for user in ("1001", "1002")]
        for phone in (caller, callee):
            assert (await phone.register()).status == 200
        found = doctor(site)
        asked = f"1001@{site.domain}:{SIP}, 1002@{site.domain}:{SIP}"
        assert found["trust"] == ("ok", f"the PBX asks {asked} for a password")
        assert found["contacts"] == ("ok", "2 registrations came back with their own contact")
        assert found["path"] == ("unknown", "the PBX has called nobody since the agent's start")
        assert (await caller.dial("1002")).status == 200
        assert doctor(site)["path"] == ("ok", "1 requests of the PBX came by the agent's Path")
        assert site.contacts() == {"1001", "1002"}, "asking has bound nobody"


async def test_a_pbx_that_trusts_the_agents_address(network: Network) -> None:
    site = site_of(network, digest=False)
    async with site.handset("1001") as phone:
        assert (await phone.register()).status == 200
        asked = f"11@{site.domain}:{SIP}, 1001@{site.domain}:{SIP}"
        trusts = f"the PBX trusts this address: no password asked of {asked}"
        assert doctor(site)["trust"] == ("failed", trusts)
        assert len(site.registrar.contacts()["1001"]) == 1, "asking has bound nobody"


async def test_a_pbx_that_writes_contacts_anew_and_drops_path(network: Network) -> None:
    site = site_of(network, rewrites=True, path=False)
    async with AsyncExitStack() as stack:
        caller, callee = [await stack.enter_async_context(site.handset(user)) for user in ("1001", "1002")]
        for phone in (caller, callee):
            assert (await phone.register()).status == 200
        found = doctor(site)
        assert found["contacts"] == ("warning", "2 of 2 registrations came back with another contact")
        assert found["path"][0] == "unknown"
        calling = asyncio.create_task(caller.dial("1002"))
        await asyncio.to_thread(until, lambda: doctor(site)["path"][0] == "failed", what="the lost call")
        calling.cancel()


def test_a_pbx_that_is_off(network: Network) -> None:
    site = site_of(network)
    site.registrar.kill()
    found = doctor(site)
    assert found["pbx"][0] in ("failed", "warning")
    assert found["trust"] == ("unknown", "not tried: the PBX did not answer")
