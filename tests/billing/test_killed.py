"""B.I3, B.I13, B.r31: killed behind each durable step, and run again, a real process has the same data."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.billing import dying
from tests.billing.desk import DECEMBER, NOVEMBER, ROOT, Desk, cdr
from tests.billing.test_close import per_entity

ENTITIES = 2
Killed = Callable[[Desk, int, str, str], int]
"""Runs a command of a desk until behind this step; its exit code, or minus the signal."""


@pytest.fixture(name="killed", scope="module")
def _killed() -> Iterator[Killed]:
    with process() as asked:

        def run(desk: Desk, step: int, word: str, subject: str) -> int:
            now = "2026-11-01T09:00:00Z" if word == "import" else NOVEMBER
            return asked([step, *desk.arguments(word, subject, now=now)])

        yield run


@contextmanager
def process() -> Iterator[Callable[[list[object]], int]]:
    """The program whose forks die."""
    command = [sys.executable, "-m", dying.__name__]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdin
        assert started.stdout
        into, out = started.stdin, started.stdout

        def asked(question: list[object]) -> int:
            print(json.dumps(question), file=into, flush=True)
            return int(out.readline())

        yield asked
        into.close()


def made(folder: Path, number: int) -> Desk:
    folder.mkdir()
    desk = Desk(folder).write(per_entity(ENTITIES))
    desk.export([cdr(f"c{n}", 1 + n % 90, account=str(200 + n % ENTITIES)) for n in range(number)])
    return desk


def copied(desk: Desk, folder: Path) -> Desk:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(desk.folder, folder)
    return Desk(folder)


def killed_everywhere(
    killed: Killed, start: Desk, word: str, dead: Callable[[Desk], None], again: Callable[[Desk], None]
) -> int:
    """Behind how many steps a command was killed: each time looked at dead, run again, and looked at."""
    step = 0
    while True:
        step += 1
        desk = copied(start, start.folder.with_name("killed"))
        subject = "2026-10" if word == "close" else str(desk.folder / "export.csv")
        code = killed(desk, step, word, subject)
        if code == 0:
            return step - 1
        assert code == -signal.SIGKILL
        dead(desk)
        assert killed(desk, 0, word, subject) == 0
        again(desk)


def standing(desk: Desk) -> object:
    """What the ledger says of its months, and of what waits."""
    told = desk.ask("report")
    return told["periods"], told["suspense"], told["quarantine"]


def nothing(_: Desk) -> None:
    """It is not looked at."""


@pytest.mark.timeout(600)
def test_an_import_killed_behind_each_step(
    tmp_path: Path, killed: Killed, record_property: Callable[[str, object], None]
) -> None:
    """B.I3: sent again, the same totals and the same ratings, before anything is closed."""
    start, whole = made(tmp_path / "start", 2_100), made(tmp_path / "whole", 2_100)
    assert killed(whole, 0, "import", str(whole.folder / "export.csv")) == 0
    expected = standing(whole)

    def again(desk: Desk) -> None:
        assert standing(desk) == expected

    number = killed_everywhere(killed, start, "import", nothing, again)
    assert number >= 5, "three batches, a rating, a note of the import"
    record_property("measured", f"pbx-billing: import killed behind each of {number} steps, then equal")


@pytest.mark.timeout(600)
def test_a_close_killed_behind_each_step(
    tmp_path: Path, killed: Killed, record_property: Callable[[str, object], None]
) -> None:
    """B.I13, B.I14: nothing is issued or all of it; run again, the same numbers, hashes and files."""
    start = made(tmp_path / "start", 40)
    assert killed(start, 0, "import", str(start.folder / "export.csv")) == 0
    whole = copied(start, tmp_path / "whole")
    assert killed(whole, 0, "close", "2026-10") == 0
    expected, files = whole.ask("close", "2026-10", now=DECEMBER), whole.files()
    numbers = [f"F2026-10-{n:04}" for n in range(1, ENTITIES + 1)]
    assert sorted(expected["documents"]) == numbers
    told = standing(whole)

    def dead(desk: Desk) -> None:
        issued = [each["number"] for each in desk.ask("invoice", now=None)]
        assert issued in ([], numbers)
        assert issued or not (desk.artefacts / "2026-10").exists()

    def again(desk: Desk) -> None:
        assert desk.ask("close", "2026-10", now=DECEMBER) == expected
        assert desk.files() == files
        assert standing(desk) == told

    number = killed_everywhere(killed, start, "close", dead, again)
    assert number > len(files), "each file is a step, and so are commit and rename"
    record_property("measured", f"pbx-billing: close killed behind each of {number} steps, then equal")
