"""B.I3, B.I13, B.r31 on the real process: killed at any moment, and run again, it has the same data."""

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.billing.desk import NOVEMBER, Desk, cdr
from tests.billing.test_close import per_entity

KILLS = 10
ENTITIES = 20


def made(folder: Path) -> Desk:
    folder.mkdir()
    desk = Desk(folder).write(per_entity(ENTITIES))
    desk.export([cdr(f"c{n}", 1 + n % 90, account=str(200 + n % ENTITIES)) for n in range(1_500)])
    return desk


def told(desk: Desk) -> tuple[object, ...]:
    """Everything that was rated and issued."""
    closed = desk.ask("close", "2026-10")
    return closed["hash"], closed["documents"], closed["artefacts"], desk.ask("report", "2026-10")["periods"]


def run_until(desk: Desk, word: str, subject: str, now: str, seconds: float | None) -> float:
    """Run it; from the moment when it has the store for so long, then kill it. How long it had the store."""
    process = desk.started(word, subject, now=now)
    lock = desk.folder / "data" / "billing.db.lock"
    while process.poll() is None and not (lock.exists() and lock.read_text().strip() == str(process.pid)):
        time.sleep(0.002)
    begun = time.monotonic()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return time.monotonic() - begun


def test_killed_ten_times(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Five times while it imports 1,500 records, five times while it closes 20 invoices."""
    chosen = random.Random(47)
    whole, desk = made(tmp_path / "whole"), made(tmp_path / "killed")
    ended = 0
    for word, now in (("import", "2026-11-01T09:00:00Z"), ("close", NOVEMBER)):
        subject = "2026-10" if word == "close" else str(whole.folder / "export.csv")
        lasts = run_until(whole, word, subject, now, None)
        for _ in range(KILLS // 2):
            ended += run_until(desk, word, subject, now, chosen.uniform(0, lasts)) < lasts
        assert desk.do(word, subject, now=now).exit_code == 0
    record_property("measured", f"pbx-billing: {ended} of {KILLS} killed before the time that it takes")
    assert told(desk) == told(whole)
    assert desk.files() == whole.files()
