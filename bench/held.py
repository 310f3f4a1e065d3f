"""Memory of `licence-master serve` with 100,000 held ports, beside an etcd with as many leased keys.

The agents draw their units by real syncs, 100 at a time, and say which object holds each of them. Then each
round is one more sync of every agent, so that what grows without end would show.
"""

import statistics
from pathlib import Path

from bench.grants import AGENTS, BATCH, asking, check_ledger
from bench.lenders import etcd_clients, etcd_server
from bench.memory import memory_mb
from bench.sip import Result, Tick
from bench.world import master
from tests.acceptance.peers.network import Network

HELD = 100_000


def held(folder: Path, tick: Tick, *, rounds: int, ports: int = HELD, agents: int = AGENTS) -> Result:
    """Return the result: MiB of the master while every one of so many ports is held."""
    batches, rest = divmod(ports, agents * BATCH)
    assert rest == 0, "all agents hold the same"
    with Network(folder) as network:
        house = master(network, agents, ports)
        before = memory_mb(house.master.pid)
        found = []
        with asking(house, agents) as load:
            load.ask(batches - 1, BATCH)  # the hello brought the first
            for _ in range(rounds):
                load.ask(1, 0)
                found.append(memory_mb(house.master.pid))
                tick()
            assert house.used() == ports, "every port is held, and the master knows"
        check_ledger(house, ports)
        restarted = memory_mb(house.master.pid)
        beside = _etcd(network, ports, agents)
    ours = statistics.median(found)
    detail = {"licence-master": {"without_ports_mb": before, "restarted_mb": restarted}}
    return {
        "value": ours,
        "unit": "MB",
        "ours": ours,
        "peer": beside,
        "peer_name": f"etcd with {ports:,} keys attached to {agents} leases, PSS in MiB",
        "rounds": [{"ours": each, "peer": beside, "detail": detail} for each in found],
    }


def _etcd(network: Network, ports: int, agents: int) -> float:
    """The same number of keys, 100 a transaction, each client's attached to a lease of its own."""
    server = network.start(etcd_server(network))
    with etcd_clients(network, agents, agents) as load:
        load.ask(ports // (agents * BATCH), BATCH)
        return memory_mb(server.pid)
