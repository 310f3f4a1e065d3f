"""What stands in front of both ports: the rate of an address, who it is, and how large a body may be.

Default deny: with an `identify` nothing but the `open_paths` is answered to somebody unknown, not even that a
route does not exist; and nothing of a body is read before.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from licence_master.edges import problems
from licence_master.edges.limits import RateLimit
from licence_master.edges.problems import ProblemError
from licensing.codes import Code, Refusal
from runtime.clock import Clock
from runtime.logs import logger
from runtime.sources import source_of

OPEN_BODY, KNOWN_BODY = 4_096, 8 * 1_048_576
BODY_S = 10
QUIET_MS = 1_000
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

log = logger()


@dataclass(frozen=True, slots=True)
class Door:
    """One of the listeners: how it knows a caller (None: its routes do), what it answers to anybody."""

    name: str
    identify: Callable[[Request], object] | None = None
    open_paths: Collection[tuple[str, str]] = ()
    per_s: int | None = None


class Entrance:
    """The ASGI application that lets requests through to another."""

    def __init__(self, app: ASGIApp, door: Door, clock: Clock) -> None:
        self._app = app
        self._door = door
        self._clock = clock
        self._limit = RateLimit(door.per_s) if door.per_s is not None else None
        self._limited, self._told_ms = 0, -QUIET_MS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal here, or pass on."""
        request = Request(scope, receive)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *RAW_HEADERS]
            await send(message)

        try:
            receive = await self._admit(request, receive)
        except ProblemError as error:
            self._tell(request, error)
            await problems.response(error)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    async def _admit(self, request: Request, receive: Receive) -> Receive:
        door, now_ms = self._door, self._clock.monotonic_ms()
        if self._limit is not None and not self._limit.allows(address_of(request), now_ms):
            raise ProblemError(Refusal(Code.RATE_LIMITED))
        if door.identify is None:
            return receive
        # The path as it is routed: that of request.url is made from the Host header too.
        if (request.method, request.scope["path"]) in door.open_paths:
            return await _whole(request, OPEN_BODY)
        request.state.caller = door.identify(request)
        return await _whole(request, KNOWN_BODY)

    def _tell(self, request: Request, error: ProblemError) -> None:
        """Log what was refused; of what came too often one line a second, or a flood would fill the disk."""
        code, now = error.refusals[0].code, self._clock.monotonic_ms()
        if code is Code.RATE_LIMITED:
            self._limited += 1
            if now - self._told_ms < QUIET_MS:
                return
            self._told_ms = now
        log.warning(
            f"{self._door.name}.refused",
            code=str(code),
            detail=error.refusals[0].detail,
            method=request.method,
            path=request.scope["path"],
            address=address_of(request),
            limited=self._limited,
        )


def address_of(request: Request) -> str:
    """The source that a request is counted for."""
    return source_of(request.client.host) if request.client is not None else ""


async def _whole(request: Request, most: int) -> Receive:
    """Read the body, within its size and time; a `receive` that gives it to the application."""
    body, receive = bytearray(), request.receive
    try:
        if int(request.headers.get("Content-Length", "0")) > most:
            raise _too_large(most)
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ProblemError(Refusal(Code.INVALID_REQUEST, "the body did not arrive"))
                body += message.get("body", b"")
                if len(body) > most:
                    raise _too_large(most)
                if not message.get("more_body"):
                    break
    except TimeoutError as error:
        raise ProblemError(Refusal(Code.INVALID_REQUEST, "the body did not arrive")) from error
    left: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


def _too_large(most: int) -> ProblemError:
    return ProblemError(Refusal(Code.TOO_LARGE, f"more than {most} bytes"))
