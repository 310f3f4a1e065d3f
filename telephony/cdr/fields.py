"""The fields of one record by name, each read as what it must be, or refused by name and value."""

from collections.abc import Mapping
from typing import Final

from telephony.cdr.reading import Reason, UnreadableError
from telephony.cdr.times import LAST_S, Zone, read_date_time, read_seconds_ms, read_whole_seconds

SHOWN: Final = 60


def text_of(raw: bytes) -> str:
    """Text as UTF-8; bytes that are none are written as backslash escapes, so that nothing is lost."""
    return raw.decode("utf-8", "backslashreplace")


def invalid(name: str, value: str, right: str) -> UnreadableError:
    """The error for a field that holds something else than `right`."""
    shown = value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"
    return UnreadableError(Reason.INVALID, f'{name}: expected {right}, found "{shown}"')


class Fields:
    """Names and texts; an absent field and an empty one are the same."""

    def __init__(self, values: Mapping[str, str], zone: Zone) -> None:
        self._values = values
        self._zone = zone

    def get(self, *names: str) -> str:
        """The first of these that says something, else ""."""
        for name in names:
            if value := self._values.get(name, "").strip():
                return value
        return ""

    def need(self, *names: str) -> str:
        """As `get`; UnreadableError `missing` when none of them says anything."""
        value = self.get(*names)
        if not value:
            raise UnreadableError(Reason.MISSING, f"no {' and no '.join(names)}")
        return value

    def whole(self, name: str) -> int | None:
        """A whole number of at most 15 digits; None when the field says nothing."""
        value = self.get(name)
        if not value:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 15):
            raise invalid(name, value, "a whole number")
        return int(value)

    def seconds(self, name: str) -> int | None:
        """A duration in whole seconds, a fraction rounded up; None when the field says nothing."""
        value = self.get(name)
        seconds = read_whole_seconds(value)
        if value and seconds is None:
            raise invalid(name, value, "seconds")
        return seconds

    def milliseconds(self, name: str) -> int | None:
        """Seconds with or without fraction as ms, cut; None when the field says nothing."""
        value = self.get(name)
        ms = read_seconds_ms(value)
        if value and ms is None:
            raise invalid(name, value, "seconds")
        return ms

    def epoch_ms(self, name: str) -> int | None:
        """Seconds after 1970 as ms; None when the field says nothing or 0."""
        ms = self.milliseconds(name)
        if ms and ms // 1_000 > LAST_S:
            raise invalid(name, self.get(name), "seconds after 1970")
        return ms or None

    def instants(self, name: str) -> tuple[int, ...]:
        """UTC epoch ms that a date and time, or epoch seconds, may mean; () when the field says nothing."""
        value = self.get(name)
        if not value:
            return ()
        if value.replace(".", "", 1).isdigit():
            at_ms = self.epoch_ms(name)
            return () if at_ms is None else (at_ms,)
        found = read_date_time(value, self._zone)
        if found is None:
            raise invalid(name, value, "a date and time as in 2026-11-23 17:54:02")
        return found


def q850(value: int | None) -> int | None:
    """A cause of Q.850; None for 0 and for what is none (B.r34: a cause is never an error)."""
    return value if value is not None and 1 <= value <= 127 else None
