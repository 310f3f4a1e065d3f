"""A month of call records goes out, and into the archive, in bounded memory: 100,000 (CHAOS: 10 million)."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from telephony.cdr.columns import COLUMNS
from tests.licence_master.master import STARTED, Master
from tests.licence_master.recorder import record

LONG = bool(os.environ.get("CHAOS"))
ROWS = 10_000_000 if LONG else 100_000
END_MS = 1_793_880_000_000  # 2026-11-05T12:00Z
RAW = bytes(range(256)) * 2
EXPORT_MB = 16
ARCHIVE_MB = 400  # DuckDB itself, its 256 MB, and a part's lines on their way


def filled(index: Path) -> None:
    """So many records, written past the master."""
    names = [column.name for column in COLUMNS]
    one = record("lyon", "", end_ms=END_MS)
    values = {name: getattr(one, name) for name in names} | {"raw": RAW}

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(ROWS):
            yield tuple((values | {"call_ref": f"c{number}", "end_ms": END_MS + number % 1_000}).values())

    with closing(sqlite3.connect(index)) as store, store:
        places = ", ".join("?" * len(names))
        store.executemany(
            " ".join(("INSERT INTO call (", ", ".join(names), ") VALUES (", places, ")")), rows()
        )


def peak_mb(process: int) -> int:
    """The most memory that this process ever had."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1_024


@pytest.mark.timeout(14_400 if LONG else 180)
def test_a_month_goes_out_in_bounded_memory(tmp_path: Path) -> None:
    made = Master(tmp_path)
    made.prefix = STARTED
    with made.config.open("a") as config:  # else it begins beside a long export
        config.write("    calls: {archive: false}\n")
    with made.init() as master:
        filled(master.ledger().with_name("calls.db"))
        master.start()
        master.ask("/pools")  # the admin API is made
        before = peak_mb(master.pid)
        counted = 0
        with (
            master.api() as api,
            api.stream(
                "GET", "/installations/acme/calls", params={"from_ms": END_MS, "to_ms": END_MS + 1_000}
            ) as coming,
        ):
            assert int(coming.headers["X-Rows"]) == ROWS
            for chunk in coming.iter_bytes():
                counted += chunk.count(b"\n")
        assert counted == ROWS
        exported = peak_mb(master.pid)
        assert exported - before < EXPORT_MB
        with master.api() as api:
            done = api.post("/installations/acme/calls/archive", json={}, timeout=None).json()
        assert done["rows"] == ROWS
        assert peak_mb(master.pid) - before < ARCHIVE_MB
