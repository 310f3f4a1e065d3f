"""A licence master of a few lines for the agent's tests: HTTPS with a pin, signed answers, a script."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.store.enrolment import Enrolment
from licence_master.edges import problems
from licence_master.edges.problems import ProblemError
from licensing import wire
from licensing.codes import Code, Refusal, sentence, status
from runtime.server import bound_port, listen_tcp, serve
from runtime.signing import SigningKey, answer_type, request_type, verify
from runtime.tls import make_certificate, pin_of_certificate
from telephony.cdr.wire import MAX_BATCH, Batch, BatchAnswer, Record, Unread

POLICY = wire.Policy(
    etag="1",
    kinds={"user": "seat", "trunk": "seat", "group": None},
    linger_s={"user": 0, "trunk": 0},
)
TOKEN = "id.secret"


class ScriptedMaster:
    """Lends what it has to one agent; `say` makes the next answers something else."""

    def __init__(self, directory: Path, capacity: int = 10) -> None:
        self.capacity = capacity
        self.policy = POLICY
        self.key = SigningKey.generate()
        self.signing_key = self.key
        self.term = 1
        self.instance = "one"
        self.epoch = 1
        self.next_ms = 600_000
        self.agent_key = b""
        self.requests: list[tuple[str, bytes]] = []
        self.arrived: asyncio.Queue[tuple[str, wire.Sync]] = asyncio.Queue()
        self.say: list[Code] = []
        self.down = False  # every answer is a bare 502, as of a proxy whose master is gone
        self.unsigned: list[Code] = []
        self.of_administrators = False  # it is their port that answers, which knows no agents
        self.on_enrol: Callable[[], object] = lambda: None
        self.open = asyncio.Event()  # cleared: requests that it `holds` get no answer
        self.holds: Callable[[wire.Sync], bool] = lambda message: True
        self.open.set()
        self.woken: asyncio.Queue[bool] = asyncio.Queue()
        self.polls: asyncio.Queue[None] = asyncio.Queue()
        self.recalling = 0
        self.recall_to: int | None = None
        self.state: Literal["open", "short", "recovering", "frozen"] = "open"
        self.holders_wanted: tuple[str, ...] = ()
        self.port = 0
        self._stopping = asyncio.Event()
        self.garbles_wake = False
        self._nonce = 0
        self._directory = directory
        self._last: tuple[bytes, Response] | None = None
        self.spools: dict[str, list[Batch]] = {}
        self.takes_records = True
        self.heard_records = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def pin(self) -> str:
        """The pin of its certificate."""
        return pin_of_certificate((self._directory / "tls.crt").read_bytes())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedMaster"]:
        """Serve until the block ends."""
        if not (self._directory / "tls.crt").exists():
            make_certificate(self._directory, "master")
        listener = listen_tcp("127.0.0.1", self.port)
        self.port = bound_port(listener)
        stop, started = asyncio.Event(), asyncio.Event()
        tls = (self._directory / "tls.crt", self._directory / "tls.key")
        routes = [
            Route("/v1/agent/{what:str}", self._answer, methods=["POST"]),
            Route("/v1/agent/wake", self._wake, methods=["GET"]),
        ]
        app = Starlette(routes=routes)
        task = asyncio.create_task(serve(app, listener, stop=stop, tls=tls, on_started=started.set))
        await started.wait()
        try:
            yield self
        finally:
            stop.set()
            self._stopping.set()
            self.open.set()
            await task

    def enrolment(self, name: str, agent_key: SigningKey) -> Enrolment:
        """What `join` would have brought home."""
        self.agent_key = agent_key.public
        return Enrolment((self.url,), (self.pin,), self._enrolled(name))

    def _enrolled(self, name: str) -> wire.Enrolled:
        return wire.Enrolled(
            v=1,
            agent=name,
            installation="acme",
            epoch=self.epoch,
            instance=self.instance,
            term=self.term,
            master_key=base64.b64encode(self.key.public).decode(),
            nonce="n0",
            policy=self.policy,
            roster=wire.Roster(1, {}),
        )

    async def _answer(self, request: Request) -> Response:
        body, path = await request.body(), request.url.path
        self.requests.append((path, body))
        if self.of_administrators:
            return problems.response(ProblemError(Refusal(Code.TOKEN_INVALID, "none was sent")))
        if path.endswith("/enrol"):
            self.on_enrol()
            return self._enrol(request, body)
        if path.endswith("/cdrs"):
            return self._keep_records(request, body)
        header = request.headers["X-Signature"]
        assert verify(self.agent_key, request_type("POST", path), body, header)
        message = self._decoded(path, body)
        self.arrived.put_nowait((path, message))
        if self.holds(message):
            await self.open.wait()
        if self.down:
            return Response(status_code=502)
        if self.unsigned:
            answer = self._problem(self.unsigned.pop(0), header)
            del answer.headers["X-Signature"]
            return answer
        if self.say:
            return self._problem(self.say.pop(0), header)
        if self._last is not None and self._last[0] == body:
            return self._last[1]
        response = self._signed(200, self._lend(message), header)
        self._last = (body, response)
        return response

    def _keep_records(self, request: Request, body: bytes) -> Response:
        header = request.headers["X-Signature"]
        assert verify(self.agent_key, request_type("POST", request.url.path), body, header)
        assert len(body) <= MAX_BATCH
        if not self.takes_records:
            return Response(status_code=502)
        batch = msgspec.json.decode(body, type=Batch)
        kept = self.spools.setdefault(batch.spool, [])
        if batch.number == len(kept) + 1:
            kept.append(batch)
        self.heard_records.set()
        return self._signed(200, BatchAnswer(batch.spool, len(kept)), header)

    def records(self) -> list[Record]:
        """The call records of all batches that were kept."""
        return [record for kept in self.spools.values() for batch in kept for record in batch.records]

    def unread(self) -> list[Unread]:
        """What could not be read, of all batches that were kept."""
        return [entry for kept in self.spools.values() for batch in kept for entry in batch.unread]

    async def until_records(self, enough: Callable[[], bool], within_s: float = 20) -> None:
        """Wait until the batches are what is waited for."""
        async with asyncio.timeout(within_s):
            while not enough():
                self.heard_records.clear()
                await self.heard_records.wait()

    def _decoded(self, path: str, body: bytes) -> wire.Sync:
        if not path.endswith("/bye"):
            return msgspec.json.decode(body, type=wire.Hello)
        bye = msgspec.json.decode(body, type=wire.Bye)
        fields = {name: getattr(bye, name) for name in bye.__struct_fields__}
        return wire.Sync(boot="", sent_at_ms=0, software=wire.Software(0), classes={}, **fields)

    def _enrol(self, request: Request, body: bytes) -> Response:
        message = msgspec.json.decode(body, type=wire.Enrol)
        self.agent_key = base64.b64decode(message.public_key)
        header = request.headers["X-Signature"]
        assert verify(self.agent_key, request_type("POST", request.url.path), body, header)
        if message.token != TOKEN:
            return self._problem(Code.TOKEN_INVALID, header)
        return self._signed(200, self._enrolled("lyon"), header)

    async def _wake(self, request: Request) -> Response:
        self.polls.put_nowait(None)
        woken, stopping = (
            asyncio.ensure_future(self.woken.get()),
            asyncio.ensure_future(self._stopping.wait()),
        )
        await asyncio.wait([woken, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        wake = woken.done()
        woken.cancel()
        said = wire.Enrol(v=1, token="", public_key="", software=wire.Software(1))  # no wake at all
        message = said if self.garbles_wake else wire.Wake(wake)
        return self._signed(200, message, request.headers["X-Signature"])

    def _lend(self, message: wire.Sync) -> wire.Answer:
        self._nonce += 1
        shares, denials = {}, {}
        for class_, demand in message.classes.items():
            granted = min(demand.want, self.capacity)
            shares[class_] = wire.ShareGrant(granted, 13, self.recall_to, self.state)
            if demand.want - demand.idle > granted:
                denials[class_] = wire.Denial(
                    asked=demand.want,
                    granted=granted,
                    code=Code.NO_FREE_LICENCE.value,
                    capacity=self.capacity,
                    used=self.capacity,
                    recalling=self.recalling,
                    hint="Install more.",
                )
        return wire.Answer(
            v=1,
            instance=self.instance,
            term=self.term,
            epoch=self.epoch,
            ack_seq=message.seq,
            ack_activity=message.activity[-1].n if message.activity else 0,
            nonce=f"n{self._nonce}",
            now_ms=message.sent_at_ms,
            next_ms=self.next_ms,
            shares=shares,
            denials=denials,
            holders_wanted=self.holders_wanted,
            policy=None if message.policy_etag == self.policy.etag else self.policy,
        )

    def _problem(self, code: Code, request_signature: str) -> Response:
        problem = wire.Problem("about:blank", sentence(code), status(code), code.value)
        return self._signed(status(code), problem, request_signature)

    def _signed(self, number: int, message: msgspec.Struct, request_signature: str) -> Response:
        body = msgspec.json.encode(message)
        signature = self.signing_key.sign(answer_type(number, request_signature), body)
        return Response(body, number, {"X-Signature": signature}, "application/json")
