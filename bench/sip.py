"""CPU time per REGISTER of a proxy, beside a Kamailio measured in the same run.

The proxy has one core and is saturated (unless `rate` is given); this load and the registrar behind it have
the other. Rounds alternate (A B A B), the result is the ratio of the medians. A round ends where the next
round of the same proxy begins, so that what it does later for its transactions is counted. The same Kamailio
registrar without digest is behind both.

Kamailio gets what favours it: the fast allocator (`-x fm -X fm`), memory that is mapped before the clock
starts (else page faults double its time), transactions kept for 1 s instead of 5.

    python -m bench.sip --folder FOLDER                       t_relay() against forward(): proves the harness
    python -m bench.sip --folder FOLDER --address 127.0.0.1:5070 --registrar-port 5061 -- COMMAND…
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import Load, Measured
from bench.world import LOAD_CORE, PINNED
from tests.acceptance.peers.kamailio import Proxy, Registrar
from tests.acceptance.peers.network import Ground, Loopback, program
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.waiting import until

KAMAILIO_SETTINGS = 'shm_force_alloc=yes\nmodparam("tm","wt_timer",1000)\n'
KAMAILIO_MEMORY_MB = 1024
Result = dict[str, object]
Tick = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Contender:
    """A proxy to measure: its name in the results, its process (pinned by `PINNED`) and its UDP address."""

    name: str
    program: Program
    address: tuple[str, int]


def cpu_seconds(session: int) -> float:
    """Return user and system time of a session and of its leader's children, ended ones included."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if session in (int(fields[1]), int(fields[3])):  # a PostgreSQL backend makes a session of its own
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Book:
    """The measurements of one contender: CPU seconds at the begin of each round, and what the load saw."""

    contender: Contender
    load: Load
    cpu_s: list[float] = field(default_factory=list)
    runs: list[Measured] = field(default_factory=list)

    def run(self, count: int, rate: int | None) -> None:
        """Run one round."""
        self.cpu_s.append(cpu_seconds(self.contender.program.pid))
        self.runs.append(self.load.run(count, rate))

    def rounds(self) -> list[dict[str, float]]:
        """Return every round but the last, which only shows where the one before it ended."""
        return [
            {
                "cpu_us": round((after - before) / run.registers * 1e6, 1),
                "per_second": round(run.per_second),
                "p50_us": round(run.p50_us),
                "p99_us": round(run.p99_us),
            }
            for before, after, run in zip(self.cpu_s, self.cpu_s[1:], self.runs, strict=False)
        ]


@contextmanager
def pinned_load() -> Iterator[None]:
    """Keep this process, and what it starts meanwhile, on the core of the load."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compare(
    ours: Contender,
    peer: Contender,
    registrar: tuple[str, int],
    *,
    rounds: int = 5,
    count: int = 20_000,
    phones: int = 1000,
    rate: int | None = None,
    ground: Ground | None = None,
    warm: Callable[[], object] = lambda: None,
    tick: Tick = lambda: None,
) -> Result:
    """Return one entry of bench/results.json: `value` is CPU of the peer through CPU of ours, 1.0 is equal.

    Both programs and the registrar run already. `ours` and `peer` are µs of CPU per REGISTER, medians. With
    `rate` (REGISTERs a second) instead of as many as possible, each datagram pays for its own wake-up.
    Each has phones of its own users (ours from 1000 on), so that no object has two devices. `warm` returns
    when ours is ready for the clock, after its phones have registered; `tick` is called after each round.
    """
    with ExitStack() as stack:
        stack.enter_context(pinned_load())
        books = [
            Book(each, Load(each.address, registrar, phones=phones, first=first, ground=ground))
            for each, first in ((ours, 1000), (peer, 1000 + phones))
        ]
        for book in books:
            stack.callback(book.load.close)
            log = book.contender.program.log_path
            until(book.load.answers, 30.0, f"a 200 through {book.contender.name}; see {log}")
            book.load.run(max(count, phones))
        warm()
        for number in range(rounds + 1):
            for book in books:
                book.run(count, rate)
            if number:
                tick()
    own, other = (book.rounds() for book in books)
    own_us, other_us = (statistics.median(each["cpu_us"] for each in lines) for lines in (own, other))
    return {
        "value": round(other_us / own_us, 3),
        "unit": "ratio",
        "ours": own_us,
        "peer": other_us,
        "peer_name": f"{peer.name}, CPU µs per REGISTER",
        "rounds": [
            {"ours": one["cpu_us"], "peer": two["cpu_us"], "detail": {ours.name: one, peer.name: two}}
            for one, two in zip(own, other, strict=True)
        ],
    }


def backend(folder: Path, ground: Ground, address: tuple[str, int]) -> Registrar:
    """Return the registrar behind both: Kamailio without digest, one worker, on the load's core."""
    core = [program("taskset"), "-c", str(LOAD_CORE)]
    return Registrar(folder / "registrar", ground, address, digest=False, workers=1, prefix=core)


def kamailio(
    folder: Path, ground: Ground, address: tuple[str, int], to: tuple[str, int], *, stateful: bool = True
) -> Contender:
    """Return Kamailio as a contender, with `t_relay()` or with `forward()`."""
    name = "kamailio t_relay" if stateful else "kamailio forward"
    place = folder / name.replace(" ", "-")
    proxy = Proxy(
        place,
        ground,
        address,
        to,
        stateful=stateful,
        prefix=PINNED,
        memory_mb=KAMAILIO_MEMORY_MB,
        settings=KAMAILIO_SETTINGS,
    )
    return Contender(name, proxy, address)


def register_proxy(
    folder: Path,
    ours: tuple[Sequence[str], tuple[str, int]] | None,
    registrar_port: int = 5061,
    rounds: int = 5,
    count: int = 20_000,
    rate: int | None = None,
) -> Result:
    """Return the result for our command and UDP address; without them Kamailio's `forward()` is "ours"."""
    ground, registrar = Loopback(), ("127.0.0.1", registrar_port)
    with ExitStack() as stack:
        stack.enter_context(backend(folder, ground, registrar))
        peer = kamailio(folder, ground, ("127.0.0.1", registrar_port + 1), registrar)
        if ours is None:
            first = kamailio(folder, ground, ("127.0.0.1", registrar_port + 2), registrar, stateful=False)
        else:
            command, address = ours
            own = Program("ours", [*PINNED, *command], folder / "ours", ground)
            first = Contender("ours", own, address)
        stack.enter_context(first.program)
        stack.enter_context(peer.program)
        return compare(first, peer, registrar, rounds=rounds, count=count, rate=rate)


def main() -> None:
    """Read the command line, measure, write the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for configurations and logs")
    parser.add_argument("--address", help="UDP address of our proxy, HOST:PORT")
    parser.add_argument("--registrar-port", type=int, default=5061, help="of 127.0.0.1; the two after it too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=20_000, help="REGISTERs in a round")
    parser.add_argument("--rate", type=int, help="REGISTERs a second; as many as possible if not given")
    parser.add_argument("command", nargs="*", help="starts our proxy; it must admit users 1000 to 1999")
    given = parser.parse_args()
    ours = None
    if given.command:
        host, _, port = given.address.rpartition(":")
        ours = given.command, (host.strip("[]"), int(port))
    folder = given.folder.absolute()
    result = register_proxy(folder, ours, given.registrar_port, given.rounds, given.count, given.rate)
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
