"""Call records by HTTP: 200 says that they are on disk, 503 that the PBX must keep them.

GET carries the entry as its query (innovaphone), POST as its body. Source: pbx-integrations.md 5.3.
"""

import asyncio
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from agent.edges.cdr.guests import Guests
from agent.endpoint import Address
from agent.service.cdr.source import NoRoomError, Source
from runtime.server import listen_tcp, serve
from runtime.store import StoreError

MAX_BODY: Final = 1_048_576
READ_S: Final = 10.0
RETRY_AFTER_S: Final = 10
_FORM: Final = b"cdr="


class HttpDoor:
    """One listener of one source."""

    def __init__(self, source: Source, address: Address, guests: Guests) -> None:
        self._source = source
        self._address = address
        self._guests = guests

    async def run(self) -> None:
        """Serve until cancelled; requests that run then are answered. OSError when the address is taken."""
        listener = listen_tcp(self._address.host, self._address.port)
        stop = asyncio.Event()
        app = Starlette(routes=[Route("/{path:path}", self._take, methods=["GET", "POST"])])
        serving = asyncio.create_task(serve(app, listener, stop=stop), name="cdr http")
        self._source.connected, self._source.trouble = True, ""
        try:
            await asyncio.shield(serving)
        finally:
            stop.set()
            await serving

    async def _take(self, request: Request) -> Response:
        if request.client is None or not self._guests.admit(request.client.host):
            return _said(403, "this address may not send call records: see allow in agent.yaml")
        try:
            async with asyncio.timeout(READ_S):
                body = await _body(request)
        except TimeoutError:
            return _said(408, f"the request did not come within {READ_S:.0f} s")
        except ClientDisconnect:
            return _said(400, "the request did not end")
        if body is None:
            return _said(413, f"more than {MAX_BODY} bytes; send one record at a time")
        entry = _entry(request, body)
        if not entry:
            return _said(400, "no call record; send it as the query of a GET or the body of a POST")
        try:
            await self._source.take(self._source.branch(), [entry], end=True)
        except (NoRoomError, StoreError):
            return Response("not stored; send it again\n", 503, {"Retry-After": str(RETRY_AFTER_S)})
        return Response(b"")


async def _body(request: Request) -> bytes | None:
    """The whole body; None when it is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _entry(request: Request, body: bytes) -> bytes:
    """The bytes of the PBX. FreeSWITCH wraps its record into a form unless it is told not to."""
    if not body:
        query: bytes = request.scope["query_string"]
        return query
    if body.startswith(_FORM) and "urlencoded" in request.headers.get("content-type", ""):
        return unquote_to_bytes(body[len(_FORM) :].replace(b"+", b" "))
    return body


def _said(status: int, text: str) -> Response:
    return Response(f"{text}\n", status)
