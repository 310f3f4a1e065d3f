"""Which numbers of a counting source are missing: `seq` of innovaphone from 14r2 on, 0 after a restart.

Asterisk's `sequence` is none: it jumps without a loss (pbx-integrations.md 3.3).
"""

from typing import Final, NamedTuple

MAX_GAPS: Final = 1_000
"""The oldest is forgotten when there are more, and `forgotten` counts its numbers."""


class Gap(NamedTuple):
    """Numbers that did not come, both included."""

    first: int
    last: int


class Counted:
    """One source's numbers since its last restart; they may come late and twice."""

    def __init__(self) -> None:
        self.highest: int | None = None
        self.gaps: list[Gap] = []
        self.restarts = 0
        self.forgotten = 0

    def take(self, number: int) -> None:
        """One more number. 0 after a higher one is a restart; what was missing before stays missing."""
        if self.highest is None:
            self.highest = number
        elif number == 0 and self.highest > 0:
            self.restarts += 1
            self.highest = 0
        elif number > self.highest:
            if number > self.highest + 1:
                self.gaps.append(Gap(self.highest + 1, number - 1))
            self.highest = number
        else:
            self._filled(number)
        while len(self.gaps) > MAX_GAPS:
            gone = self.gaps.pop(0)
            self.forgotten += gone.last - gone.first + 1

    def _filled(self, number: int) -> None:
        """A number that comes late closes the newest gap that lacks it."""
        for place in range(len(self.gaps) - 1, -1, -1):
            first, last = self.gaps[place]
            if first <= number <= last:
                around = (Gap(first, number - 1), Gap(number + 1, last))
                self.gaps[place : place + 1] = [gap for gap in around if gap.first <= gap.last]
                return
