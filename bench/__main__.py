"""`make bench`: every figure as a ratio to a peer measured in the same run, all from the shipped programs.

python -m bench                      all of them -> bench/results.json, docs/benchmarks.md
python -m bench storm guard          those whose name contains one of the words
python -m bench --quick              two short rounds each, to see that it works; nothing is written
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import results
from bench.call_records import PEERS, parse_us
from bench.calls import calls
from bench.cdr_burst import agent_rss_mb
from bench.cdr_ingest import ingest
from bench.decisions import decisions
from bench.grants import AGENTS, BATCH, grants
from bench.guard import register_proxy
from bench.held import held
from bench.lenders import etcd, plain, plain_server, row_lock
from bench.memory import memory
from bench.rating import against, peak_rss, rows_per_s
from bench.sip import Result, Tick
from bench.storm import storms
from bench.why import why

PACED = 4_000  # REGISTERs a second: a third of what one core can, so that each datagram wakes the process


class Measure(Protocol):
    """Runs a benchmark in a folder; `tick` is called after each round."""

    def __call__(self, folder: Path, tick: Tick, *, rounds: int) -> Result:
        """Return the entry for bench/results.json."""
        ...


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One figure: its name in the results, and how to take it, with all the time it needs or quickly."""

    name: str
    full: Measure
    rounds: int
    quick: Measure


HOT = "CAS on the counter of one pool"
APART = "a pool for each client, nobody meets anybody"
Measured = partial[Result]


def _master(name: str, measure: Measured, *, rounds: int = 5, operations: int = 3) -> Benchmark:
    """One figure of the licence master beside a lender: 40 syncs of each agent a round, quickly 5."""
    quick = partial(measure, syncs=5, operations=operations)
    return Benchmark(f"master.{name}", partial(measure, syncs=40), rounds, quick)


def _etcd(pools: int, ways: str, what: str, units: int, operations: int = 20) -> Measured:
    described = f"etcd, gRPC, {what}, {ways}; units/s"
    against = partial(etcd, pools=pools, described=described)
    return partial(grants, against=against, operations=operations, units=units)


def _postgresql(what: str, units: int) -> Measured:
    described = f"PostgreSQL, SELECT … FOR UPDATE of the pool, {what}, Unix socket; units/s"
    return partial(grants, against=partial(row_lock, described=described), operations=20, units=units)


ONE, HUNDRED = "lease and transaction for each unit", "100 units a transaction"
PLAIN = partial(grants, against=plain, operations=3_000)  # as long as a round of ours
SERVER = partial(grants, against=plain_server, operations=100)
MASTER = (
    _master("grants_per_s_batch100", partial(PLAIN, unit="grants/s"), rounds=7, operations=200),
    _master("batch_vs_single_commit", PLAIN, rounds=7, operations=200),
    _master("batch_vs_single_commit_server", SERVER),
    _master("batch_vs_etcd_lease", _etcd(1, HOT, ONE, 1)),
    _master("batch_vs_etcd_lease_apart", _etcd(AGENTS, APART, ONE, 1, 200)),
    _master("batch_vs_etcd_batched", _etcd(1, HOT, HUNDRED, BATCH)),
    _master("batch_vs_etcd_batched_apart", _etcd(AGENTS, APART, HUNDRED, BATCH, 40)),
    _master("batch_vs_postgresql_row_lock", _postgresql("one unit a transaction", 1)),
    _master("batch_vs_postgresql_batched", _postgresql(HUNDRED, BATCH)),
)

CALL_RECORDS = tuple(
    Benchmark(
        f"cdr.parse_us.{dialect}",
        partial(parse_us, dialect=dialect),
        5,
        partial(parse_us, dialect=dialect, count=500),
    )
    for dialect in PEERS
)

TEN_MILLION = 10_000_000
RATING = (
    Benchmark(
        "rating.duckdb_vs_python_loop",
        partial(against, peer="loop", count=2_000_000),
        5,
        partial(against, peer="loop", count=20_000),
    ),
    Benchmark(
        "rating.duckdb_vs_scan",
        partial(against, peer="scan", count=TEN_MILLION),
        5,
        partial(against, peer="scan", count=100_000),
    ),
    Benchmark(
        "rating.rows_per_s_10m",
        partial(rows_per_s, count=TEN_MILLION),
        5,
        partial(rows_per_s, count=100_000),
    ),
    Benchmark(
        "rating.peak_rss_mb", partial(peak_rss, count=TEN_MILLION), 3, partial(peak_rss, count=100_000)
    ),
)

BENCHMARKS = (
    *CALL_RECORDS,
    Benchmark("cdr.agent_rss_mb", agent_rss_mb, 3, partial(agent_rss_mb, records=1_000)),
    *RATING,
    Benchmark(
        "cdr.ingest_vs_sqlite_group_commit", partial(ingest, batches=20), 7, partial(ingest, batches=2)
    ),
    Benchmark(
        "guard.register_proxy_vs_kamailio_t_relay",
        partial(register_proxy, count=20_000),
        7,
        partial(register_proxy, count=2_000),
    ),
    Benchmark(
        "guard.register_proxy_vs_kamailio_t_relay_paced",
        partial(register_proxy, count=8_000, rate=PACED),
        5,
        partial(register_proxy, count=2_000, rate=PACED),
    ),
    Benchmark("guard.decision_p99_us", decisions, 5, partial(decisions, count=500, phones=200)),
    Benchmark("guard.calls_vs_kamailio_dialog", partial(calls, count=3_000), 5, partial(calls, count=200)),
    Benchmark("guard.rss_mb_10000_bindings", memory, 8, partial(memory, phones=200)),
    *MASTER,
    Benchmark("master.rss_mb_100000_held_ports", held, 5, partial(held, ports=4_000)),
    Benchmark("master.why_1m_events_ms", why, 9, partial(why, rows=20_000, events=2_000, sites=4)),
    Benchmark("storm.1000_ports_10_agents_s", storms, 5, storms),
    Benchmark(
        "storm.10000_ports_50_agents_s",
        partial(storms, ports=10_000, agents=50),
        5,
        partial(storms, ports=300, agents=20),
    ),
)


def run(chosen: Sequence[Benchmark], console: Console, path: Path | None, *, quick: bool) -> None:
    """Measure what was chosen, show how far it is, and write each result to `path` when it is there."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    found: dict[str, Result] = {}
    with Progress(*columns, console=console) as progress:
        for benchmark in chosen:
            rounds = 2 if quick else benchmark.rounds
            bar = progress.add_task(benchmark.name, total=rounds)
            measure = benchmark.quick if quick else benchmark.full
            with tempfile.TemporaryDirectory(prefix="pbx-bench-") as folder:
                found[benchmark.name] = measure(Path(folder), partial(progress.advance, bar), rounds=rounds)
            if path is not None:
                results.record(benchmark.name, found[benchmark.name], path)
    here = results.machine()
    print(results.markdown({name: {**result, "machine": here} for name, result in found.items()}))


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="any part of a benchmark's name")
    parser.add_argument("--quick", action="store_true", help="two short rounds each; writes nothing")
    parser.add_argument("--results", type=Path, metavar="FILE", help="instead of bench/results.json")
    given = parser.parse_args(words)
    chosen = [
        each for each in BENCHMARKS if not given.names or any(part in each.name for part in given.names)
    ]
    if not chosen:
        parser.error("no benchmark of that name; there are:\n  " + "\n  ".join(b.name for b in BENCHMARKS))
    path = given.results or (None if given.quick else results.PATH)
    run(chosen, Console(stderr=True), path, quick=given.quick)
    if path == results.PATH:
        results.write_document(results.markdown(results.read(path)))


if __name__ == "__main__":
    main()
