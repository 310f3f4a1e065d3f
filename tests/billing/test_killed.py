"""B.I3, B.I13, B.r31 on the real process: killed at any moment, and run again, it has the same data."""

import contextlib
import random
import signal
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
    desk.export([cdr(f"c{n}", 1 + n % 90, account=str(200 + n % ENTITIES)) for n in range(4_000)])
    return desk


def told(desk: Desk) -> tuple[object, ...]:
    """Everything that was rated and issued."""
    closed = desk.ask("close", "2026-10")
    return closed["hash"], closed["documents"], closed["artefacts"], desk.ask("report", "2026-10")["periods"]


def size(desk: Desk) -> int:
    """Bytes of the store and of all artefacts, as far as they are there."""
    found = 0
    for path in (desk.folder / "data").rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found += path.stat().st_size
    return found


def run_until(desk: Desk, word: str, subject: str, now: str, grown: int) -> bool:
    """Run it until there are so many bytes, then kill it; whether it had to be killed."""
    process = desk.started(word, subject, now=now)
    while process.poll() is None and size(desk) < grown:
        time.sleep(0.002)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def test_killed_ten_times(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Five times while it imports 4,000 records, five times while it closes 20 invoices."""
    chosen = random.Random(47)
    whole, desk = made(tmp_path / "whole"), made(tmp_path / "killed")
    killed = 0
    for word, now in (("import", "2026-11-01T09:00:00Z"), ("close", NOVEMBER)):
        subject = "2026-10" if word == "close" else str(whole.folder / "export.csv")
        before = size(whole)
        assert whole.do(word, subject, now=now).exit_code == 0
        # Least growth first: what a run has finished, the next one does not do again.
        for grown in sorted(chosen.randint(before + 1, size(whole)) for _ in range(KILLS // 2)):
            killed += run_until(desk, word, subject, now, grown)
        assert desk.do(word, subject, now=now).exit_code == 0
    record_property("measured", f"pbx-billing: killed {killed} times on its way, then equal")
    assert killed >= KILLS // 2, "it ends before it is killed: no proof"
    assert told(desk) == told(whole)
    assert desk.files() == whole.files()
