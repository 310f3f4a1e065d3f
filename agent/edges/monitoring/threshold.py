"""Ranges as monitoring plug-ins write them: `10`, `10:`, `~:10`, `10:20`, `@10:20`, here also in percent.

Source: Monitoring Plugins Development Guidelines, "Threshold and Ranges". A range says what is right; with @
it says what is wrong. Both ends belong to it.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

_NUMBER = r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?"
_RANGE = re.compile(
    rf"(?P<at>@?)(?:(?P<low>~|{_NUMBER})(?P<low_percent>%?):)?(?:(?P<high>{_NUMBER})(?P<high_percent>%?))?"
)
EXAMPLES = '"10:" (at least 10), "20%:" (at least a fifth), "300" (0 to 300), "@0:5" (not 0 to 5)'


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, in percent of a whole where it says so; `inverted` alerts inside."""

    low: float
    high: float
    inverted: bool = False
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """The range in `text`; ValueError says what would be right."""
        match = _RANGE.fullmatch(text)
        if match is None or (match["low"] is None and match["high"] is None):
            raise ValueError(f'found "{text}"; write a range such as {EXAMPLES}')
        low = -math.inf if match["low"] == "~" else float(match["low"] or 0)
        high = math.inf if match["high"] is None else float(match["high"])
        if low > high:
            raise ValueError(f'found "{text}", whose first number is above the second')
        marks = [match[f"{end}_percent"] for end in ("low", "high") if match[end] not in (None, "~")]
        if len(set(marks)) > 1:
            raise ValueError(f'found "{text}"; write % at both numbers or at none')
        return cls(low, high, bool(match["at"]), "%" in marks)

    def alerts(self, value: float, whole: float = 100) -> bool:
        """Whether this value is wrong; `whole` is what percents are of."""
        of = self._of(whole)
        return (of.low <= value <= of.high) == self.inverted

    def _of(self, whole: float) -> "Range":
        return Range(self.low * whole / 100, self.high * whole / 100, self.inverted) if self.percent else self

    def absolute(self, whole: float) -> str:
        """As performance data wants it: without percent."""
        return str(self._of(whole))

    def __str__(self) -> str:
        sign = "%" if self.percent else ""
        low = (
            "~:"
            if self.low == -math.inf
            else f"{self.low:g}{sign}:"
            if self.low or self.high == math.inf
            else ""
        )
        high = "" if self.high == math.inf else f"{self.high:g}{sign}"
        return f"{'@' if self.inverted else ''}{low}{high}"


Thresholds = Mapping[str, Range | None]


def thresholds(texts: Iterable[str], defaults: Thresholds) -> Thresholds:
    """What `METRIC=RANGE` words set over the defaults; a bare range is about their first, `METRIC=` is none.

    ValueError names a metric that is none of the defaults, or what is wrong with a range.
    """
    found = dict(defaults)
    for text in texts:
        metric, equals, range_ = text.partition("=")
        if not equals:
            metric, range_ = next(iter(defaults)), text
        if metric not in defaults:
            raise ValueError(f'found "{metric}"; write one of {", ".join(defaults)}')
        found[metric] = Range.parse(range_) if range_ else None
    return found
