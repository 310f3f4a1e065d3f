"""What every acceptance test stands on: a network of its own, loud skips, logs of failed tests."""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.peers import asterisk, kamailio
from tests.acceptance.peers.network import NamespaceRefusedError, Network, program

LOG_TAIL = 4000
# What is no program on the path.
FOUND: dict[str, Callable[[], object]] = {
    "asterisk": asterisk.root,
    "presence_reginfo": partial(kamailio.module, "presence_reginfo", "kamailio-presence-modules"),
}
SURPRISE = b"Traceback (most recent call last)"
FOLDER = pytest.StashKey[Path]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip loudly what `@pytest.mark.real("kamailio", …)` names and this machine does not have."""
    for mark in item.iter_markers("real"):
        for name in mark.args:
            try:
                FOUND.get(name, partial(program, name))()
            except FileNotFoundError as missing:
                pytest.skip(f"NOT RUN: {missing}")


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    """A namespace that lives as long as the test; what `network.start` began ends before it."""
    request.node.stash[FOLDER] = tmp_path
    try:
        with Network(tmp_path) as made:
            yield made
        if request.node.get_closest_marker("surprises") is None:
            assert_no_surprise(tmp_path)
    except NamespaceRefusedError as refused:
        pytest.skip(f"NOT RUN: {refused}")


def assert_no_surprise(folder: Path) -> None:
    """No program that ran logged an uncaught exception, at debug level or any other."""
    for log in sorted(folder.rglob("*.log")):
        found = log.read_bytes()
        at = found.find(SURPRISE)
        assert at < 0, (
            f"{log.relative_to(folder)}: {found[max(0, at - 400) : at + 3_000].decode(errors='replace')}"
        )


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
