"""How long stateful property tests run (reliability.md, section 4): in `make test`, and in `make chaos`.

`make test` runs those of the SIP core twice: all of them as it ships, a tenth on its sources (decision 0013).
"""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

CHAOS = bool(os.environ.get("CHAOS"))
SHIPPED = Path(sys.prefix) == Path(__file__).parents[1] / ".cache" / "compiled"  # what `make compiled` built
ALL = CHAOS or SHIPPED or bool(os.environ.get("PLANTED"))  # a planted bug is in the sources

MACHINE = settings(
    max_examples=20_000 if CHAOS else 500,
    stateful_step_count=100 if CHAOS else 50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def examples(count: int) -> int:
    """How many of these the SIP core is tried with here."""
    return count if ALL else count // 10
