"""The way to the master: HTTPS with a pinned key, signed requests, and only answers the master signed."""

import base64
import binascii
import ssl
from collections.abc import Sequence

import httpx
import msgspec

from agent.service.link import ENROL, WAKE, NoAnswerError
from agent.store.enrolment import Enrolment
from licensing import wire
from licensing.codes import Code
from licensing.site.share import Reply
from runtime.answers import detached
from runtime.signing import SigningKey, answer_type, request_type, verify
from runtime.tls import PinMismatchError, pinned_context

SIGNATURE_HEADER = "X-Signature"
TIMEOUT = httpx.Timeout(5.0, connect=2.0)
WAKE_TIMEOUT = httpx.Timeout(70.0, connect=2.0)
MAX_ANSWER = 4 * 1024 * 1024


class MasterClient:
    """Speaks to one master as one agent; its addresses are tried in turn, the last good one first."""

    def __init__(self, enrolment: Enrolment, key: SigningKey, pins: Sequence[str] = ()) -> None:
        self._urls = list(enrolment.urls)
        self._key = key
        self._master_key = base64.b64decode(enrolment.enrolled.master_key)
        self._wake_path = (
            f"{WAKE}?installation={enrolment.enrolled.installation}&agent={enrolment.enrolled.agent}"
        )
        self._client = httpx.AsyncClient(
            verify=pinned_context([*enrolment.pins, *pins]), timeout=TIMEOUT, trust_env=False
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @property
    def url(self) -> str:
        """The address that answered last, or the first one."""
        return self._urls[0]

    async def post(self, path: str, body: bytes) -> Reply:
        """Send a signed request along every path there is; NoAnswerError when none brings an answer."""
        return await self._exchange("POST", path, body, TIMEOUT)

    async def wake(self) -> bool:
        """The long poll: True when the master wants a sync."""
        reply = await self._exchange("GET", self._wake_path, b"", WAKE_TIMEOUT)
        if reply.status != 200:
            raise NoAnswerError(Code.MASTER_AWAY, f"wake answered with status {reply.status}")
        try:
            return msgspec.json.decode(reply.body, type=wire.Wake).wake
        except msgspec.MsgspecError as error:  # signed all the same: a master of another release
            raise NoAnswerError(Code.VERSION_UNSUPPORTED, f"wake answered with {error}") from error

    async def _exchange(self, method: str, path: str, body: bytes, patience: httpx.Timeout) -> Reply:
        signature = self._key.sign(request_type(method, path), body)
        last: NoAnswerError | None = None
        for url in tuple(self._urls):
            try:
                response = await _send(self._client, method, url + path, body, signature, patience)
                reply = _verified(response, signature, self._master_key)
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
    async with httpx.AsyncClient(verify=pinned_context([pin]), timeout=TIMEOUT, trust_env=False) as client:
        response = await _send(client, "POST", url + ENROL, body, signature, TIMEOUT)
    try:
        if response.status_code != 200:
            return msgspec.json.decode(response.content, type=wire.Problem)
        enrolled = msgspec.json.decode(response.content, type=wire.Enrolled)
        _verified(response, signature, base64.b64decode(enrolled.master_key, validate=True))
    except (msgspec.DecodeError, binascii.Error) as error:
        raise NoAnswerError(
            Code.MASTER_AWAY, f"{url}: not the answer of a licence master: {error}"
        ) from error
    return enrolled


async def _send(
    client: httpx.AsyncClient, method: str, url: str, body: bytes, signature: str, patience: httpx.Timeout
) -> httpx.Response:
    headers = {SIGNATURE_HEADER: signature, "Content-Type": "application/json"}
    try:
        response = detached(
            await client.request(method, url, content=body, headers=headers, timeout=patience)
        )
    except (httpx.HTTPError, ssl.SSLError, OSError) as error:
        if (mismatch := _pin_mismatch(error)) is not None:
            raise NoAnswerError(Code.PIN_MISMATCH, str(mismatch)) from error
        raise NoAnswerError(Code.MASTER_AWAY, f"{url}: {str(error) or type(error).__name__}") from error
    if len(response.content) > MAX_ANSWER:
        raise NoAnswerError(Code.TOO_LARGE, f"{url}: an answer of {len(response.content)} bytes")
    return response


def _verified(response: httpx.Response, request_signature: str, master_key: bytes) -> Reply:
    header, body = response.headers.get(SIGNATURE_HEADER, ""), response.content
    if not verify(master_key, answer_type(response.status_code, request_signature), body, header):
        code = Code.SIGNATURE_INVALID if header else _unsigned_reason(response)
        raise NoAnswerError(code, f"{response.url}: status {response.status_code}, not signed by the master")
    return Reply(response.status_code, body, request_signature, header)


def _unsigned_reason(response: httpx.Response) -> Code:
    """Why a master that cannot know us says no: good enough to tell people, not to act on."""
    try:
        return Code(msgspec.json.decode(response.content, type=wire.Problem).code)
    except (msgspec.DecodeError, ValueError):
        return Code.SIGNATURE_INVALID


def _pin_mismatch(error: BaseException | None) -> PinMismatchError | None:
    while error is not None:
        if isinstance(error, PinMismatchError):
            return error
        error = error.__cause__ or error.__context__
    return None
