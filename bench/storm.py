"""After a power cut: 1,000 phones of 10 sites at once, from the first REGISTER to the last 200.

Ten agents, each a process of its own as on ten hosts, have just enrolled: their shares are empty but for the
two spare units that an idle site keeps. Every phone passes a digest challenge, waits until its agent has
fetched a unit from the master, and must not be refused. All sites share one Kamailio as registrar and the
two cores of this machine. The peer is the same storm through ten Kamailio `t_relay()` without licences.
"""

import statistics
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from bench.phones import Phone, Storm, storm
from bench.sip import Result, Tick
from bench.world import Agent, enrol, master, names, wait_in_sync
from tests.acceptance.house import SIP, House
from tests.acceptance.peers.kamailio import Proxy, Registrar
from tests.acceptance.peers.network import Network

FIRST_USER = 1_000
SIDES = ("ours", "peer")
SPARE = 2  # units that a site without phones keeps


def storms(folder: Path, tick: Tick, *, rounds: int, ports: int = 1_000, agents: int = 10) -> Result:
    """Return the result: in each round all agents are new, and every phone is unknown to them."""
    lines = []
    for number in range(rounds):
        with Network(folder / str(number)) as network:
            lines.append(_round(network, ports, agents))
        tick()
    own, other = (statistics.median(line[key].seconds for line in lines) for key in SIDES)
    return {
        "value": own,
        "unit": "s",
        "ours": own,
        "peer": other,
        "peer_name": "the same phones through as many kamailio t_relay, no licences",
        "rounds": [
            {side: line[side].seconds for side in SIDES}
            | {"detail": {side: asdict(line[side]) for side in SIDES}}
            for line in lines
        ],
    }


def _round(network: Network, ports: int, agents: int) -> dict[str, Storm]:
    registrar = network.start(Registrar(network.folder / "registrar", network, (network.address(), SIP)))
    pbx, host = (registrar.host, registrar.port), network.address()
    users = range(FIRST_USER, FIRST_USER + ports)
    with ExitStack() as stack:
        proxies = [stack.enter_context(_proxy(network, number, pbx)) for number in range(agents)]
        edges = [(proxy.host, proxy.port) for proxy in proxies]
        peer = storm([Phone(user + ports, host, edges[user % agents], pbx[0], network) for user in users])
    house, sites = _sites(network, pbx, 2 * ports, agents)
    edges = [site.address for site in sites]
    ours = storm([Phone(user, host, edges[user % agents], pbx[0], network) for user in users])
    assert sum(site.status()["classes"]["seat"]["used"] for site in sites) == ports, "each drew one unit"
    house.assert_never_over()
    assert len(registrar.contacts()) == 2 * ports, "the registrar has every phone"
    return {"ours": ours, "peer": peer}


def _proxy(network: Network, number: int, pbx: tuple[str, int]) -> Proxy:
    return Proxy(network.folder / f"proxy-{number}", network, (network.address(), SIP), pbx, memory_mb=32)


def _sites(network: Network, pbx: tuple[str, int], licences: int, agents: int) -> tuple[House, list[Agent]]:
    """A master and as many agents, in sync and without phones."""
    house = master(network, agents, licences)
    sites = [Agent(network, name, pbx) for name in names(agents)]
    enrol(house, {site.pbx: site.data for site in sites})
    for site in sites:
        network.start(site)
    wait_in_sync(sites)
    assert house.pool("port")["lent"] <= SPARE * agents, "the shares are empty but for the spare units"
    return house, sites
