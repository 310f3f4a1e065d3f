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
from bench.decisions import decisions
from bench.grants import grants
from bench.guard import register_proxy
from bench.memory import memory
from bench.sip import Result, Tick
from bench.storm import storms

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


BENCHMARKS = (
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
    Benchmark("guard.rss_mb_10000_bindings", memory, 8, partial(memory, phones=200)),
    Benchmark(
        "master.grants_per_s_batch100",
        partial(grants, syncs=40, operations=500),
        7,
        partial(grants, syncs=5, operations=200),
    ),
    Benchmark("storm.1000_ports_10_agents_s", storms, 5, storms),
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
    print(results.markdown({"machine": results.machine(), "results": found}))


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
