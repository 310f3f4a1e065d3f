"""The two clocks of a program as two types, so that nobody adds one to the other."""

import time
from typing import NewType, Protocol

Monotonic = NewType("Monotonic", int)
"""Milliseconds of a clock that never jumps; means nothing outside this boot."""

Wall = NewType("Wall", int)
"""UTC milliseconds since 1970; dates records and is never part of a safety argument."""


class Clock(Protocol):
    """Where an edge takes the time from before it calls a pure core."""

    def monotonic_ms(self) -> Monotonic:
        """Now, for timers and expiries."""
        ...

    def wall_ms(self) -> Wall:
        """Now, for records that people read."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def monotonic_ms(self) -> Monotonic:
        """Now, for timers and expiries."""
        return Monotonic(time.monotonic_ns() // 1_000_000)

    def wall_ms(self) -> Wall:
        """Now, for records that people read."""
        return Wall(time.time_ns() // 1_000_000)
