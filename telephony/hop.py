"""The guard as one hop on the way of a message: the marks it makes, and how it knows them again."""

import re
from functools import lru_cache
from typing import Final
from zlib import crc32

from telephony.address import Flow
from telephony.settings import Listener, Settings
from telephony.sip import grammar
from telephony.sip import message as sip
from telephony.sip.answer import build_answer, mark_via, warning
from telephony.sip.message import Message
from telephony.token import Branches, Tokens
from telephony.verdict import Refused

_NEEDED: Final = (sip.FROM, sip.TO, sip.CALL_ID, sip.CSEQ)
DEFAULT_MAX_FORWARDS: Final = 70
# A line of its own above the phone's: Asterisk looks into the first one only.
SUPPORTED_PATH: Final = b"\r\nSupported: path"
DEFAULT_PORTS: Final = {"udp": b":5060", "tcp": b":5060", "tls": b":5061", "ws": b":80", "wss": b":443"}
_SIP_URI: Final = re.compile(rb"[Ss][Ii][Pp]([Ss]?):(?:([^@]*)@)?([^;?]*)(.*+)", re.DOTALL)
_TRANSPORT: Final = re.compile(rb";transport=([a-z]+)", re.IGNORECASE)


class Hop:
    """Via, Path and Record-Route of one guard."""

    def __init__(self, settings: Settings, tokens: Tokens, branches: Branches) -> None:
        self._tokens = tokens
        self._branches = branches
        self._agent = settings.agent
        self._vias = [
            f"Via: SIP/2.0/{listener.transport.upper()} {listener.advertise};rport;branch=".encode()
            for listener in settings.listeners
        ]
        self._uris = [_uri_parts(listener) for listener in settings.listeners]
        self._own_hosts = {name for listener in settings.listeners for name in _spellings(listener)}
        self._addresses = {listener.advertise.encode().lower() for listener in settings.listeners}
        pbx = settings.pbx
        host = f"[{pbx.host}]" if ":" in pbx.host else pbx.host
        self._pbx_address = f"{host}:{pbx.port}".encode().lower()
        self._pbx_transport = settings.listeners[pbx.listener].transport
        self._retry_s = settings.overload_retry_s
        self._reliable = [listener.reliable for listener in settings.listeners]
        self._supported = SUPPORTED_PATH if settings.supported_path else b""

    def branch(self, request: Message, flow: Flow) -> bytes:
        """The branch of our Via for a request that came by `flow`."""
        assert request.via is not None, "routing was checked"
        return self._branches.make(request.via.sent_by, request.via.branch, request, flow)

    def way_back(self, response: Message) -> Flow | None:
        """The flow of the request that this response answers; None when the top Via is not one we made."""
        vias = response.elements(sip.VIA)
        own, sender = response.via, grammar.read_via(vias[1]) if len(vias) > 1 else None
        if own is None or sender is None or own.sent_by.lower() not in self._own_hosts:
            return None
        flow = self._branches.open(own.branch, sender.sent_by, sender.branch, response)
        return flow if flow is not None and flow.listener < len(self._vias) else None

    def path(self, phone: Flow, towards: Flow) -> bytes:
        """The Path line that brings requests of the PBX to this phone (RFC 3327)."""
        before, after = self._uris[towards.listener]
        return b"Path: " + before + self._tokens.make(phone) + after + self._supported

    def record_route(self, phone: Flow, source: Flow, target: Flow) -> bytes:
        """The Record-Route that keeps us on the way of a dialog with this phone (RFC 3261 16.6).

        Where the two sides use different listeners there is one for each, ours towards the target on top, so
        that either side reaches us by the transport and address it knows (RFC 5658).
        """
        token = self._tokens.make(phone)
        before, after = self._uris[target.listener]
        line = b"Record-Route: " + before + token + after
        if source.listener != target.listener:
            before, after = self._uris[source.listener]
            line += b"\r\nRecord-Route: " + before + token + after
        return line

    def own_routes(self, request: Message) -> list[bytes]:
        """The user parts of the leading Route entries that name us; b"" for one without a token."""
        users: list[bytes] = []
        for element in request.elements(sip.ROUTE):
            address = grammar.read_address(element)
            user = None if address is None else self.own_user(address.uri)
            if user is None:
                break
            users.append(user)
        return users

    def own_user(self, uri: bytes) -> bytes | None:
        """The user part of a URI that names us; None when it names another host.

        On a host that we share with the PBX a URI without a port, or with a port that each has for another
        transport, is the PBX's unless it names our transport.
        """
        match = _SIP_URI.fullmatch(uri)
        if match is None:
            return None
        host, named = match[3].lower(), _TRANSPORT.search(match[4])
        transport = named[1].decode().lower() if named else ""
        if host not in self._addresses:
            host += _implied_port(transport, secure=bool(match[1]))
            if host not in self._addresses:
                return None
        if host == self._pbx_address and transport in ("", self._pbx_transport):
            return None
        return match[2] or b""

    def forward(
        self, request: Message, source: Flow, target: Flow, mark: bytes, before: bytes, branch: bytes
    ) -> dict[int, bytes]:
        """The edits of a forwarded request: our Via, `mark` above other `before` headers, one hop less."""
        top = request.line(sip.VIA)
        assert top is not None, "routing was checked"
        marked = mark_via(request, source)
        lines = [self._vias[target.listener] + branch]
        edits: dict[int, bytes] = {}
        hops = request.line(sip.MAX_FORWARDS)
        if hops is None:
            lines.append(b"Max-Forwards: %d" % DEFAULT_MAX_FORWARDS)
        else:
            edits[hops] = _one_hop_less(request.lines[hops])
        if mark:
            first = request.line(before)
            if first is None or first > top:
                lines.append(mark)
            else:
                edits[first] = mark + b"\r\n" + request.lines[first]
        lines.append(request.lines[top] if marked is None else marked)
        edits[top] = b"\r\n".join(lines)
        return edits

    def build(self, message: Message, edits: dict[int, bytes], target: Flow) -> bytes:
        """The edited message for this flow; on a stream it must say how long it is (RFC 3261 18.3)."""
        if self._reliable[target.listener] and sip.CONTENT_LENGTH not in message:
            last = len(message.lines) - 1
            kept = edits.get(last, message.lines[last])
            line = b"Content-Length: %d" % len(message.body)
            edits = {**edits, last: kept + b"\r\n" + line if kept else line}
        return message.build(edits)

    def spent(self, request: Message) -> bool:
        """Whether a request may go no further (Max-Forwards is 0)."""
        return sip.MAX_FORWARDS in request and not request.value(sip.MAX_FORWARDS).strip(b" \t\r\n0")

    def answer(self, request: Message, flow: Flow, status: int, reason: str, *headers: str) -> bytes:
        """An answer of our own; the same request always gets the same bytes."""
        return build_answer(request, flow, status, reason, self._branches.to_tag(request), headers)

    def answerable(self, request: Message) -> bool:
        """Whether it holds what an answer needs (RFC 3261 8.2.6); an ACK is never answered."""
        answered = request.is_request and request.method != b"ACK"
        return answered and request.via is not None and all(name in request for name in _NEEDED)

    def refusal(self, request: Message, flow: Flow, refused: Refused) -> bytes:
        """The answer that refuses: status, sentence, Warning with code and sentence, Retry-After if any."""
        headers = [warning(self._agent, refused.code, refused.sentence)]
        after_s = refused.retry_after_s
        if after_s is None and refused.status == 503:
            after_s = self._retry_after_s(request)
        if after_s is not None:
            headers.append(f"Retry-After: {after_s}")
        return self.answer(request, flow, refused.status, refused.sentence, *headers)

    def unavailable(self, request: Message, flow: Flow) -> bytes:
        """503: not now, and when to try again."""
        header = f"Retry-After: {self._retry_after_s(request)}"
        return self.answer(request, flow, 503, "Service Unavailable", header)

    def _retry_after_s(self, request: Message) -> int:
        """Spread over three times the configured time after it, so that not all come back at once.

        Another request of the same phone gets another time, a repeat the same one.
        """
        seed = b"%b %d" % (request.call_id, request.cseq_number)
        return self._retry_s + crc32(seed) % (3 * self._retry_s + 1)

    def answered_here(self, request: Message) -> bool:
        """Whether this request (an ACK) belongs to an answer of our own."""
        return request.tag(sip.TO) == self._branches.to_tag(request)


@lru_cache(1_024)
def _one_hop_less(line: bytes) -> bytes:
    spelled, _, value = line.partition(b":")
    return spelled + b":" + value.replace(value.strip(), b"%d" % (int(value) - 1))


def _uri_parts(listener: Listener) -> tuple[bytes, bytes]:
    """What stands before and after the token in a Path or Record-Route that leads to this listener.

    `transport=tls` with `sip:` is what PBXs write and read; a `sips:` would force TLS on all hops.
    Secure WebSockets too say `transport=ws` (RFC 7118 section 5.3).
    """
    transport = {"udp": "", "wss": ";transport=ws"}.get(
        listener.transport, f";transport={listener.transport}"
    )
    return b"<sip:", f"@{listener.advertise}{transport};lr>".encode()


def _implied_port(transport: str, *, secure: bool) -> bytes:
    """What a URI without a port means by it (RFC 3261 19.1.2, RFC 7118 5.2)."""
    if secure:
        transport = "wss" if transport.startswith("ws") else "tls"
    return DEFAULT_PORTS.get(transport, b":5060")


def _spellings(listener: Listener) -> set[bytes]:
    lower = listener.advertise.encode().lower()
    return {lower, lower.removesuffix(DEFAULT_PORTS[listener.transport])}
