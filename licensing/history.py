"""What happened to the seats, for history: told once, bounded, never part of safety."""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from licensing.codes import Code
from licensing.wire import Activity

MAX_EVENTS = 50_000

Happening = Literal["held", "released", "lingering", "refused", "surplus", "reported"]


@dataclass(frozen=True, slots=True)
class SeatEvent:
    """One thing that happened to an object's seat; times are monotonic ms."""

    now_ms: int
    object: str
    kind: str
    class_: str
    event: Happening
    code: Code | None = None
    until_ms: int | None = None

    def activity(self, n: int, wall_offset_ms: int) -> Activity:
        """The event as the wire tells it: numbered, in wall time (monotonic + offset)."""
        return Activity(
            n=n,
            at_ms=self.now_ms + wall_offset_ms,
            object=self.object,
            kind=self.kind,
            class_=self.class_,
            event=self.event,
            code=self.code,
            until_ms=None if self.until_ms is None else self.until_ms + wall_offset_ms,
        )


def history() -> deque[SeatEvent]:
    """An empty history; when nobody drains it, the oldest events go first."""
    return deque(maxlen=MAX_EVENTS)
