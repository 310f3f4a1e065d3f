"""Times as a person describes them: `%d/%m/%Y %H:%M:%S` and the like, `iso`, `epoch_s`, `epoch_ms`."""

import re
from dataclasses import dataclass, field
from typing import Final

from telephony.cdr.times import (
    LAST_S,
    Zone,
    candidates_ms,
    epoch_s,
    read_date_time,
    read_offset,
    read_seconds_ms,
)

ISO: Final = "iso"
EPOCH_S: Final = "epoch_s"
EPOCH_MS: Final = "epoch_ms"

_PARTS: Final = {
    "Y": r"(?P<Y>[0-9]{4})", "y": r"(?P<y>[0-9]{2})", "m": r"(?P<m>[0-9]{1,2})", "d": r"(?P<d>[0-9]{1,2})",
    "H": r"(?P<H>[0-9]{1,2})", "I": r"(?P<I>[0-9]{1,2})", "M": r"(?P<M>[0-9]{2})", "S": r"(?P<S>[0-9]{2})",
    "f": r"(?P<f>[0-9]{1,9})", "p": r"(?P<p>[AaPp][Mm])", "z": r"(?P<z>Z|[+-][0-9]{2}:?[0-9]{2})", "%": "%",
}  # fmt: skip
_DIRECTIVE: Final = re.compile(r"%(.?)|([^%]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """A format that was understood."""

    text: str
    pattern: re.Pattern[str] | None = field(compare=False)

    def read(self, text: str, zone: Zone) -> tuple[int, ...] | None:
        """UTC epoch ms that such a time may mean in this zone; None when it has another form."""
        if self.text == EPOCH_S:
            at_ms = read_seconds_ms(text)
            return (at_ms,) if at_ms is not None and at_ms // 1_000 <= LAST_S else None
        if self.text == EPOCH_MS:
            known = text.isascii() and text.isdigit() and len(text) <= 15 and int(text) // 1_000 <= LAST_S
            return (int(text),) if known else None
        if self.pattern is None:
            return read_date_time(text, zone)
        match = self.pattern.fullmatch(text)
        return None if match is None else _instants(match.groupdict(), zone)


def _instants(part: dict[str, str], zone: Zone) -> tuple[int, ...] | None:
    year = int(part["Y"]) if "Y" in part else 2_000 + int(part["y"])
    hour = int(part["H"]) if "H" in part else _twelve(int(part["I"]), part["p"])
    if hour is None:
        return None
    local_s = epoch_s(year, int(part["m"]), int(part["d"]), hour, int(part["M"]), int(part.get("S", "0")))
    if local_s is None:
        return None
    where = read_offset(part["z"]) if "z" in part else zone
    return candidates_ms(local_s, part.get("f", ""), where) or None


def _twelve(hour: int, half: str) -> int | None:
    """The hour of the day of 12 PM, 1 PM …"""
    return hour % 12 + (12 if half in ("PM", "pm", "Pm", "pM") else 0) if 1 <= hour <= 12 else None


def parse(text: str) -> TimeFormat | str:
    """The format that a text describes, or what is wrong with it and what would be right."""
    if text in (ISO, EPOCH_S, EPOCH_MS):
        return TimeFormat(text, None)
    pattern, seen = "", []
    for directive, literal in _DIRECTIVE.findall(text):
        if literal:
            pattern += re.escape(literal)
        elif directive not in _PARTS:
            return f"%{directive} is not known; use {' '.join('%' + name for name in _PARTS)}"
        elif directive in seen:
            return f"%{directive} stands there twice"
        else:
            pattern += _PARTS[directive]
            seen.append(directive)
    missing = _missing(set(seen))
    if missing:
        return f'{missing}; for example "%d/%m/%Y %H:%M:%S", or {ISO}, {EPOCH_S}, {EPOCH_MS}'
    return TimeFormat(text, re.compile(pattern, re.ASCII))


def _missing(seen: set[str]) -> str:
    if not seen & {"Y", "y"} or not seen >= {"m", "d", "M"}:
        return "expected year, month, day, hour and minute"
    if "H" not in seen and not seen >= {"I", "p"}:
        return "expected %H, or %I with %p"
    return ""
