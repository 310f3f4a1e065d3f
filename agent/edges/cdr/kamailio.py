"""Call records of Kamailio's acc_json by evapi: frames `{"ev":"acc","data":{…}}` (docs/call-records.md).

evapi has no memory: what happens while nobody listens is lost. It tells everybody everything: what the route
file has for the driver (`set …`, `gone …`) comes here too, and is none of ours.
"""

from typing import Final

from agent.edges.kamailio.evapi import connected
from agent.endpoint import Address
from agent.service.cdr.source import Source
from agent.service.driver import LinkLostError

_OBJECT: Final = b"{"


class EvapiDoor:
    """One connection; whoever calls `run` calls again after its end."""

    def __init__(self, source: Source, address: Address) -> None:
        self._source = source
        self._address = address

    async def run(self) -> None:
        """Listen until the connection ends; OSError, StoreError."""
        parser = self._source.branch()
        try:
            async with connected(self._address) as evapi:
                self._source.connected, self._source.trouble = True, ""
                while True:
                    frames = [frame for frame in await evapi.receive() if frame.startswith(_OBJECT)]
                    await self._source.take_when_room(parser, frames, end=True)
        except LinkLostError as error:
            raise OSError(str(error)) from error
