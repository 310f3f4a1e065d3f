"""What rating costs: calls in Parquet to rated rows in Parquet, beside reading them and beside a Python loop.

The calls are made of their numbers (no randomness): 8,500 lines, a fifth of them with a basket, 5,000 nested
prefixes, three months. All runs of a round take turns in one process; RSS is that of a process of its own.
Engine and loop make the same rows of the same file, and begin with the tariffs as objects.
"""

import datetime
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb

from bench.rating_loop import loop
from bench.sip import Result, Tick
from billing.core.offer import Basket, Offer, OfferKind
from billing.core.tariff import CUSTOMER, Row, Tariff
from billing.service.engine import Prices
from billing.service.runners import DuckDb

LINES: Final = 8_500
DAY: Final = datetime.date(2026, 10, 1).toordinal()
_CALLS: Final = """
COPY (
  SELECT 'c' || i AS key, 'l' || i % {lines} AS line,
    CASE WHEN i % {lines} % 5 = 0 THEN 'flat' ELSE 'pay_per_use' END AS offer, 'voice' AS kind,
    '+33' || (1 + hash(i) % 9) || lpad(CAST(hash(i + 1) % 100000000 AS VARCHAR), 8, '0') AS number,
    CAST(1790812800000 + i * 7951200000 // {count} AS BIGINT) AS answer_ms,
    CAST({day} + i * 92 // {count} AS INTEGER) AS day,
    CAST(202610 + i * 3 // {count} AS INTEGER) AS period, CAST(0 AS INTEGER) AS late,
    CAST(CASE WHEN hash(i + 2) % 100 < 18 THEN 0 ELSE 1 + hash(i + 3) % 600 END AS BIGINT) AS seconds
  FROM range({count}) AS made(i)
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


def prices() -> Prices:
    """Two levels of 5,000 nested prefixes each, and one offer with a basket."""
    rows = []
    for number in range(1, 5_000):
        prefix, mobile = f"+33{number}", str(number)[0] in "67"
        if "0" in prefix[3:4]:
            continue
        class_, first = "FR_MOBILE" if mobile else "FR_FIXE", 1 + 29 * (number % 3)
        rows.append(Row(prefix, class_, per_minute=10**6 * (10 + number % 37), first=first))
    resale = [Row(row.prefix, row.class_, per_minute=row.per_minute * 6 // 10) for row in rows]
    flat = Offer("flat", OfferKind.FLAT_ON_CONSUMPTION, baskets=(Basket("mobile", ("FR_MOBILE",), 100),))
    return Prices((Tariff(CUSTOMER, tuple(rows)), Tariff("resale", tuple(resale))), {"flat": flat})


def make(path: Path, count: int) -> None:
    """Write so many calls as Parquet."""
    duckdb.sql(_CALLS.format(count=count, path=path, lines=LINES, day=DAY))


def rate(path: Path) -> Path:
    """Rate a file of calls by the engine; the file of rated rows."""
    priced, rated = prices(), path.with_name("rated.parquet")
    DuckDb().rate_file(priced.expression, path, priced.tables(), rated)
    return rated


def scan(path: Path) -> None:
    """Read every column of every call; what Parquet's own statistics could answer is not asked."""
    texts = (f"sum(length({name}))" for name in ("key", "line", "offer", "kind", "number"))
    numbers = (f"sum({name})" for name in ("answer_ms", "day", "period", "late", "seconds"))
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.sql(f"SELECT {', '.join((*texts, *numbers))} FROM '{path}'").fetchall()


def by_loop(path: Path) -> Path:
    """Rate a file of calls by the loop; the file of rated rows."""
    return loop(path, prices())


def same(ours: Path, peer: Path, count: int) -> bool:
    """Whether both files have the same rows, one for each call."""
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        rows = connection.sql(f"SELECT count(*) FROM '{ours}'").fetchall()
        differing = [
            connection.sql(f"SELECT count(*) FROM (FROM '{a}' EXCEPT ALL FROM '{b}')").fetchall()
            for a, b in ((ours, peer), (peer, ours))
        ]
    return rows == [(count,)] and differing == [[(0,)]] * 2


PEERS: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "loop": (by_loop, "a Python loop from and to the same files"),
    "scan": (scan, "DuckDB reading all columns"),
}


def _timed(work: Callable[[Path], object], path: Path) -> tuple[float, float]:
    """Seconds, and seconds of CPU."""
    begun, used = time.perf_counter(), time.process_time()
    work(path)
    return time.perf_counter() - begun, time.process_time() - used


def against(folder: Path, tick: Tick, *, rounds: int, peer: str, count: int) -> Result:
    """Return the ratio of calls a second: the engine's to the peer's (`loop` or `scan`) on the same file."""
    path = folder / "calls.parquet"
    make(path, count)
    if peer == "loop":
        assert same(rate(path), by_loop(path), count), "the peer does not agree"
    work, name = PEERS[peer]
    lines: list[dict[str, Any]] = []
    for _ in range(rounds):
        (ours, our_cpu), (theirs, their_cpu) = _timed(rate, path), _timed(work, path)
        line = {"ours": round(count / ours), "peer": round(count / theirs), "value": round(theirs / ours, 4)}
        detail = {"cpu_s": {"ours": round(our_cpu, 3), "peer": round(their_cpu, 3)}}
        lines.append({**line, "detail": detail, "load": round(os.getloadavg()[0], 1)})
        tick()
    return {
        "value": round(statistics.median(line["value"] for line in lines), 3),
        "unit": "ratio",
        "ours": round(statistics.median(line["ours"] for line in lines)),
        "peer": round(statistics.median(line["peer"] for line in lines)),
        "peer_name": f"{name}; {count} calls, two levels, calls/s",
        "rounds": lines,
    }


def rows_per_s(folder: Path, tick: Tick, *, rounds: int, count: int) -> Result:
    """Return calls rated a second, two levels each; the peer reads all columns."""
    found = against(folder, tick, rounds=rounds, peer="scan", count=count)
    return {**found, "value": found["ours"], "unit": "calls/s"}


def peak_rss(folder: Path, tick: Tick, *, rounds: int, count: int) -> Result:
    """Return the most memory, MB, of a process that rates; the peer's only reads all columns."""
    path = folder / "calls.parquet"
    make(path, count)
    lines = []
    for _ in range(rounds):
        lines.append({"ours": _peak("rate", path), "peer": _peak("scan", path)})
        tick()
    ours = statistics.median(line["ours"] for line in lines)
    return {
        "value": ours,
        "unit": "MB",
        "ours": ours,
        "peer": statistics.median(line["peer"] for line in lines),
        "peer_name": f"DuckDB reading all columns; {count} calls, a process each",
        "rounds": lines,
    }


def _peak(work: str, path: Path) -> int:
    """The high-water mark of a new process, MB; getrusage would give it that of its parent."""
    text = (
        "import re, sys; from pathlib import Path; from bench import rating;"
        f"rating.{work}(Path(sys.argv[1]));"
        "found = re.search(r'VmHWM:\\s+([0-9]+)', Path('/proc/self/status').read_text());"
        "print(int(found[1]) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", text, str(path)], check=True, capture_output=True, text=True)
    return int(done.stdout)
