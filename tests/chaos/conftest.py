"""What every chaos test stands on: the network of the acceptance tests, and a seed that a failure prints.

`SEED=N` repeats the run that failed; `CHAOS=1` draws a new one each time and runs for long.
"""

import os
import random
from collections.abc import Generator

import pytest

from tests.acceptance.conftest import network, pytest_runtest_setup
from tests.acceptance.conftest import pytest_runtest_makereport as _logs_of_failures

__all__ = ["network", "pytest_runtest_setup"]

CHAOS = bool(os.environ.get("CHAOS"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32) if CHAOS else 20_261_124))


@pytest.fixture
def seed() -> int:
    """The seed of this run."""
    return SEED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure: the logs, and the command that replays it."""
    report = yield from _logs_of_failures(item)
    if report.failed and "seed" in getattr(item, "fixturenames", ()):
        chaos = "CHAOS=1 " if CHAOS else ""
        command = f"{chaos}SEED={SEED} .venv/bin/python -m pytest '{item.nodeid}'"
        report.sections.append(("replay", command))
    return report
