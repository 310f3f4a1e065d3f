"""Quiet services while they are simulated."""

from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.services.run import quiet


@pytest.fixture(autouse=True)
def quiet_services() -> Iterator[None]:
    """Log lines of simulated services go nowhere."""
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)
