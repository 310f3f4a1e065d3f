"""What every acceptance test stands on: a network of its own, loud skips, logs of failed tests."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.peers.network import NamespaceRefusedError, Network, program

LOG_TAIL = 4000
FOLDER = pytest.StashKey[Path]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip loudly what `@pytest.mark.real("kamailio", …)` names and this machine does not have."""
    for mark in item.iter_markers("real"):
        for name in mark.args:
            try:
                program(name)
            except FileNotFoundError as missing:
                pytest.skip(f"NOT RUN: {missing}")


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    """A namespace that lives as long as the test; what `network.start` began ends before it."""
    request.node.stash[FOLDER] = tmp_path
    try:
        with Network(tmp_path) as made:
            yield made
    except NamespaceRefusedError as refused:
        pytest.skip(f"NOT RUN: {refused}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of every program's log with a failed test."""
    report = yield
    folder = item.stash.get(FOLDER, None)
    if report.failed and folder is not None:
        for log in sorted(folder.rglob("*.log")):
            report.sections.append(
                (str(log.relative_to(folder)), log.read_text(errors="replace")[-LOG_TAIL:])
            )
    return report
