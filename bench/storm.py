"""After a power cut: the phones of many sites at once, from the first REGISTER to the last 200.

The agents, each a process of its own as on ten hosts, have just enrolled: their shares are empty but for the
two spare units that an idle site keeps. Every phone passes a digest challenge, waits until its agent has
fetched a unit from the master, and must not be refused. All sites share one Kamailio as registrar and the
two cores of this machine. The peer is the same storm through as many Kamailio `t_relay()` without licences.
"""

import resource
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

from bench.cpu import Moment, share_cores
from bench.phones import Phone, Storm, storm
from bench.sip import Result, Tick
from bench.world import Agent, enrol, master, names, wait_in_sync
from tests.acceptance.house import House
from tests.acceptance.peers.kamailio import Proxy, Registrar
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP

FIRST_USER = 1_000
SIDES = ("ours", "peer")
MEMORY_MB = 256  # of the registrar, for 20,000 contacts
FILES = 1_000  # beside those of the phones
SPARE = 2  # units that a site without phones keeps


class Side(TypedDict):
    """One side of a round: the storm, and the CPU seconds of each program while it blew."""

    storm: Storm
    cpu_s: dict[str, float]


def storms(folder: Path, tick: Tick, *, rounds: int, ports: int = 1_000, agents: int = 10) -> Result:
    """Return the result: in each round all agents are new, and every phone is unknown to them."""
    lines = []
    with many_files(ports):
        for number in range(rounds):
            with Network(folder / str(number)) as network:
                lines.append(_round(network, ports, agents))
            tick()
    own, other = (statistics.median(line[key]["storm"].seconds for line in lines) for key in SIDES)
    return {
        "value": own,
        "unit": "s",
        "ours": own,
        "peer": other,
        "peer_name": "the same phones through as many kamailio t_relay, no licences",
        "rounds": [
            {side: line[side]["storm"].seconds for side in SIDES}
            | {
                "detail": {
                    side: asdict(line[side]["storm"]) | {"cpu_s": line[side]["cpu_s"]} for side in SIDES
                }
            }
            for line in lines
        ],
    }


@contextmanager
def many_files(count: int) -> Iterator[None]:
    """Let this process have a socket for each phone; refuses, and says what to do, where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, count + FILES)
    assert hard == resource.RLIM_INFINITY or wanted <= hard, (
        f"{wanted} open files are needed: ulimit -Hn {wanted}"
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _round(network: Network, ports: int, agents: int) -> dict[str, Side]:
    place = network.folder / "registrar"
    registrar = network.start(Registrar(place, network, (network.address(), SIP), memory_mb=MEMORY_MB))
    pbx, host = (registrar.host, registrar.port), network.address()
    users = range(FIRST_USER, FIRST_USER + ports)
    with ExitStack() as stack:
        proxies = [stack.enter_context(_proxy(network, number, pbx)) for number in range(agents)]
        edges = [(proxy.host, proxy.port) for proxy in proxies]
        phones = [Phone(user + ports, host, edges[user % agents], pbx[0], network) for user in users]
        groups = {"kamailio proxies": [proxy.pid for proxy in proxies], "registrar": [registrar.pid]}
        share_cores(groups["kamailio proxies"])
        peer = _blown(phones, groups)
    house, sites = _sites(network, pbx, 2 * ports, agents)
    edges = [site.address for site in sites]
    phones = [Phone(user, host, edges[user % agents], pbx[0], network) for user in users]
    groups = {"pbx-agents": [site.pid for site in sites], "licence-master": [house.master.pid]}
    share_cores(groups["pbx-agents"])
    ours = _blown(phones, groups | {"registrar": [registrar.pid]})
    _check(house, sites, ports)
    assert registrar.count() == 2 * ports, "the registrar has every phone"
    return {"ours": ours, "peer": peer}


def _blown(phones: list[Phone], groups: dict[str, list[int]]) -> Side:
    before = Moment.now()
    found = storm(phones)
    return {"storm": found, "cpu_s": Moment.now().since(before, groups)}


def _check(house: House, sites: list[Agent], ports: int) -> None:
    """Each object holds one unit, nobody was refused, and no pool was ever lent beyond its licences."""
    seats = [site.status()["classes"]["seat"] for site in sites]
    assert sum(seat["used"] for seat in seats) == ports, "each phone drew one unit"
    assert not any(seat["surplus"] or seat["waiting"] for seat in seats), "nobody is above a share or waits"
    until(lambda: house.used() == ports, 30.0, "the master knows every one of them")
    house.assert_never_over()


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
