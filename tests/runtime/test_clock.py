"""The clocks count whole milliseconds."""

from runtime.clock import Clock, SystemClock


def test_monotonic_time_never_falls_and_wall_time_is_of_this_age() -> None:
    clock: Clock = SystemClock()
    readings = [clock.monotonic_ms() for _ in range(100)]
    assert readings == sorted(readings)
    assert 1_600_000_000_000 < clock.wall_ms() < 10_000_000_000_000
