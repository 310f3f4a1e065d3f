"""`licence-master why` and `denials` over a million activity rows, beside grep in a file of the same events.

Each round starts `serve` anew on the same store and asks as a person does, by a new process of the command
through the Unix socket; then over HTTPS with a token, and by the socket alone. The store's pages are in the
system's cache. A round counts as the slower one of the two commands. The first start replays 200,000 ledger
events, the others begin from the snapshot that a stop leaves.
"""

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from bench.grants import AGENTS
from bench.sip import Result, Tick
from bench.world import ROOT, master
from tests.acceptance.house import INSTALLATION, House
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.network import Network, program

ROWS, EVENTS, OBJECTS = 1_000_000, 200_000, 20_000
YEAR_MS = 365 * 86_400_000
PATIENCE_S = 300.0


def why(
    folder: Path, tick: Tick, *, rounds: int, rows: int = ROWS, events: int = EVENTS, sites: int = AGENTS
) -> Result:
    """Return the result: ms from the start of the command to its end."""
    with Network(folder) as network:
        house = master(network, sites, OBJECTS // 2)
        store = _filled(house, rows, events)
        names = _refused(store, rounds)
        log = _as_log(store, folder / "activity.jsonl")
        replayed = _started_ms(house)
        lines: list[dict[str, Any]] = []
        for name in names:
            house.master.end(PATIENCE_S)
            started = _started_ms(house)
            asked = _asked(house, name)
            detail = {"start_ms": started, "first_start_ms": replayed, **asked}
            slower = max(asked["why_ms"], asked["denials_ms"])
            lines.append({"ours": slower, "peer": _grep_ms(log, name), "detail": {"licence-master": detail}})
            tick()
    ours = round(statistics.median(line["ours"] for line in lines))
    return {
        "value": ours,
        "unit": "ms",
        "ours": ours,
        "peer": round(statistics.median(line["peer"] for line in lines)),
        "peer_name": f"grep of an object's name in {rows:,} events as JSON lines, ms",
        "rounds": lines,
    }


def _asked(house: House, name: str) -> dict[str, int]:
    """The questions in their order: the first one finds a process that has answered nothing yet."""
    return {
        "why_ms": _ms(lambda: house.command("why", name)),
        "denials_ms": _ms(lambda: house.command("denials")),
        "why_https_ms": _ms(lambda: _by_https(house, name)),
        "why_answer_ms": _ms(lambda: house.get(f"why/{name}")),
        "denials_answer_ms": _ms(lambda: house.get("denials")),
    }


def _filled(house: House, rows: int, events: int) -> Path:
    """The store with a year's past in it; the master does not run."""
    house.master.end()
    store = house.folder / "data" / "installations" / INSTALLATION / "ledger.db"
    now = time.time_ns() // 1_000_000
    words = [str(store), *map(str, (rows, events, OBJECTS, now - YEAR_MS, now))]
    subprocess.run([sys.executable, "-m", "bench.filled", *words], cwd=ROOT, check=True, capture_output=True)
    with closing(sqlite3.connect(store)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM activity").fetchall()
    assert count >= rows, f"{count} rows were written"
    return store


def _refused(store: Path, count: int) -> list[str]:
    """Objects whose last news is a refusal: the answer has to look for what was denied."""
    sql = (
        "SELECT object FROM (SELECT object, event, max(at_ms) FROM activity GROUP BY object)"
        " WHERE event = 'refused' ORDER BY object LIMIT ?"
    )
    with closing(sqlite3.connect(store)) as connection:
        names = [str(name) for (name,) in connection.execute(sql, (count,))]
    assert len(names) == count, "not enough objects were refused last"
    return names


def _as_log(store: Path, path: Path) -> Path:
    """What somebody without this product would look into."""
    columns = ("agent", "at_ms", "object", "kind", "class", "event", "code")
    sql = f"SELECT {', '.join(columns)} FROM activity ORDER BY id"
    with closing(sqlite3.connect(store)) as connection, path.open("wb") as file:
        for row in connection.execute(sql):
            file.write(msgspec.json.encode(dict(zip(columns, row, strict=True))) + b"\n")
    return path


def _started_ms(house: House) -> int:
    def start() -> None:
        house.master.launch()
        house.master.wait_for("master.ready", PATIENCE_S)

    return _ms(start)


def _by_https(house: House, name: str) -> None:
    """The same question from another host: TLS and a token."""
    token = house.folder / "data" / "keys" / "admin.token"
    words = ["--url", f"https://{house.host}:8444", "--token-file", str(token), "--config", str(house.config)]
    house.network.run([own_command("licence-master"), "why", name, *words])


def _grep_ms(log: Path, name: str) -> int:
    words = [program("grep"), "--fixed-strings", f'"{name}"', str(log)]
    return _ms(lambda: subprocess.run(words, check=True, capture_output=True))


def _ms(what: Callable[[], object]) -> int:
    began = time.monotonic_ns()
    what()
    return (time.monotonic_ns() - began) // 1_000_000
