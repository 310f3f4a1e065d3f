"""Call records that the shipped licence master takes per second: signed HTTPS batches, durable, each once.

Beside it the same rows in plain batched inserts. A record counts when the answer that acknowledges its batch
has arrived and was verified; at the end, after a kill, all of them are exported, and no other.
"""

import json
import statistics
import time
from pathlib import Path

from bench.cdr_rows import BATCH
from bench.grants import compared, timed
from bench.lenders import Lender
from bench.sip import Result, Tick
from bench.worker import MODULE, Worker
from bench.world import LOAD_CORE, PINNED, SERVER_CORE, enrol, master, names, pin
from tests.acceptance.house import House
from tests.acceptance.peers.network import Network, program

AGENTS = 4
PEER = f"SQLite, WAL, FULL: {BATCH} rows a transaction, unique by key, no network; records/s"


def ingest(folder: Path, tick: Tick, *, rounds: int, batches: int) -> Result:
    """Return the result: each round so many batches of each agent, then as many transactions of the peer."""
    with Network(folder) as network:
        house = master(network, AGENTS, 1)
        pin(house.master.pid, SERVER_CORE)
        plain = Worker([*PINNED, *MODULE, "bench.plain_inserts", str(folder / "plain.db")])
        lines, taken = [], 0
        with _delivering(house) as load, plain as peer:
            ours = Lender("licence-master", folder, house.master.pid, load.ask)
            theirs = Lender("plain inserts", folder, peer.pid, peer.ask)
            taken += load.ask(1, BATCH).units
            peer.ask(1, BATCH)
            for _ in range(rounds):
                own, other = timed(ours, batches, BATCH), timed(theirs, batches * AGENTS, BATCH)
                taken += own[0].units
                lines.append(compared(own, other, theirs.name, folder))
                tick()
        _check(house, taken)
    own_median = round(statistics.median(line["ours"] for line in lines))
    other_median = round(statistics.median(line["peer"] for line in lines))
    return {
        "value": round(own_median / other_median, 2),
        "unit": "ratio",
        "ours": own_median,
        "peer": other_median,
        "peer_name": PEER,
        "rounds": lines,
    }


def _delivering(house: House) -> Worker:
    """The agents, enrolled, each with an address of its own; one process on the load's core."""
    network = house.network
    homes = network.folder / "homes"
    enrol(house, dict.fromkeys(names(AGENTS), homes))
    words = [f"{network.address()}={homes / pbx}" for pbx in names(AGENTS)]
    core = [program("taskset"), "-c", str(LOAD_CORE)]
    return Worker(network.inside([*core, *MODULE, "bench.cdr_load", *words]))


def _check(house: House, expected: int) -> None:
    """What was acknowledged is what the master exports after it was killed and started again."""
    house.master.kill()
    house.master.start()
    month = time.strftime("%Y-%m", time.gmtime())
    lines = house.command("cdr", "export", "--from", month, "--to", month, "--format", "jsonl").splitlines()
    keys = {(row["source"], row["call_ref"], row["leg"]) for row in map(json.loads, lines)}
    assert len(lines) == len(keys) == expected, f"{expected} acknowledged, {len(keys)} exported"
