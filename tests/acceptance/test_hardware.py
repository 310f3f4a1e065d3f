"""The MAC of a gateway, seen by real agents through the kernel: changed, copied, and out of sight.

Machines of tests have veth pairs, which have no permanent address: what that proves is in tests/licensing.
"""

import asyncio
import json
from typing import Any

import pytest

from licensing.installation import printed_mac
from tests.acceptance.house import House
from tests.acceptance.peers.host import Host
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import Site
from tests.acceptance.test_several import registrar

pytestmark = pytest.mark.real("kamailio")

LICENCES = {"PBX-Port13": 9, "Relay-PRIs": 1, "Relay-Channels": 2}
MAC, OTHER, LYONS = "00:90:33:00:00:00", "00:90:33:1a:00:99", "00:90:33:00:00:01"
BOX = {"model": "IP3011", "interfaces": ["pri1"]}
TRUNK = {"kind": "trunk", "name": "carrier", "aor": ["1007"], "interfaces": ["pri1"]}
OBJECTS = [TRUNK, {"kind": "user", "aor": ["*"]}]


class Gateway(Host):
    """A box on a cable of its own, with the MAC that one gives it."""

    @property
    def place(self) -> str:
        """Its address."""
        return f"10.77.{self._number}.254"

    def becomes(self, mac: str) -> None:
        """Give it this MAC and let it say something: before that nobody can know."""
        for words in ("set eth0 down", f"set eth0 address {mac}", "set eth0 up"):
            self.ip("link", words)
        self.ip("route", f"replace default via 10.77.{self._number}.1")
        with self.udp(self.place) as sock:
            sock.sendto(b"", (f"10.77.{self._number}.1", 9))


def alarm(site: Site) -> str | None:
    """The code of what is wrong with the MAC of the site's box now, by the agent's log: asking costs more."""
    code = None
    for line in site.agent.lines:
        said = json.loads(line) if line.startswith('{"pbx"') else {}
        if said.get("pbx") == site.name and str(said.get("code")).startswith("mac_"):
            code = {"alarm.raised": said["code"], "alarm.cleared": None}.get(said["event"], code)
    return code


def advice(site: Site) -> str:
    """What its alarm says, in the status."""
    return " ".join(each["hint"] for each in site.told()["alarms"] if each["code"].startswith("mac_"))


def history(house: House) -> list[tuple[str, str, str]]:
    """What the ledger says of MACs, oldest first: event, PBX, state."""
    rows = reversed(house.get("history?limit=1000"))
    return [
        (row["event"], row["facts"]["pbx"], row["facts"]["state"])
        for row in rows
        if row["event"].startswith("mac.")
    ]


def shown(site: Site, network: Network) -> dict[str, dict[str, dict[str, Any]]]:
    """`pbx-agent hardware --json`: its PBXs and the links of this host, by name."""
    config = str(site.agent.folder / "agent.yaml")
    said = json.loads(network.run([own_command("pbx-agent"), "hardware", "--config", config, "--json"]))
    keys = {"pbxs": "pbx", "links": "interface"}
    return {what: {row[key]: row for row in said[what]} for what, key in keys.items()}


def own_macs(network: Network) -> dict[str, str]:
    """Link by link what iproute2 says of this host, as we print it."""
    rows = json.loads(network.run([program("ip"), "-json", "link"]))
    return {
        row["ifname"]: printed_mac(row["address"].replace(":", ""))
        for row in rows
        if row["link_type"] == "ether"
    }


async def test_relay_licences_count_while_the_mac_of_the_gateway_is_seen(network: Network) -> None:
    """Proven, changed, proven again, copied to a second box, and behind a router."""
    house = House(
        network, LICENCES, {"hq": "gateway", "lyon": "gateway"}, sync_s=1, boxes={"hq": BOX}
    ).build()
    gateway, second = (network.start(Gateway(network, name, n)) for name, n in (("gw", 91), ("nd", 92)))
    gateway.becomes(MAC)
    second.becomes(LYONS)
    pbx = registrar(network, "pbx")
    entries = {
        name: {"objects": OBJECTS, "box": {"address": box.place}}
        for name, box in (("hq", gateway), ("lyon", second))
    }
    sites = await asyncio.to_thread(house.agent, "agent", {"hq": pbx, "lyon": pbx}, entries)
    hq, lyon = sites["hq"], sites["lyon"]
    until(lambda: history(house) == [("mac.proven", "hq", "proven")], what="hq's gateway is seen")
    assert alarm(hq) is None
    async with hq.handset("1007") as trunk:
        assert (await trunk.register()).status == 200
        await asyncio.to_thread(changed, house, hq, gateway)
        assert (await trunk.register()).status == 200, "who is registered goes on"
        assert (await trunk.unregister()).status == 200
        refused = await trunk.register()
        assert refused.status == 403
        gateway.becomes(MAC)
        await asyncio.to_thread(until, lambda: alarm(hq) is None, 10.0, "its own MAC is back")
        assert (await trunk.register()).status == 200
    await asyncio.to_thread(copied, house, hq, second)
    second.becomes(LYONS)
    until(lambda: alarm(hq) is None, what="the copy is gone")
    behind_a_router(house, network, hq, gateway, lyon)


def changed(house: House, hq: Site, gateway: Gateway) -> None:
    """Its licences stop counting, and everybody is told why."""
    gateway.becomes(OTHER)
    until(lambda: alarm(hq) == "mac_mismatch", what="the gateway has another MAC")
    why = f"{gateway.place} on gw0 answers with 00-90-33-1a-00-99"
    assert advice(hq).startswith(f"{why}. Nothing bound to it counts.")
    (row,) = [row for row in house.get("history") if row["event"] == "mac.doubted"]
    assert (row["facts"]["state"], row["facts"]["why"]) == ("changed", why)
    pool = house.pool("relay-channel@hq")
    assert (pool["installed"], pool["usable"], pool["reason"]) == (2, 0, "mac_mismatch")
    answer = house.get("why/hq")["answer"]
    assert "do not count: The licence names another MAC address (mac_mismatch)" in answer
    assert "do not count" in house.row("agents", "hq")["hint"]
    assert house.logged("mac.doubted")[-1]["why"] == why


def copied(house: House, hq: Site, second: Gateway) -> None:
    """The box at lyon shows hq's MAC."""
    second.becomes(MAC)
    until(lambda: alarm(hq) == "mac_cloned", what="a second box has hq's MAC")
    until(
        lambda: "is at lyon too" in house.get("why/00-90-33-00-00-00")["answer"], what="the master says where"
    )
    assert history(house)[-1] == ("mac.doubted", "hq", "cloned")


def behind_a_router(house: House, network: Network, hq: Site, gateway: Gateway, lyon: Site) -> None:
    """With a next hop the neighbour is the router: it proves nothing, and is no copy of anything."""
    network.ip("address", f"del 10.77.{gateway._number}.1/24 dev gw0")
    network.ip("address", "add 10.66.0.1/24 dev gw0")
    network.ip("route", f"add {gateway.place}/32 via 10.66.0.254")
    until(lambda: alarm(hq) == "mac_unprovable", what="the gateway is behind a router")
    assert advice(hq).startswith(
        f"{gateway.place} is behind the router 10.66.0.254: its MAC cannot be seen from here."
        " What is bound to it counts all the same."
    )
    assert history(house)[-1] == ("mac.doubted", "hq", "unprovable")
    said = shown(hq, network)
    assert {name: row["address"] for name, row in said["links"].items()} == own_macs(network)
    assert not [row for row in said["links"].values() if row["permanent"] or row["physical"]]
    row = said["pbxs"]["hq"]
    assert (row["way"], row["state"], row["counts"]) == ("behind the router 10.66.0.254", "unprovable", True)
    assert alarm(lyon) is None
