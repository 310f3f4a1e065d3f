"""CPU time per REGISTER of `pbx-agent run` as shipped, beside Kamailio's `t_relay()` with the same registrar.

The agent is enrolled at a real licence master, its 1,000 objects hold a unit each before the clock starts:
what is measured are refreshes, which are nearly all a guard ever sees.
"""

from pathlib import Path

from bench.sip import Contender, Result, Tick, backend, compare, kamailio
from bench.world import PINNED, Agent, enrol, master, names, wait_in_sync
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP


def register_proxy(
    folder: Path, tick: Tick, *, rounds: int, count: int, phones: int = 1000, rate: int | None = None
) -> Result:
    """Return the result: `count` REGISTERs a round, as fast as answers come or `rate` a second."""
    with Network(folder) as network:
        registrar = (network.address(), SIP)
        network.start(backend(folder, network, registrar))
        agent = pinned_agent(network, registrar, phones)
        peer = kamailio(folder, network, (network.address(), SIP), registrar)
        network.start(peer.program)
        return compare(
            Contender("pbx-agent", agent, agent.address),
            peer,
            registrar,
            rounds=rounds,
            count=count,
            phones=phones,
            rate=rate,
            ground=network,
            warm=lambda: until(lambda: all_hold_a_unit(agent, phones), 30.0, "a unit for each object"),
            tick=tick,
        )


def pinned_agent(network: Network, registrar: tuple[str, int], phones: int) -> Agent:
    """The agent on its core, enrolled and in sync."""
    house = master(network, 1, 2 * phones)
    (pbx,) = names(1)
    agent = Agent(network, pbx, registrar, prefix=PINNED)
    enrol(house, {pbx: agent.data})
    network.start(agent)
    wait_in_sync([agent])
    return agent


def all_hold_a_unit(agent: Agent, phones: int) -> bool:
    """Whether each object holds a unit, and none is surplus."""
    counts = agent.status()["classes"]["seat"]
    return bool(counts["used"] == phones and counts["surplus"] == 0)
