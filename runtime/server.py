"""Uvicorn inside a daemon: it takes a bound socket, leaves signals alone and stops by an event."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

MAX_CONNECTIONS = 4_096  # more get 503
KEEP_ALIVE_S = 75  # longer than the distance of two syncs, so that an agent keeps its connection
HANDSHAKE_S = 10.0
GRACE_S = 5  # for requests that run when the stop comes
DATE_HEADER_S = 1
CUT_EVERY_S = 0.05


def listen_tcp(host: str, port: int) -> socket.socket:
    """A bound TCP socket; OSError when the address is taken or not known. Port 0 asks for a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        number = errno.EADDRNOTAVAIL if isinstance(error, socket.gaierror) else error.errno
        raise OSError(number, f"{host}:{port}: {error.strerror}") from error
    return listener


def listen_unix(path: Path, mode: int = 0o660) -> socket.socket:
    """A bound Unix socket of this mode; replaces a dead one, OSError when a living one answers there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_dead(path)
        listener.bind(str(path))
        path.chmod(mode)  # nobody can connect before listen()
    except OSError:
        listener.close()
        raise
    return listener


def bound_port(listener: socket.socket) -> int:
    """The TCP port that the system chose."""
    port: int = listener.getsockname()[1]
    return port


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    tls: tuple[Path, Path] | None = None,
    on_started: Callable[[], None] | None = None,
    per_source: int | None = None,
) -> None:
    """Serve the app until the stop event, then finish what runs (at most 5 s) and close the socket.

    `tls` is (certificate, key). `on_started` is called once the socket accepts connections. `per_source` is
    for a listener that strangers reach: a source has so many connections at most, and a request head must
    come in time; it needs httptools.
    """
    address = listener.getsockname()
    config = uvicorn.Config(
        app,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
        http="auto",  # httptools where installed, else h11
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    try:
        await _Server(config, stop, on_started, per_source).serve(sockets=[listener])
    finally:
        listener.close()
        if isinstance(address, str):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        stop: asyncio.Event,
        on_started: Callable[[], None] | None,
        per_source: int | None,
    ) -> None:
        super().__init__(config)
        self._per_source = per_source
        self._stop = stop
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to runtime.daemon."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with a deadline for the TLS handshake that is shorter than the usual minute."""
        config, patience = self.config, HANDSHAKE_S if self.config.ssl else None
        for listener in sockets or []:
            server = await asyncio.get_running_loop().create_server(
                self._protocols(),
                sock=listener,
                backlog=config.backlog,
                ssl=config.ssl,
                ssl_handshake_timeout=patience,
            )
            self.servers = [server]
        self.started = True

    def _protocols(self) -> Callable[[], asyncio.Protocol]:
        """What makes the protocol of each connection."""
        config, state, loop = self.config, self.server_state, asyncio.get_running_loop()
        if self._per_source is None:
            usual: Callable[..., asyncio.Protocol] = config.http_protocol_class
            return partial(usual, config=config, server_state=state, app_state={}, _loop=loop)
        from runtime.connections import Connection, Crowd  # only the master has httptools

        return partial(Connection, config, state, loop, Crowd(self._per_source))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once: a polite TLS close would wait for the goodbye of clients that are not listening."""
        cutting = asyncio.create_task(self._cut_closing(), name="cut closing connections")
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_closing(self) -> None:
        while True:
            for connection in list(self.server_state.connections):
                transport = connection.transport
                if transport.is_closing() and not transport.get_write_buffer_size():
                    transport.abort()
            await asyncio.sleep(CUT_EVERY_S)

    async def main_loop(self) -> None:
        """Wait for the event; uvicorn would look ten times a second."""
        if self._on_started:
            self._on_started()
        while not self._stop.is_set():
            await self.on_tick(0)  # refreshes the Date header
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DATE_HEADER_S):
                    await self._stop.wait()


def _remove_dead(path: Path) -> None:
    """Unlink a socket that nobody listens at, as a killed process leaves it; leave any other file alone."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(f"{path}: another process listens here")
