"""Quiet services while they are simulated."""

from collections.abc import Iterator

import pytest

from runtime.logs import EVENTS
from tests.simulation.services.run import quiet


@pytest.fixture(autouse=True)
def quiet_services() -> Iterator[None]:
    """Log lines of simulated services go nowhere."""
    before = EVENTS.level
    quiet()
    yield
    EVENTS.setLevel(before)
