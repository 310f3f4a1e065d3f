"""What a burst of call records costs an agent in memory: its master is away, so that all of them wait.

Each round a file grows by the burst at once, and the agent reads it: the peer is the same agent before the
first record. What a record costs on the way would show as more from round to round.
"""

import statistics
from pathlib import Path

from bench.memory import memory_mb
from bench.sip import Result, Tick
from bench.world import Agent, enrol, master, names, wait_in_sync
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP
from tests.agent.cdr.calls import line

RECORDS = 100_000


def agent_rss_mb(folder: Path, tick: Tick, *, rounds: int, records: int = RECORDS) -> Result:
    """Return the result: MiB after each round, when so many more records are on disk."""
    with Network(folder) as network:
        house, (pbx,) = master(network, 1, 1), names(1)
        file = folder / "Custom.csv"
        file.touch()
        sources = [{"name": "file", "dialect": "asterisk_custom", "file": str(file)}]
        agent = Agent(network, pbx, (network.address(), SIP), cdrs={"sources": sources})
        enrol(house, {pbx: agent.data})
        network.start(agent)
        wait_in_sync([agent])
        house.master.kill()
        empty = memory_mb(agent.pid)
        found: list[float] = []
        for number in range(rounds):
            begin = number * records
            with file.open("ab") as growing:
                growing.writelines(map(line, range(begin, begin + records)))
            until(lambda: _waiting(agent) >= len(found) * records + records, 300.0, "all of them on disk")
            found.append(memory_mb(agent.pid))
            tick()
    ours = statistics.median(found)
    return {
        "value": ours,
        "unit": "MB",
        "ours": ours,
        "peer": empty,
        "peer_name": f"the same agent before the first record; {records:,} more wait each round, PSS in MiB",
        "rounds": [{"ours": each, "peer": empty} for each in found],
    }


def _waiting(agent: Agent) -> int:
    waiting: int = agent.status()["cdrs"]["waiting"]
    return waiting
