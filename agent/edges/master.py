"""The way to the master: HTTPS with a pinned key, signed requests, and only answers the master signed."""

import base64
import binascii
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import httpcore
import msgspec

from agent.service.link import ENROL, WAKE, NoAnswerError
from agent.store.enrolment import Enrolment
from licensing import wire
from licensing.codes import Code
from licensing.site.share import Reply
from runtime.signing import SigningKey, answer_type, request_type, verify
from runtime.tls import pin_mismatch, pinned_context

SIGNATURE_HEADER = "X-Signature"
KEPT_S = 5.0  # a connection that nobody uses
TIMEOUT_S = 5.0
WAKE_TIMEOUT_S = 70.0
CONNECT_S = 2.0
BROKEN = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, ssl.SSLError, OSError)
MAX_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came from this address, signed or not."""

    url: str
    status: int
    body: bytes
    signature: str
    challenge: str = ""  # what it wants to be shown, of somebody who is no agent


class MasterClient:
    """Speaks to one master as one agent; its addresses are tried in turn, the last good one first."""

    def __init__(self, enrolment: Enrolment, key: SigningKey, pins: Sequence[str] = ()) -> None:
        self._urls = list(enrolment.urls)
        self._key = key
        self._master_key = base64.b64decode(enrolment.enrolled.master_key)
        self._wake_path = (
            f"{WAKE}?installation={enrolment.enrolled.installation}&agent={enrolment.enrolled.agent}"
        )
        self._pool = _pool([*enrolment.pins, *pins])

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    @property
    def url(self) -> str:
        """The address that answered last, or the first one."""
        return self._urls[0]

    async def post(self, path: str, body: bytes) -> Reply:
        """Send a signed request along every path there is; NoAnswerError when none brings an answer."""
        return await self._exchange("POST", path, body, TIMEOUT_S)

    async def wake(self) -> bool:
        """The long poll: True when the master wants a sync."""
        reply = await self._exchange("GET", self._wake_path, b"", WAKE_TIMEOUT_S)
        if reply.status != 200:
            raise NoAnswerError(Code.MASTER_AWAY, f"wake answered with status {reply.status}")
        try:
            return msgspec.json.decode(reply.body, type=wire.Wake).wake
        except msgspec.MsgspecError as error:  # signed all the same: a master of another release
            raise NoAnswerError(Code.VERSION_UNSUPPORTED, f"wake answered with {error}") from error

    async def _exchange(self, method: str, path: str, body: bytes, within_s: float) -> Reply:
        signature = self._key.sign(request_type(method, path), body)
        last: NoAnswerError | None = None
        for url in tuple(self._urls):
            try:
                answer = await _send(self._pool, method, url + path, body, signature, within_s)
                reply = _verified(answer, signature, self._master_key)
            except NoAnswerError as error:
                last = error
                continue
            if url != self._urls[0]:
                self._urls.remove(url)
                self._urls.insert(0, url)
            return reply
        assert last is not None
        try:
            raise last
        finally:
            last = None  # it holds this frame, and with it the request


async def enrol(url: str, pin: str, key: SigningKey, request: wire.Enrol) -> wire.Enrolled | wire.Problem:
    """Bring token and public key to the master; the pin is checked before the first byte leaves.

    The answer must be signed by the master key it names: the pinned connection vouches for that key.
    Raises NoAnswerError.
    """
    body = msgspec.json.encode(request)
    signature = key.sign(request_type("POST", ENROL), body)
    async with _pool([pin]) as pool:
        answer = await _send(pool, "POST", url + ENROL, body, signature, TIMEOUT_S)
    if answer.challenge:
        trouble = f"{url} asks for the token of an administrator: it is no port of agents"
        raise NoAnswerError(
            Code.MASTER_AWAY, f"{trouble}; write the address that `licence-master invite` prints"
        )
    try:
        if answer.status != 200:
            return msgspec.json.decode(answer.body, type=wire.Problem)
        enrolled = msgspec.json.decode(answer.body, type=wire.Enrolled)
        _verified(answer, signature, base64.b64decode(enrolled.master_key, validate=True))
    except (msgspec.DecodeError, binascii.Error) as error:
        raise NoAnswerError(
            Code.MASTER_AWAY, f"{url}: not the answer of a licence master: {error}"
        ) from error
    return enrolled


def _pool(pins: Sequence[str]) -> httpcore.AsyncConnectionPool:
    return httpcore.AsyncConnectionPool(pinned_context(pins), keepalive_expiry=KEPT_S)


async def _send(
    pool: httpcore.AsyncConnectionPool, method: str, url: str, body: bytes, signature: str, within_s: float
) -> _Answer:
    headers: list[tuple[bytes | str, bytes | str]] = [
        (SIGNATURE_HEADER, signature),
        ("Content-Type", "application/json"),
    ]
    patience = {"connect": CONNECT_S, "read": within_s, "write": within_s, "pool": within_s}
    try:
        response = await pool.request(
            method, url, headers=headers, content=body, extensions={"timeout": patience}
        )
    except BROKEN as error:
        if (mismatch := pin_mismatch(error)) is not None:
            raise NoAnswerError(Code.PIN_MISMATCH, str(mismatch)) from error
        raise NoAnswerError(Code.MASTER_AWAY, f"{url}: {str(error) or type(error).__name__}") from error
    if len(response.content) > MAX_ANSWER:
        raise NoAnswerError(Code.TOO_LARGE, f"{url}: an answer of {len(response.content)} bytes")
    told = {name.lower(): value for name, value in response.headers}
    signed = told.get(SIGNATURE_HEADER.lower().encode(), b"").decode("latin-1")
    challenge = told.get(b"www-authenticate", b"").decode("latin-1")
    return _Answer(url, response.status, response.content, signed, challenge)


def _verified(answer: _Answer, request_signature: str, master_key: bytes) -> Reply:
    if not verify(master_key, answer_type(answer.status, request_signature), answer.body, answer.signature):
        code = Code.SIGNATURE_INVALID if answer.signature else _unsigned_reason(answer)
        raise NoAnswerError(code, f"{answer.url}: status {answer.status}, not signed by the master")
    return Reply(answer.status, answer.body, request_signature, answer.signature)


def _unsigned_reason(answer: _Answer) -> Code:
    """Why a master that cannot know us says no: good enough to tell people, not to act on."""
    try:
        return Code(msgspec.json.decode(answer.body, type=wire.Problem).code)
    except (msgspec.DecodeError, ValueError):
        return Code.SIGNATURE_INVALID
