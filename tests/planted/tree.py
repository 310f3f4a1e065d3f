"""A copy of the sources with one bug in it, and one test run there.

What is compiled already is linked with its source, so that only the changed file is compiled again.
"""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.acceptance.peers.typed import Typist
from tests.planted.bug import Bug

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".cache"  # one file system with the sources: a copy is links
LEFT_OUT = (
    ".git",
    ".venv",
    ".cache",
    ".*_cache",
    ".hypothesis",
    "*.egg-info",
    "build",
    "dist",
    "*.pyc.*",  # being written
)
LIBRARIES = (
    "pytest",
    "pytest_asyncio.plugin",
    "pytest_timeout",
    "hypothesis",
    "fastapi",
    "httpx",
    "structlog",
    "typer",
)
IMPORTED = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
TOLD = re.compile(r"^\d+ (failed|error)", re.MULTILINE)  # Python itself ends with RED, too
RED = 1  # pytest: tests ran, some failed; any other number is not a test that noticed


class PlantError(Exception):
    """The bug cannot be planted: its text is not in the source (any more), or occurs more than once."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the test: `caught` when it ran and failed."""

    caught: bool
    seconds: float
    output: str


@contextmanager
def planted(bug: Bug) -> Iterator[Path]:
    """A tree of its own that has the bug; gone afterwards."""
    PLACE.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="planted-", dir=PLACE) as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, copy_function=os.link, ignore=shutil.ignore_patterns(*LEFT_OUT))
        for file, before, after in bug.changes:
            _replace(tree, file, before, after)
        yield tree


def _replace(tree: Path, file: str, before: str, after: str) -> None:
    path = tree / file
    text = path.read_text()
    count = text.count(before)
    if count != 1:
        raise PlantError(f"{file}: this occurs {count} times, it must be once:\n{before}")
    path.unlink()  # it is a link to the source
    path.write_text(text.replace(before, after))
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
        compiled.unlink()  # known by the time and size of the source, which may be the same


def hunt(bug: Bug) -> Found:
    """Plant the bug and run its test; the programs it starts are those of the planted tree."""
    began = time.monotonic()
    with planted(bug) as tree, TemporaryDirectory(prefix="planted-") as place:
        words = [
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--timeout=0",
            f"--basetemp={place}/of",  # the one that all share is tidied by whoever starts
            *IMPORTED,
            bug.test,
        ]
        environment = {**os.environ, "PLANTED": bug.name, "PYTHONPATH": str(tree)}
        environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_XDIST")}
        done = _typist().end(words, bug.timeout_s, environment=environment, directory=tree, path=[str(tree)])
    late = f"\nno end after {bug.timeout_s} s" if done.returncode == -signal.SIGKILL else ""
    caught = done.returncode == RED and TOLD.search(done.stdout) is not None
    return Found(caught, time.monotonic() - began, f"{done.stdout}{done.stderr}{late}")


@cache
def _typist() -> Typist:
    """Has imported the libraries of the tests, and nothing of ours: that is in the planted trees."""
    return Typist(sys.executable, LIBRARIES)
