"""Units that the shipped licence master newly lends per second: signed HTTPS in, fsync, signed answer out.

Server and peer have one core, in turns; the load has the other, and both write to one file system. A unit
counts when the answer that lends it has arrived and was verified; at the end the ledger on disk must hold
every one of them, and the peer's too.
"""

import os
import statistics
import time
from pathlib import Path
from typing import Any, TypedDict

from bench.lenders import Lender, Lenders
from bench.sip import Result, Tick, cpu_seconds
from bench.worker import MODULE, Round, Worker
from bench.world import LOAD_CORE, SERVER_CORE, enrol, master, names, pin
from tests.acceptance.house import House
from tests.acceptance.peers.network import Network, program

BATCH = 100
PORTS = 1_000_000
AGENTS = 20
FSYNCS = 100


class Line(TypedDict):
    """One round: units per second of both, and how they came about."""

    ours: int
    peer: int
    detail: dict[str, dict[str, float]]


def grants(
    folder: Path,
    tick: Tick,
    *,
    rounds: int,
    against: Lenders,
    syncs: int,
    operations: int,
    units: int = 1,
    agents: int = AGENTS,
    unit: str = "ratio",
) -> Result:
    """Return the result: each round `syncs` of every agent for 100 units, then the operations of the peer.

    The peer has as many clients (the plain writer is one); each makes `operations` for so many `units`.
    `value` is the ratio of the medians, or with `unit` grants/s our own.
    """
    with Network(folder) as network:
        house = master(network, agents, PORTS)
        pin(house.master.pid, SERVER_CORE)
        lines, lent = [], agents * BATCH  # those of the hellos
        with asking(house, agents) as load, against(network, agents) as peer:
            assert peer.folder.stat().st_dev == folder.stat().st_dev, "both on one file system"
            lent += load.ask(1, BATCH).units
            peer.ask(1, units)
            for _ in range(rounds):
                ours = timed(Lender("licence-master", folder, house.master.pid, load.ask), syncs, BATCH)
                theirs = timed(peer, operations, units)
                lent += ours[0].units
                lines.append(compared(ours, theirs, peer.name, folder))
                tick()
        check_ledger(house, lent)
    own = round(statistics.median(line["ours"] for line in lines))
    other = round(statistics.median(line["peer"] for line in lines))
    return {
        "value": round(own / other, 1) if unit == "ratio" else own,
        "unit": unit,
        "ours": own,
        "peer": other,
        "peer_name": peer.described,
        "rounds": lines,
    }


def asking(house: House, agents: int) -> Worker:
    """The asking agents, enrolled, each with an address of its own; one process on the load's core."""
    network = house.network
    homes = network.folder / "homes"
    enrol(house, dict.fromkeys(names(agents), homes))
    words = [f"{network.address()}={homes / pbx}" for pbx in names(agents)]
    core = [program("taskset"), "-c", str(LOAD_CORE)]
    return Worker(network.inside([*core, *MODULE, "bench.grant_load", *words]))


def check_ledger(house: House, expected: int) -> None:
    """What was counted is what the master has on record after it was killed and started again."""
    house.master.kill()
    house.master.start()
    lent = house.pool("port")["lent"]
    assert lent == expected, f"{expected} units were counted, {lent} are on record"


def timed(lender: Lender, count: int, units: int) -> tuple[Round, float]:
    """One round, and the CPU seconds that the server used for it."""
    before = cpu_seconds(lender.server)
    found = lender.ask(count, units)
    return found, cpu_seconds(lender.server) - before


def compared(ours: tuple[Round, float], theirs: tuple[Round, float], peer: str, folder: Path) -> Line:
    return {
        "ours": ours[0].per_second,
        "peer": theirs[0].per_second,
        "detail": {
            "licence-master": _detail(*ours),
            peer: _detail(*theirs),
            "disk": {"fsync_us": fsync_us(folder)},
        },
    }


def _detail(found: Round, used_s: float) -> dict[str, float]:
    detail: dict[str, Any] = {
        "cpu_ms_per_operation": round(used_s / found.operations * 1_000, 2),
        "core_used": round(used_s / found.seconds, 2),
        "p50_ms": found.p50_ms,
        "p99_ms": found.p99_ms,
    }
    return detail | ({"again_per_operation": round(found.again / found.operations, 1)} if found.again else {})


def fsync_us(folder: Path) -> float:
    """The median time in µs that 4 KiB more of a file need to be on this disk (fdatasync)."""
    path, taken = folder / "fsync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    path.unlink()
    return round(statistics.median(taken) * 1e6)
