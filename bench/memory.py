"""What 10,000 bindings cost in memory: all of `pbx-agent run`, beside a registrar that holds the same."""

import statistics
from pathlib import Path

from bench.guard import all_hold_a_unit, pinned_agent
from bench.load import Load
from bench.sip import Result, Tick, backend, pinned_load
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import SIP

PHONES = 10_000


def memory_mb(session: int) -> float:
    """Proportional memory (PSS) of all processes of a session in MiB: shared pages are counted once."""
    kib = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                lines = (entry / "smaps_rollup").read_text().splitlines()
                kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return round(kib / 1024, 1)


def memory(folder: Path, tick: Tick, *, rounds: int, phones: int = PHONES) -> Result:
    """Return the result: MiB with all phones bound, each round after each of them has refreshed."""
    with Network(folder) as network, pinned_load():
        registrar = (network.address(), SIP)
        pbx = network.start(backend(folder, network, registrar))
        agent = pinned_agent(network, registrar, phones)
        load = Load(agent.address, registrar, phones=phones, ground=network)
        until(load.answers, 30.0, "a 200 through the agent")
        empty = memory_mb(agent.pid)
        found = []
        for _ in range(rounds):
            load.run(phones)
            until(lambda: all_hold_a_unit(agent, phones), 30.0, "a unit for each object")
            found.append((memory_mb(agent.pid), memory_mb(pbx.pid)))
            tick()
        load.close()
    ours = statistics.median(one for one, _ in found)
    return {
        "value": ours,
        "unit": "MB",
        "ours": ours,
        "peer": statistics.median(two for _, two in found),
        "peer_name": f"kamailio registrar with the same {phones:,} contacts, PSS in MiB",
        "rounds": [
            {"ours": one, "peer": two, "detail": {"pbx-agent": {"without_phones_mb": empty}}}
            for one, two in found
        ],
    }
