"""Property tests run the same examples each time; `make chaos` draws new ones and prints what failed.

No example has a deadline by the clock: they take what others leave of the processors (Makefile).
A planted bug (tests/planted) only has to be noticed: then no shortest example is looked for.
"""

import os
import sys
from collections import Counter
from collections.abc import Generator

import pytest
from hypothesis import Phase, settings

from tests.alone import room_of_this_run

settings.register_profile("steady", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("chaos", print_blob=True, deadline=None)
settings.register_profile("planted", derandomize=True, phases=[Phase.explicit, Phase.generate], deadline=None)
settings.load_profile(
    "planted" if os.environ.get("PLANTED") else "chaos" if os.environ.get("CHAOS") else "steady"
)


ROOM = room_of_this_run()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait until a test that says `alone` is, before its time runs."""
    if ROOM is None:
        return (yield)
    with ROOM.entered(alone=item.get_closest_marker("alone") is not None):
        return (yield)


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    if ROOM is not None:
        ROOM.leave()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In the long runs say how far they are: `record_property("progress", "…")`."""
    if os.environ.get("CHAOS") and report.when == "call" and "PYTEST_XDIST_WORKER" not in os.environ:
        for name, value in report.user_properties:
            if name == "progress":
                print(f"\n{value}", file=sys.stderr, flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured: `record_property("measured", "…")`, and what their shards add up to."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    simulated: Counter[str] = Counter()
    for report in reports:
        for name, value in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(str(value))
            elif name == "simulated" and isinstance(value, dict):
                simulated.update(value)
    if simulated:
        terminalreporter.write_line(
            f"simulated: {simulated['seeds']:,} seeds, {simulated['virtual_s'] / 3_600:.1f} virtual hours, "
            f"{simulated['steps']:,} steps ({simulated['steps'] / simulated['cpu_s']:,.0f} a CPU second), "
            f"{simulated['ticks']:,} looks at the invariants, {simulated['cpu_s']:.0f} CPU s"
        )
