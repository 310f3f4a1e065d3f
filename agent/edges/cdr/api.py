"""The part of `agent.sock` that call records have: `pbx-agent cdr replay` asks here."""

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.service.opening import OpenPbx
from runtime.config import ConfigErrors
from runtime.store import StoreError


class ReplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which times (UTC epoch ms, the second one not included), at which PBX (None: at all)."""

    from_ms: int
    to_ms: int
    unread: bool = False
    pbx: str | None = None


class CdrApi:
    """The routes over the PBXs of this process."""

    def __init__(self, pbxs: Mapping[str, OpenPbx]) -> None:
        self._pbxs = pbxs

    def routes(self) -> list[Route]:
        """The routes of the Unix socket."""
        return [Route("/cdr/replay", self._replay, methods=["POST"])]

    async def _replay(self, request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body(), type=ReplayRequest)
        except msgspec.DecodeError as error:
            return _answered({"detail": str(error)}, 422)
        pbxs = {name: pbx.cdrs for name, pbx in self._pbxs.items() if wanted.pbx in (None, name) and pbx.cdrs}
        if not pbxs:
            return _answered({"detail": "no PBX of that name takes call records here"}, 404)
        try:
            done = [
                {
                    "name": name,
                    **msgspec.to_builtins(
                        await cdrs.replay(wanted.from_ms, wanted.to_ms, unread=wanted.unread)
                    ),
                }
                for name, cdrs in pbxs.items()
            ]
        except (StoreError, ConfigErrors) as error:
            return _answered({"detail": str(error)}, 409)
        return _answered({"pbxs": done}, 200)


def _answered(value: object, status: int) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
