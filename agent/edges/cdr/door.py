"""The door of each source: the one transport that agent.yaml gives it."""

from typing import Protocol

from agent.config import PbxEntry
from agent.edges.cdr import syslog
from agent.edges.cdr.asterisk import ManagerDoor
from agent.edges.cdr.directory import Directory
from agent.edges.cdr.guests import Guests
from agent.edges.cdr.http import HttpDoor
from agent.edges.cdr.kamailio import EvapiDoor
from agent.edges.cdr.stream import StreamDialler, StreamListener
from agent.edges.cdr.tail import Tail
from agent.service.cdr.source import Source
from runtime.clock import Clock


class Door(Protocol):
    """Takes in what comes for one source."""

    async def run(self) -> None:
        """Until cancelled, or until it ends by itself and must be run again; OSError, StoreError."""
        ...


class Doors:
    """Opens the doors of one PBX."""

    def __init__(self, entry: PbxEntry, clock: Clock) -> None:
        self._entry = entry
        self._clock = clock

    async def __call__(self, source: Source) -> None:
        """Take in what comes for this source; OSError, StoreError."""
        await (self._listener(source) or self._reader(source)).run()

    def _listener(self, source: Source) -> Door | None:
        """Where somebody else connects to us."""
        settings = source.settings
        guests = Guests(self._entry.sip.pbx.address.host, settings.allow)
        if settings.http is not None:
            return HttpDoor(source, settings.http, guests)
        if settings.tcp_listen is not None:
            return StreamListener(source, settings.tcp_listen, guests)
        if settings.syslog is not None:
            return syslog.door(source, settings.syslog, guests)
        return None

    def _reader(self, source: Source) -> Door:
        """What we read, or connect to."""
        settings, entry = source.settings, self._entry
        if settings.file is not None:
            return Tail(source, settings.file)
        if settings.directory is not None:
            return Directory(source, settings.directory, settings.pattern)
        if settings.tcp_connect is not None:
            return StreamDialler(source, settings.tcp_connect)
        if settings.ami:
            assert entry.asterisk is not None
            return ManagerDoor(source, entry.asterisk, self._clock)
        assert entry.kamailio is not None
        assert entry.kamailio.evapi is not None
        return EvapiDoor(source, entry.kamailio.evapi)
