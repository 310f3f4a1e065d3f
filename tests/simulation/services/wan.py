"""The way between agents and master: signed HTTP in memory, over a network that the seed makes bad.

The agent's end is a `Link` as the services want it; the master's end is the real ASGI application of the
agents' door, called without a server. What is lost is a request or an answer that never comes.
"""

import asyncio
import base64
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from random import Random
from typing import Any, NamedTuple

import msgspec

from agent.service.link import WAKE, NoAnswerError
from agent.store.enrolment import Enrolment
from licensing import wire
from licensing.codes import Code
from licensing.site.share import Reply
from runtime.signing import SigningKey, answer_type, request_type, verify
from tests.simulation.services.loop import SeededLoop

PATIENCE_S = 5.0
CONNECT_S = 2.0
WAKE_PATIENCE_S = 70.0


class Asked(NamedTuple):
    """One request as it travels."""

    agent: str
    method: str
    path: str
    body: bytes
    signature: str


class Told(NamedTuple):
    """One answer as it travels; status 0: the connection was refused or reset."""

    status: int
    body: bytes
    signature: str


RESET = Told(0, b"", "")
Answer = Callable[[Told], None]
Door = Callable[[Asked, Answer], None]


class Wan:
    """Carries requests to the door and answers back: lost, late, twice, out of order, or cut off."""

    def __init__(self, loop: SeededLoop, dice: Random) -> None:
        self._loop = loop
        self._dice = dice
        self._context = copy_context()
        self.loss = 0.0
        self.repeats = 0.0
        self.late_s = 0.05
        self.cut: set[str] = set()
        self.door: Door = _closed
        self.asked = 0

    def calm(self) -> None:
        """A good network from now on."""
        self.loss = self.repeats = 0.0
        self.late_s = 0.05
        self.cut.clear()

    def ask(self, asked: Asked, answer: Answer) -> None:
        """Send a request; `answer` may be called never, once or twice."""
        self.asked += 1
        self._loop.note("asks", asked.path[:20], len(asked.body))
        back = partial(self._back, asked.agent, answer)
        if asked.agent in self.cut:
            return
        for delay in self._trips():
            self._later(delay, self._arrive, asked, back)

    def _arrive(self, asked: Asked, back: Answer) -> None:
        if asked.agent not in self.cut:
            self.door(asked, back)

    def _back(self, agent: str, answer: Answer, told: Told) -> None:
        for delay in self._trips():
            self._later(delay, self._deliver, agent, answer, told)

    def _deliver(self, agent: str, answer: Answer, told: Told) -> None:
        if agent not in self.cut:
            answer(told)

    def _trips(self) -> Sequence[float]:
        dice = self._dice
        if self.loss and dice.random() < self.loss:
            return ()
        first = 0.001 + dice.random() * self.late_s
        if self.repeats and dice.random() < self.repeats:
            return first, 0.001 + dice.random() * 4 * self.late_s
        return (first,)

    def _later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        self._loop.call_later(delay, function, *args, context=self._context)


class WanLink:
    """`agent.service.link.Link` over the simulated network; `sent` sees each request before it leaves."""

    url = "https://master.example:8443"

    def __init__(
        self, wan: Wan, enrolment: Enrolment, key: SigningKey, sent: Callable[[str, bytes], None]
    ) -> None:
        enrolled = enrolment.enrolled
        self._wan = wan
        self._agent = enrolled.agent
        self._key = key
        self._master_key = wire_key(enrolled)
        self._wake_path = f"{WAKE}?installation={enrolled.installation}&agent={enrolled.agent}"
        self._sent = sent

    async def post(self, path: str, body: bytes) -> Reply:
        """Send a signed request; raises NoAnswerError."""
        self._sent(path, body)
        return await self._exchange("POST", path, body, PATIENCE_S)

    async def wake(self) -> bool:
        """Wait until the master wants a sync; raises NoAnswerError."""
        reply = await self._exchange("GET", self._wake_path, b"", WAKE_PATIENCE_S)
        if reply.status != 200:
            raise NoAnswerError(Code.MASTER_AWAY, f"wake answered with status {reply.status}")
        return msgspec.json.decode(reply.body, type=wire.Wake).wake

    async def _exchange(self, method: str, path: str, body: bytes, patience_s: float) -> Reply:
        signature = self._key.sign(request_type(method, path), body)
        if self._agent in self._wan.cut:
            patience_s = CONNECT_S
        told = await exchange(self._wan, Asked(self._agent, method, path, body, signature), patience_s)
        if told.status == 0:
            raise NoAnswerError(Code.MASTER_AWAY, "no answer")
        if not verify(self._master_key, answer_type(told.status, signature), told.body, told.signature):
            raise NoAnswerError(_unsigned_reason(told), f"status {told.status}, not signed by the master")
        return Reply(told.status, told.body, signature, told.signature)


async def exchange(wan: Wan, asked: Asked, patience_s: float) -> Told:
    """The first answer, or RESET when none comes in time."""
    future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
    wan.ask(asked, partial(_settle, future))
    try:
        async with asyncio.timeout(patience_s):
            return await future
    except TimeoutError:
        return RESET


def wire_key(enrolled: wire.Enrolled) -> bytes:
    """The raw public key of the master."""
    return base64.b64decode(enrolled.master_key)


def _settle(future: "asyncio.Future[Told]", told: Told) -> None:
    if not future.done():
        future.set_result(told)


def _unsigned_reason(told: Told) -> Code:
    try:
        return Code(msgspec.json.decode(told.body, type=wire.Problem).code)
    except (msgspec.DecodeError, ValueError):
        return Code.SIGNATURE_INVALID


def _closed(asked: Asked, answer: Answer) -> None:
    answer(RESET)


async def call(app: Any, asked: Asked) -> Told:
    """One request through an ASGI application; 500 without a body when it raises after that."""
    path, _, query = asked.path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"x-signature", asked.signature.encode())],
        "client": ("192.0.2.1", 4711),
        "server": ("192.0.2.2", 8443),
    }
    events = [{"type": "http.request", "body": asked.body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return events.pop() if events else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    status: int = sent[0]["status"]
    headers = dict(sent[0]["headers"])
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Told(status, body, headers.get(b"x-signature", b"").decode())
