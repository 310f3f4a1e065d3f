"""How long stateful property tests run (reliability.md, section 4): in `make test`, and in `make chaos`."""

import os

from hypothesis import HealthCheck, settings

CHAOS = bool(os.environ.get("CHAOS"))

MACHINE = settings(
    max_examples=20_000 if CHAOS else 500,
    stateful_step_count=100 if CHAOS else 50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
