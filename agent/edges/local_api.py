"""`agent.sock`: the running agent, asked by `pbx-agent status`, `login`, `bypass`, `bye`, … on this host.

Whoever may open the socket (mode 0660) may do all of it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.edges.cdr.api import CdrApi
from agent.edges.local_client import MAX_BYPASS_S
from agent.edges.use_api import UseApi
from agent.service.opening import OpenPbx
from agent.service.stand_in import NotProtectedError
from agent.service.status import facts, status
from agent.service.sync import ByeRefusedError
from licensing.codes import sentence
from runtime.clock import Clock

M = TypeVar("M", bound=msgspec.Struct)


class BypassRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long every registration passes (0 ends it), at which PBX (None: at all)."""

    for_s: int
    pbx: str | None = None


class StandInRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Begin or end standing in for `home`, at which PBX (None: at all)."""

    home: str
    end: bool = False
    pbx: str | None = None


class ByeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Give everything back, of which PBX (None: of all)."""

    pbx: str | None = None


class LocalApi:
    """The routes over the PBXs of this process; `stop` ends it once all of them have said bye."""

    def __init__(self, pbxs: Mapping[str, OpenPbx], clock: Clock, stop: asyncio.Event) -> None:
        self._pbxs = pbxs
        self._clock = clock
        self._stop = stop

    def app(self) -> Starlette:
        """The application to serve on the Unix socket."""
        return Starlette(
            routes=[
                Route("/status", self._status),
                Route("/facts", self._facts),
                Route("/bypass", self._bypass, methods=["POST"]),
                Route("/stand-in", self._stand_in, methods=["POST"]),
                Route("/bye", self._bye, methods=["POST"]),
                *UseApi(self._pbxs, self._clock).routes(),
                *CdrApi(self._pbxs).routes(),
            ]
        )

    async def _status(self, request: Request) -> Response:
        return self._answered(list(self._pbxs.values()))

    async def _facts(self, request: Request) -> Response:
        return _json({"pbxs": [await facts(pbx, self._clock) for pbx in self._pbxs.values()]})

    async def _bypass(self, request: Request) -> Response:
        wanted = await _decoded(request, BypassRequest)
        if isinstance(wanted, Response):
            return wanted
        if not 0 <= wanted.for_s <= MAX_BYPASS_S:
            return _problem(422, f"for_s: found {wanted.for_s}; write 0 to {MAX_BYPASS_S} seconds")
        named = self._named(wanted.pbx)
        for pbx in named:
            await pbx.site.bypass(wanted.for_s)
        return self._answered(named)

    async def _stand_in(self, request: Request) -> Response:
        wanted = await _decoded(request, StandInRequest)
        if isinstance(wanted, Response):
            return wanted
        named = self._named(wanted.pbx)
        try:
            for pbx in named:
                await (pbx.stand_in.end(wanted.home) if wanted.end else pbx.stand_in.begin(wanted.home))
        except NotProtectedError as error:
            return _problem(409, str(error))
        return self._answered(named)

    async def _bye(self, request: Request) -> Response:
        wanted = await _decoded(request, ByeRequest)
        if isinstance(wanted, Response):
            return wanted
        named = self._named(wanted.pbx)
        for pbx in named:
            try:
                await pbx.conversation.bye()
            except ByeRefusedError as error:
                return _problem(409, _refused(pbx) or str(error))
        if all(pbx.conversation.departed for pbx in self._pbxs.values()):
            self._stop.set()
        return self._answered(named)

    def _named(self, name: str | None) -> list[OpenPbx]:
        return [pbx for pbx in self._pbxs.values() if name in (None, pbx.entry.name)]

    def _answered(self, pbxs: list[OpenPbx]) -> Response:
        if not pbxs:
            return _problem(404, "no PBX of that name in this agent")
        return _json({"pbxs": [status(pbx, self._clock) for pbx in pbxs]})


def _refused(pbx: OpenPbx) -> str:
    """Why the master takes nothing back from an agent that it refuses; empty when it does not."""
    code = pbx.conversation.revoked
    if code is None:
        return ""
    away = f"licence-master release-site {pbx.entry.name}"
    said = f"the master refuses this agent ({code.value}: {sentence(code)})"
    return f"{said}; nothing was given back. At the master: {away}; stop this agent with SIGTERM"


async def _decoded(request: Request, model: type[M]) -> M | Response:
    try:
        return msgspec.json.decode(await request.body(), type=model)
    except msgspec.DecodeError as error:
        return _problem(422, str(error))


def _problem(status: int, detail: str) -> Response:
    return _json({"status": status, "detail": detail}, status)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
