"""Texts that only we can make: flow tokens for Path and Record-Route, branches that carry the way back.

A token is a keyed BLAKE2 sum and the flow in clear, as in `9f…c2.0.5060.0.192-0-2-55`: traces stay readable,
nothing is stored, and nobody forges a destination (RFC 5626 section 5.2 asks for this).
"""

from functools import lru_cache
from hashlib import blake2s
from hmac import compare_digest
from typing import Final

from telephony.address import Flow
from telephony.sip.message import FROM, Message

CACHE_LIMIT: Final = 20_000
MAGIC_COOKIE: Final = b"z9hG4bK"
_SUM_BYTES: Final = 10
_SUM_TEXT: Final = 2 * _SUM_BYTES


class Tokens:
    """Flow tokens under a stored key (at most 32 bytes), so that a Path survives a restart."""

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2s(key=key, person=b"flow", digest_size=_SUM_BYTES)
        self._made: dict[Flow, bytes] = {}

    def make(self, flow: Flow) -> bytes:
        """The user part of a URI that leads to this flow."""
        token = self._made.get(flow)
        if token is None:
            if len(self._made) >= CACHE_LIMIT:
                self._made.clear()
            text = _write_flow(flow)
            token = self._made[flow] = _sum(self._keyed, text) + b"." + text
        return token

    def open(self, token: bytes) -> Flow | None:
        """The flow of a token that we made; None for any other text."""
        text = token[_SUM_TEXT + 1 :]
        if not compare_digest(token[: _SUM_TEXT + 1], _sum(self._keyed, text) + b"."):
            return None
        return _read_flow(text)


class Branches:
    """Via branches and To tags, computed from the request alone so that repeats get the same (16.11)."""

    def __init__(self, secret: bytes) -> None:
        self._keyed = blake2s(key=secret, person=b"branch", digest_size=_SUM_BYTES)
        self._keyed_for_tags = blake2s(key=secret, person=b"tag", digest_size=_SUM_BYTES)

    def make(self, sent_by: bytes, branch: bytes, request: Message, flow: Flow) -> bytes:
        """The branch for a request that came with this Via, whose response goes back by `flow`.

        INVITE, its CANCEL and its ACK for a failure share Via branch, Call-ID and CSeq number, so they share
        ours. All parts come back in the response, so that `open` can check them.
        """
        text = _write_flow(flow)
        return MAGIC_COOKIE + self._sum(sent_by, branch, request, text) + b"." + text

    def open(self, own: bytes, sent_by: bytes, branch: bytes, response: Message) -> Flow | None:
        """The way back when we made `own` for the request whose sender's Via is next in the response."""
        text = own[len(MAGIC_COOKIE) + _SUM_TEXT + 1 :]
        made = MAGIC_COOKIE + self._sum(sent_by, branch, response, text) + b"." + text
        if not compare_digest(own, made):
            return None
        return _read_flow(text)

    def to_tag(self, request: Message) -> bytes:
        """The To tag of an answer of our own; the ACK for it is known by it."""
        parts = b"\n".join((request.call_id, request.tag(FROM)))
        return b"g" + _sum(self._keyed_for_tags, parts)

    def _sum(self, sent_by: bytes, branch: bytes, message: Message, text: bytes) -> bytes:
        number = b"%d" % message.cseq_number
        parts = b"\n".join((sent_by, branch, message.call_id, number, text))
        return _sum(self._keyed, parts)


def _sum(keyed: blake2s, text: bytes) -> bytes:
    state = keyed.copy()
    state.update(text)
    return state.hexdigest().encode()


@lru_cache(CACHE_LIMIT)
def _write_flow(flow: Flow) -> bytes:
    host = flow.host
    if ":" in host:
        host = host.replace(":", "_").replace("%", "~")
    return f"{flow.listener}.{flow.port}.{flow.connection}.{host}".encode()


def _read_flow(text: bytes) -> Flow:
    listener, port, connection, host = text.decode().split(".", 3)
    return Flow(int(listener), host.replace("_", ":").replace("~", "%"), int(port), int(connection))
