"""The agents' HTTP interface: /v1/agent/{enrol,hello,sync,bye,wake,cdrs} and /healthz, signed both ways."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from licence_master.config import AgentsConfig
from licence_master.edges import problems
from licence_master.edges.entrance import address_of
from licence_master.edges.limits import RateLimit
from licence_master.edges.problems import ProblemError
from licence_master.service.answers import Received, Reply
from licence_master.service.enrolment import is_key
from licence_master.service.installation import Installation
from licensing import codes, wire
from licensing.codes import Code, Refusal
from runtime.clock import Clock
from runtime.logs import logger
from runtime.signing import header_key_id, request_type, verify
from runtime.store import StoreBusyError, StoreFailedError
from telephony.cdr.wire import MAX_BATCH, Batch

WAKE_S = 50
BODY_S = 10
ENROLMENTS_PER_S = 10
SIGNATURE = "X-Signature"

log = logger()

Anything = TypeVar("Anything")
Message = TypeVar("Message", wire.Sync, wire.Hello, wire.Bye)
Answerer = Callable[[Installation, Message, Received], Awaitable[Reply | Refusal]]


class _RefusedError(Exception):
    """The request ends here; the refusal is signed when the agent is known, that is with `received`."""

    def __init__(
        self, refusal: Refusal, installation: Installation | None = None, received: Received | None = None
    ) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.installation = installation
        self.received = received


def agent_application(
    installations: Mapping[str, Installation], config: AgentsConfig, clock: Clock
) -> Starlette:
    """The ASGI application behind the agents' door."""
    return AgentApi(installations, config, clock).application()


class AgentApi:
    """The routes over the installations by name."""

    def __init__(self, installations: Mapping[str, Installation], limits: AgentsConfig, clock: Clock) -> None:
        self._installations = installations
        self._clock = clock
        self._agents = RateLimit(limits.agent_per_s)
        self._enrolments = RateLimit(ENROLMENTS_PER_S)
        self._sync = msgspec.json.Decoder(wire.Sync)
        self._hello = msgspec.json.Decoder(wire.Hello)
        self._bye = msgspec.json.Decoder(wire.Bye)
        self._batch = msgspec.json.Decoder(Batch)
        self._enrol = msgspec.json.Decoder(wire.Enrol)

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/agent/sync", self.sync, methods=["POST"]),
                Route("/v1/agent/hello", self.hello, methods=["POST"]),
                Route("/v1/agent/bye", self.bye, methods=["POST"]),
                Route("/v1/agent/cdrs", self.cdrs, methods=["POST"]),
                Route("/v1/agent/enrol", self.enrol, methods=["POST"]),
                Route("/v1/agent/wake", self.wake, methods=["GET"]),
                Route("/healthz", _healthy, methods=["GET"]),
            ],
            exception_handlers={
                _RefusedError: self._refuse,
                HTTPException: _no_route,
                StoreFailedError: _failed,
                StoreBusyError: _busy,
            },
        )

    async def sync(self, request: Request) -> Response:
        """The hot path."""
        return await self._message(request, self._sync, lambda i, m, r: i.answers.sync(m, r))

    async def hello(self, request: Request) -> Response:
        """First contact after a start."""
        return await self._message(request, self._hello, lambda i, m, r: i.answers.hello(m, r))

    async def bye(self, request: Request) -> Response:
        """Everything back."""
        return await self._message(request, self._bye, lambda i, m, r: i.answers.bye(m, r))

    async def enrol(self, request: Request) -> Response:
        """A token for an identity; the only route without a known key, and slow on purpose."""
        body = await self._body(request)
        if not self._enrolments.allows(address_of(request), self._clock.monotonic_ms()):
            raise _RefusedError(Refusal(Code.RATE_LIMITED))
        message = _decoded(self._enrol, body)
        if not is_key(message.public_key):
            raise _RefusedError(Refusal(Code.INVALID_REQUEST, "public_key is not 32 bytes in base64"))
        received = _verified(request, body, message.public_key)
        if message.v != wire.VERSION:
            raise _RefusedError(Refusal(Code.VERSION_UNSUPPORTED))
        for installation in self._installations.values():
            if installation.enrolment.invited(message.token):
                return _reply(await installation.enrolment.enrol(message, received))
        raise _RefusedError(Refusal(Code.TOKEN_INVALID))

    async def wake(self, request: Request) -> Response:
        """Wait until this agent should sync, at most 50 s."""
        installation = self._installation(request.query_params.get("installation", ""))
        agent = request.query_params.get("agent", "")
        received = self._known(request, b"", installation, agent)
        self._refuse_revoked(installation, agent, received)
        woken = await installation.writer.wakes.wait(agent, WAKE_S)
        body = msgspec.json.encode(wire.Wake(woken))
        return _reply(Reply(200, body, installation.answers.sign(200, body, received.signature)))

    async def cdrs(self, request: Request) -> Response:
        """A batch of call records; answered when all of it is durable."""
        body = await self._body(request, MAX_BATCH)
        batch = _decoded(self._batch, body)
        installation = self._installation(batch.installation)
        received = self._known(request, body, installation, batch.agent)
        self._refuse_revoked(installation, batch.agent, received)
        installation.writer.tally.requests[request.scope["path"]] += 1
        answer = await installation.calls.intake.take(batch)
        if isinstance(answer, Refusal):
            raise _RefusedError(answer, installation, received)
        body = msgspec.json.encode(answer)
        return _reply(Reply(200, body, installation.answers.sign(200, body, received.signature)))

    def _refuse_revoked(self, installation: Installation, agent: str, received: Received) -> None:
        known = installation.writer.state.agents.get(agent)
        if known is not None and known.revoked:
            raise _RefusedError(Refusal(Code.AGENT_REVOKED), installation, received)

    async def _message(
        self, request: Request, decoder: msgspec.json.Decoder[Message], answer: Answerer[Message]
    ) -> Response:
        body = await self._body(request)
        message = _decoded(decoder, body)
        installation = self._installation(message.installation)
        proofs: Sequence[wire.Proof] = getattr(message, "proofs", ())
        received = self._known(request, body, installation, message.agent, proofs)
        installation.writer.tally.requests[request.scope["path"]] += 1
        if installation.writer.busy:
            raise _RefusedError(Refusal(Code.RATE_LIMITED, "the store is behind"), installation, received)
        return _reply(await answer(installation, message, received), installation, received)

    async def _body(self, request: Request, most: int = wire.MAX_BODY) -> bytes:
        """The body, within its size and time."""
        body = b""
        try:
            async with asyncio.timeout(BODY_S):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise _RefusedError(Refusal(Code.TOO_LARGE, f"more than {most} bytes"))
        except (TimeoutError, ClientDisconnect) as error:
            raise _RefusedError(Refusal(Code.INVALID_REQUEST, "the body did not arrive")) from error
        return body

    def _installation(self, name: str) -> Installation:
        found = self._installations.get(name)
        if found is None:
            raise _RefusedError(Refusal(Code.UNKNOWN_INSTALLATION))
        return found

    def _known(
        self,
        request: Request,
        body: bytes,
        installation: Installation,
        agent: str,
        proofs: Sequence[wire.Proof] = (),
    ) -> Received:
        """The request as that of a known agent, within its rate; the key comes from the store or a proof."""
        answers = installation.answers
        key = answers.public_key_of(agent) or answers.proven_key(agent, proofs)
        if key is None:
            raise _RefusedError(Refusal(Code.UNKNOWN_AGENT))
        received = _verified(request, body, key)
        if not self._agents.allows(f"{installation.name}/{agent}", self._clock.monotonic_ms()):
            raise _RefusedError(Refusal(Code.RATE_LIMITED), installation, received)
        return received

    async def _refuse(self, request: Request, refused: Exception) -> Response:
        """A problem document, signed when the agent is known; logged and counted either way."""
        assert isinstance(refused, _RefusedError), "registered for this type"
        refusal = refused.refusal
        log.warning(
            "request.refused",
            code=str(refusal.code),
            detail=refusal.detail,
            path=request.url.path,
            address=address_of(request),
            key_id=header_key_id(request.headers.get(SIGNATURE, ""))[:16],
            installation=refused.installation.name if refused.installation else "",
        )
        body, status = problems.body(refusal), codes.status(refusal.code)
        headers = {"Retry-After": "1"} if refusal.code is Code.RATE_LIMITED else {}
        if refused.installation is not None and refused.received is not None:
            refused.installation.writer.tally.refusals[str(refusal.code)] += 1
            signature = refused.received.signature
            headers[SIGNATURE] = refused.installation.answers.sign(status, body, signature)
        return Response(body, status, headers, problems.MEDIA_TYPE)


def _decoded(decoder: msgspec.json.Decoder[Anything], body: bytes) -> Anything:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _RefusedError(Refusal(Code.INVALID_REQUEST, str(error)[:200])) from error


def _verified(request: Request, body: bytes, public_key: str) -> Received:
    signature = request.headers.get(SIGNATURE, "")
    path = _path(request)
    type_ = request_type(request.method, path)
    if not verify(base64.b64decode(public_key), type_, body, signature):
        raise _RefusedError(Refusal(Code.SIGNATURE_INVALID))
    return Received(path, body, signature, public_key)


def _path(request: Request) -> str:
    """The path with its query as it was sent, which is what the signature covers."""
    path, query = bytes(request.scope["raw_path"]), bytes(request.scope["query_string"])
    return (path + b"?" + query if query else path).decode("ascii", "replace")


def _reply(
    reply: Reply | Refusal, installation: Installation | None = None, received: Received | None = None
) -> Response:
    if isinstance(reply, Refusal):
        raise _RefusedError(reply, installation, received)
    return Response(reply.body, reply.status, {SIGNATURE: reply.signature}, "application/json")


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this type"
    return problems.no_route(request, error)


async def _busy(_request: Request, _error: Exception) -> Response:
    return problems.response(ProblemError(Refusal(Code.RATE_LIMITED, "the store is behind")))


async def _failed(_request: Request, _error: Exception) -> Response:
    """The store failed: the process is about to end, and nothing was promised."""
    body = problems.body(Refusal(Code.STORE_FAILED))
    return Response(body, 503, media_type=problems.MEDIA_TYPE)
