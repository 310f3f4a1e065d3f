"""The one way a test waits: ask again and again until something is true, for a bounded time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL_S = 0.01


def until(condition: Callable[[], T | None], within_s: float = 10.0, what: str = "") -> T:
    """Return the first true answer of `condition`; AssertionError naming `what` after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what or condition}; last answer: {answer!r}")
        time.sleep(INTERVAL_S)
