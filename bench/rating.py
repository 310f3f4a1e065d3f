"""What rating costs: calls in Parquet, priced at two levels, beside reading them and beside a Python loop.

The calls are made of their numbers (no randomness): 8,500 lines, a fifth of them with a basket, 5,000 nested
prefixes, three months. All runs of a round take turns in one process; RSS is that of a process of its own.
"""

import datetime
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb

from bench.sip import Result, Tick
from billing.core.offer import Basket, Offer, OfferKind
from billing.core.tariff import CUSTOMER, Row, Tariff
from billing.service.engine import Prices
from billing.service.runners import DuckDb

Json = dict[str, Any]

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


def rate(path: Path) -> tuple[int, int, int]:
    """(calls, customer's micro-euro, resale micro-euro) by the engine."""
    priced = prices()
    rated = priced.expression
    wanted = rated.aggregate(calls=rated.count(), customer=rated.price_0.sum(), resale=rated.price_1.sum())
    found = DuckDb().run_file(wanted, path, priced.tables()).to_pylist()[0]
    return int(found["calls"]), int(found["customer"]), int(found["resale"])


def scan(path: Path) -> None:
    """Read every column of every call; what Parquet's own statistics could answer is not asked."""
    texts = (f"sum(length({name}))" for name in ("key", "line", "offer", "kind", "number"))
    numbers = (f"sum({name})" for name in ("answer_ms", "day", "period", "late", "seconds"))
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.sql(f"SELECT {', '.join((*texts, *numbers))} FROM '{path}'").fetchall()


def loop(path: Path) -> tuple[int, int, int]:
    """The same in plain Python, as people write it: a dict of prefixes, calls in order of answer."""
    priced = prices()
    tables = [{row.prefix: row for row in tariff.rows} for tariff in priced.tariffs]
    left: dict[tuple[str, int], int] = {}
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        calls = connection.sql(f"SELECT * FROM '{path}' ORDER BY answer_ms, key").to_arrow_table().to_pylist()
    sums = [0, 0]
    for call in calls:
        _price(call, tables, left, sums)
    return len(calls), sums[0], sums[1]


def _price(
    call: Json, tables: list[dict[str, Row]], left: dict[tuple[str, int], int], sums: list[int]
) -> None:
    seconds, number = call["seconds"], call["number"]
    if not seconds:
        return
    for level, table in enumerate(tables):
        row = next(table[number[:end]] for end in range(7, 2, -1) if number[:end] in table)
        billed = row.first + -(-max(0, seconds - row.first) // row.next) * row.next
        if level == 0 and call["offer"] == "flat" and row.class_ == "FR_MOBILE":
            key = call["line"], call["period"]
            taken = min(billed, left.get(key, 6_000))
            left[key] = left.get(key, 6_000) - taken
            billed -= taken
        sums[level] += (2 * row.per_minute * billed + 60_000) // 120_000


PEERS: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "loop": (loop, "a Python loop over the same file"),
    "scan": (scan, "DuckDB reading all columns"),
}


def _timed(work: Callable[[Path], object], path: Path) -> float:
    begun = time.perf_counter()
    work(path)
    return time.perf_counter() - begun


def against(folder: Path, tick: Tick, *, rounds: int, peer: str, count: int) -> Result:
    """Return the ratio of calls a second: the engine's to the peer's (`loop` or `scan`) on the same file."""
    path = folder / "calls.parquet"
    make(path, count)
    if peer == "loop":
        assert rate(path) == loop(path), "the peer does not agree"
    work, name = PEERS[peer]
    lines = []
    for _ in range(rounds):
        ours, theirs = count / _timed(rate, path), count / _timed(work, path)
        lines.append({"ours": round(ours), "peer": round(theirs), "value": round(ours / theirs, 4)})
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
