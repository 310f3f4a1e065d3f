"""A server at the master's address that is not the master: it grants whatever anyone asks, a thousandfold.

With the master's keys it is a second master; without its TLS key nobody should send it a byte.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from licensing import wire
from runtime.server import serve
from runtime.signing import SigningKey, answer_type
from tests.acceptance.peers.network import Network

GRANTED = 1_000


class Imposter:
    """Answers sync and hello with 200 as `instance` at `term`; `requests` are the paths it was asked."""

    def __init__(self, tls: tuple[Path, Path], key: SigningKey, instance: str, term: int) -> None:
        self.requests: list[str] = []
        self._tls = tls
        self._key = key
        self._instance = instance
        self._term = term

    @asynccontextmanager
    async def serving(self, network: Network, host: str, port: int) -> AsyncIterator["Imposter"]:
        """Serve at this address of the network until the block ends."""
        listener = network.open_socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        stop, started = asyncio.Event(), asyncio.Event()
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])
        task = asyncio.create_task(serve(app, listener, stop=stop, tls=self._tls, on_started=started.set))
        await started.wait()
        try:
            yield self
        finally:
            stop.set()
            await task

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request.url.path)
        asked = await request.body()
        answer = self._lend(msgspec.json.decode(asked, type=wire.Sync)) if asked else wire.Wake(wake=True)
        body = msgspec.json.encode(answer)
        signature = self._key.sign(answer_type(200, request.headers["X-Signature"]), body)
        return Response(body, 200, {"X-Signature": signature}, "application/json")

    def _lend(self, request: wire.Sync) -> wire.Answer:
        return wire.Answer(
            v=wire.VERSION,
            instance=self._instance,
            term=self._term,
            epoch=request.epoch,
            ack_seq=request.seq,
            ack_activity=0,
            nonce=secrets.token_hex(12),
            now_ms=request.sent_at_ms,
            next_ms=1_000,
            shares={name: wire.ShareGrant(GRANTED, request.software.release) for name in request.classes},
        )
