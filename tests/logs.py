"""What services log, as values."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runtime.logs import EVENTS


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = getattr(record, "facts", {})
        self.lines.append({**facts, "event": record.msg, "level": record.levelname.lower()})


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """The events that are logged meanwhile, of every level, with their facts; they go nowhere else."""
    kept, level = _Kept(), EVENTS.level
    EVENTS.addHandler(kept)
    EVENTS.setLevel(logging.DEBUG)
    EVENTS.propagate = False
    try:
        yield kept.lines
    finally:
        EVENTS.propagate = True
        EVENTS.setLevel(level)
        EVENTS.removeHandler(kept)
