"""Time zones by name, for PBXs that write local times into their call records."""

import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class NamedZone:
    """A zone of the system's time zone data; the local hour that happens twice has two instants (PEP 495)."""

    def __init__(self, zone: datetime.tzinfo) -> None:
        self._zone = zone

    def instants(self, local_s: int) -> tuple[int, ...]:
        """UTC epoch seconds that clocks there show as this, earliest first; `local_s` counts as if in UTC.

        A time that clocks jump over is read with the offset before the jump.
        """
        wall = datetime.datetime.fromtimestamp(local_s, datetime.UTC).replace(tzinfo=self._zone)
        first, second = self._offset_s(wall), self._offset_s(wall.replace(fold=1))
        return (local_s - first,) if first <= second else (local_s - first, local_s - second)

    def _offset_s(self, wall: datetime.datetime) -> int:
        offset = wall.utcoffset()
        assert offset is not None
        return offset // datetime.timedelta(seconds=1)


def named(name: str) -> NamedZone | None:
    """The zone of a name such as Europe/Paris; None when the system has none; UTC needs no data."""
    try:
        return NamedZone(datetime.UTC if name == "UTC" else ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
