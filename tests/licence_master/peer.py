"""A small agent for tests: it speaks the protocol, keeps what an agent keeps, and can misbehave."""

import base64
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec

from licensing import wire
from runtime.signing import SigningKey, answer_type, request_type, verify
from runtime.tls import pinned_context

T = TypeVar("T")


@dataclass
class Said:
    """One answer as it came."""

    status: int
    body: bytes
    signature: str
    request_signature: str

    def decoded(self, type_: type[T]) -> T:
        assert self.status == 200, self.body
        return msgspec.json.decode(self.body, type=type_)

    @property
    def code(self) -> str:
        """The code of a problem document."""
        problem = msgspec.json.decode(self.body, type=wire.Problem)
        assert problem.status == self.status
        return problem.code


@dataclass
class Peer:
    """One agent: its key, its identity and its last answers."""

    url: str
    pin: str
    key: SigningKey = field(default_factory=SigningKey.generate)
    name: str = ""
    installation: str = ""
    epoch: int = 0
    instance: str = ""
    term: int = 0
    seq: int = 0
    prev: str = ""
    boot: str = "boot-1"
    software: int = 13
    master_key: bytes = b""
    activity: int = 0
    last: Said | None = None
    last_sent: tuple[str, bytes] = ("", b"")
    proofs: list[wire.Proof] = field(default_factory=list)
    shares: dict[str, int] = field(default_factory=dict)
    roster_version: int = 0
    source: str | None = None
    """The address that it speaks from; strangers are counted by it."""

    def __post_init__(self) -> None:
        self.http = self.client()

    def client(self) -> httpx.AsyncClient:
        way = httpx.AsyncHTTPTransport(verify=pinned_context([self.pin]), local_address=self.source)
        return httpx.AsyncClient(base_url=self.url, transport=way, timeout=60)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def move_to(self, url: str) -> None:
        """The master serves at another port now."""
        await self.http.aclose()
        self.url = url
        self.http = self.client()

    # raw

    async def send(self, method: str, path: str, body: bytes, *, key: SigningKey | None = None) -> Said:
        signature = (key or self.key).sign(request_type(method, path), body)
        return await self.send_signed(method, path, body, signature)

    async def send_signed(self, method: str, path: str, body: bytes, signature: str) -> Said:
        response = await self.http.request(method, path, content=body, headers={"X-Signature": signature})
        return Said(
            response.status_code, response.content, response.headers.get("X-Signature", ""), signature
        )

    def is_signed(self, said: Said) -> bool:
        """Did the master that enrolled us sign this answer, for this very request?"""
        type_ = answer_type(said.status, said.request_signature)
        return verify(self.master_key, type_, said.body, said.signature)

    # protocol

    async def enrol(self, token: str) -> Said:
        public_key = base64.b64encode(self.key.public).decode()
        message = wire.Enrol(
            v=1, token=token, public_key=public_key, software=wire.Software(release=self.software)
        )
        said = await self.send("POST", "/v1/agent/enrol", msgspec.json.encode(message))
        if said.status == 200:
            enrolled = said.decoded(wire.Enrolled)
            self.name, self.installation = enrolled.agent, enrolled.installation
            self.epoch, self.instance, self.term = enrolled.epoch, enrolled.instance, enrolled.term
            self.prev, self.master_key = enrolled.nonce, base64.b64decode(enrolled.master_key)
            self.seq, self.proofs, self.shares = 0, [], {}
            assert self.is_signed(said)
        return said

    def fields(self, seq: int | None = None) -> dict[str, object]:
        return {
            "v": 1,
            "agent": self.name,
            "installation": self.installation,
            "epoch": self.epoch,
            "instance": self.instance,
            "term": self.term,
            "seq": self.seq if seq is None else seq,
            "prev": self.prev,
        }

    def sync_body(self, classes: dict[str, wire.ClassDemand], **more: object) -> bytes:
        message = {
            **self.fields(),
            "boot": self.boot,
            "sent_at_ms": 0,
            "software": wire.Software(release=self.software),
            "classes": classes,
            "roster_version": self.roster_version,
            **more,
        }
        return msgspec.json.encode(message)

    async def sync(self, want: dict[str, int], idle: dict[str, int] | None = None, **more: object) -> Said:
        """A fresh sync; `want` by class, `idle` of it preference, all but that used as far as it is lent."""
        demand = {}
        for name, units in want.items():
            spare = (idle or {}).get(name, 0)
            used = min(units - spare, self.shares.get(name, 0))
            demand[name] = wire.ClassDemand(used=used, want=units, idle=spare)
        self.seq += 1
        return self.take(await self.post("/v1/agent/sync", self.sync_body(demand, **more)))

    async def hello(self, want: dict[str, int]) -> Said:
        """A hello with everything that proves what was lent."""
        demand = {name: wire.ClassDemand(used=units, want=units) for name, units in want.items()}
        self.seq += 1
        body = self.sync_body(demand, proofs=self.proofs)
        return self.take(await self.post("/v1/agent/hello", body))

    async def bye(self) -> Said:
        self.seq += 1
        return self.take(await self.post("/v1/agent/bye", msgspec.json.encode(self.fields())))

    async def wake(self) -> bool:
        path = f"/v1/agent/wake?agent={self.name}&installation={self.installation}"
        said = await self.send("GET", path, b"")
        assert self.is_signed(said)
        return said.decoded(wire.Wake).wake

    async def post(self, path: str, body: bytes) -> Said:
        self.last_sent = (path, body)
        return await self.send("POST", path, body)

    async def again(self) -> Said:
        """The last request once more, byte for byte."""
        return await self.post(*self.last_sent)

    def take(self, said: Said) -> Said:
        """Apply an answer as an agent would."""
        self.last = said
        if said.status != 200:
            return said
        assert self.is_signed(said)
        answer = said.decoded(wire.Answer)
        assert answer.ack_seq == self.seq
        self.epoch, self.instance, self.term, self.prev = (
            answer.epoch,
            answer.instance,
            answer.term,
            answer.nonce,
        )
        self.activity = answer.ack_activity
        self.shares = {name: share.granted for name, share in answer.shares.items()}
        proof = wire.Proof(
            base64.b64encode(said.body).decode(), said.status, said.request_signature, said.signature
        )
        if answer.roster is not None:
            self.roster_version = answer.roster.version
        with_roster = [kept for kept in self.proofs if b'"roster":{' in base64.b64decode(kept.body)][-1:]
        self.proofs = [*with_roster, proof]
        return said

    def answer(self) -> wire.Answer:
        assert self.last is not None
        return self.last.decoded(wire.Answer)


def happened(n: int, name: str, event: str = "held", class_: str = "seat") -> dict[str, object]:
    """One activity event as JSON."""
    return {"n": n, "at_ms": n, "object": name, "kind": "user", "class": class_, "event": event}
