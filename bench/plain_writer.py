"""A licence server's writer as open-source ones are written: one unit an operation, two commits each.

`python -m bench.plain_writer FILE` answers rounds (worker.py); it is one client, which is its server too.
SQLite with WAL and synchronous=FULL, no network, no signature: everything but the commits is left out in its
favour.
"""

import sqlite3
import sys
import time

import msgspec

from bench.worker import summary

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE pool (name TEXT PRIMARY KEY, capacity INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE TABLE lease (id INTEGER PRIMARY KEY, pool TEXT NOT NULL, holder TEXT NOT NULL, since_ms INTEGER);
CREATE TABLE audit (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, holder TEXT NOT NULL, event TEXT);
INSERT INTO pool VALUES ('port', 1000000000, 0);
"""
CLAIM = "UPDATE pool SET used = used + 1 WHERE name = 'port' AND used < capacity"
LEASE = "INSERT INTO lease (pool, holder, since_ms) VALUES ('port', ?, ?)"
AUDIT = "INSERT INTO audit (at_ms, holder, event) VALUES (?, ?, 'held')"


def lend(database: sqlite3.Connection, holder: str) -> None:
    """One operation: the lease in one transaction, its event in the next."""
    at_ms = time.time_ns() // 1_000_000
    database.execute("BEGIN IMMEDIATE")
    claimed = database.execute(CLAIM).rowcount
    assert claimed == 1, "the pool is large enough"
    database.execute(LEASE, (holder, at_ms))
    database.execute("COMMIT")
    database.execute("BEGIN IMMEDIATE")
    database.execute(AUDIT, (at_ms, holder))
    database.execute("COMMIT")


def main() -> None:
    """Answer rounds; the units of an operation are one, whatever is asked for."""
    database = sqlite3.connect(sys.argv[1], isolation_level=None)
    database.executescript(SCHEMA)
    print("ready", flush=True)
    for line in sys.stdin:
        count, _ = map(int, line.split())
        latencies_s = []
        for number in range(count):
            began = time.perf_counter()
            lend(database, f"phone-{number}")
            latencies_s.append(time.perf_counter() - began)
        print(msgspec.json.encode(summary(latencies_s, count, sum(latencies_s))).decode(), flush=True)


if __name__ == "__main__":
    main()
