"""Property tests run the same examples each time; `make chaos` draws new ones and prints what failed."""

import os

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, print_blob=True)
settings.register_profile("chaos", print_blob=True)
settings.load_profile("chaos" if os.environ.get("CHAOS") else "steady")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured: `record_property("measured", "…")`."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    for report in reports:
        for name, value in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(str(value))
