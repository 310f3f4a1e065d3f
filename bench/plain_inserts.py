"""The same call records into a table, one transaction a batch: `python -m bench.plain_inserts FILE`.

WAL and synchronous=FULL, unique by their key, no network, no signature, no hash; the rows are made before the
clock starts. It answers rounds (worker.py) and is one client, which is its server too.
"""

import sqlite3
import sys
import time

import msgspec

from bench.cdr_rows import records
from bench.worker import summary
from telephony.cdr.columns import COLUMNS

NAMES = [column.name for column in COLUMNS]
SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE call ({", ".join(NAMES)}, UNIQUE (source, call_ref, leg));
"""
INSERT = " ".join(("INSERT OR IGNORE INTO call VALUES (", ", ".join("?" * len(NAMES)), ")"))


def main() -> None:
    """Answer rounds."""
    database = sqlite3.connect(sys.argv[1], isolation_level=None)
    database.executescript(SCHEMA)
    print("ready", flush=True)
    made = 0
    for line in sys.stdin:
        count, units = map(int, line.split())
        latencies_s = []
        for _ in range(count):
            rows = [tuple(getattr(each, name) for name in NAMES) for each in records("lyon", made, units)]
            made += units
            began = time.perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.executemany(INSERT, rows)
            database.execute("COMMIT")
            latencies_s.append(time.perf_counter() - began)
        print(msgspec.json.encode(summary(latencies_s, count * units, sum(latencies_s))).decode(), flush=True)
    (kept,) = database.execute("SELECT count(*) FROM call").fetchone()
    assert kept == made, f"{made} rows were inserted, {kept} are there"


if __name__ == "__main__":
    main()
