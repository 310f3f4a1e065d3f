"""Units that the shipped licence master newly lends per second: signed HTTPS in, fsync, signed answer out.

Server and peer have one core, in turns; the load has the other. A unit counts when the answer that lends it
has arrived and was verified; at the end the ledger on disk must hold every one of them.
"""

import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self, TypedDict

import msgspec

from bench.grant_load import BATCH, Round
from bench.sip import Result, Tick, cpu_seconds
from bench.world import LOAD_CORE, PINNED, ROOT, SERVER_CORE, enrol, master, names, pin
from tests.acceptance.house import House
from tests.acceptance.peers.network import Network, program

PORTS = 1_000_000
MODULE = (sys.executable, "-m")


class Line(TypedDict):
    """One round: units per second of both, and how ours came about."""

    ours: int
    peer: int
    detail: dict[str, float]


class Worker(AbstractContextManager["Worker"]):
    """A process that answers a number with a line of JSON, as the load and the peer do."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        """Wait until it is ready."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the process says why it ended"
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.communicate()

    def ask(self, count: int) -> Any:
        """One round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process ended and said why"
        return msgspec.json.decode(line)


def grants(folder: Path, tick: Tick, *, rounds: int, syncs: int, operations: int, agents: int = 20) -> Result:
    """Return the result: each round `syncs` of every agent, then `operations` of the plain writer."""
    with Network(folder) as network:
        house = master(network, agents, PORTS)
        pin(house.master.pid, SERVER_CORE)
        peer = Worker([*PINNED, *MODULE, "bench.plain_writer", str(folder / "plain.db")])
        lines = []
        with _load(house, agents) as load, peer:
            load.ask(1)
            for _ in range(rounds):
                lines.append(_round(house, load, peer, syncs, operations))
                tick()
        _check_ledger(house, agents * BATCH * (2 + rounds * syncs))
    own = round(statistics.median(line["ours"] for line in lines))
    other = round(statistics.median(line["peer"] for line in lines))
    return {
        "value": own,
        "unit": "grants/s",
        "ours": own,
        "peer": other,
        "peer_name": "SQLite writer, one unit an operation, two commits each (WAL, FULL), no network",
        "rounds": lines,
    }


def _load(house: House, agents: int) -> Worker:
    """The asking agents, enrolled, each with an address of its own; one process on the load's core."""
    network = house.network
    homes = network.folder / "homes"
    enrol(house, dict.fromkeys(names(agents), homes))
    words = [f"{network.address()}={homes / pbx}" for pbx in names(agents)]
    core = [program("taskset"), "-c", str(LOAD_CORE)]
    return Worker(network.inside([*core, *MODULE, "bench.grant_load", *words]))


def _round(house: House, load: Worker, peer: Worker, syncs: int, operations: int) -> Line:
    before = cpu_seconds(house.master.pid)
    ours = msgspec.convert(load.ask(syncs), Round)
    used_s = cpu_seconds(house.master.pid) - before
    plain_s = float(peer.ask(operations))
    return {
        "ours": round(ours.units / ours.seconds),
        "peer": round(operations / plain_s),
        "detail": {
            "cpu_ms_per_sync": round(used_s / ours.syncs * 1_000, 2),
            "core_used": round(used_s / ours.seconds, 2),
            "p50_ms": ours.p50_ms,
            "p99_ms": ours.p99_ms,
        },
    }


def _check_ledger(house: House, expected: int) -> None:
    """What was counted is what the master has on record after it was killed and started again."""
    house.master.kill()
    house.master.start()
    lent = house.pool("port")["lent"]
    assert lent == expected, f"{expected} units were counted, {lent} are on record"
