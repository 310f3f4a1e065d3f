"""Kamailio's questions as messages of the guard: Kamailio is the SIP edge, and asks before it saves.

A question is a REGISTER that comes to the guard through one more proxy. That the guard forwards it means
"go on"; that it answers means "no". What Kamailio holds then comes to the guard as the answer of the PBX.
So there is one guard, and one set of rules, whoever stands at the edge.
"""

import re
from typing import Final

from telephony.address import Flow
from telephony.pbx.kamailio import Ask, Held
from telephony.settings import Listener
from telephony.sip import message as sip
from telephony.sip.message import Message, scan

# The guard's only listener where Kamailio asks; the host is in no network (RFC 6761).
LISTENER: Final = Listener("tcp", "kamailio.invalid:5060")
GO_ON: Final = 100
_OWN: Final = b"Via: SIP/2.0/TCP kamailio.invalid;branch=z9hG4bK"
# Both are above everything that a phone wrote.
_QUESTION: Final = re.compile(rb"\r\nVia: SIP/2\.0/TCP kamailio\.invalid;branch=z9hG4bK([0-9]+:[0-9]+)")
_TOP_VIA: Final = re.compile(rb"\r\n(Via: [^\r]+)\r\n")
_NEEDED: Final = (sip.FROM, sip.TO, sip.CALL_ID, sip.CSEQ)
_TOLD: Final = (sip.WARNING, sip.RETRY_AFTER)


class Question:
    """One REGISTER at Kamailio; `via` is the guard's own, once it has forwarded it."""

    __slots__ = ("request", "via")

    def __init__(self, request: Message) -> None:
        self.request = request
        self.via = b""


class Questions:
    """The questions that are open, at most `limit`; beyond it the oldest are forgotten."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, Question] = {}

    def __len__(self) -> int:
        return len(self._open)

    def asked(self, ask: Ask) -> bytes | None:
        """The REGISTER as the guard takes it in; None for what it could not answer."""
        start, _, rest = ask.message.partition(b"\r\n")
        data = b"%s\r\n%s%s\r\n%s" % (start, _OWN, ask.question.encode(), rest)
        request = scan(data)
        if request is None or request.method != b"REGISTER" or not _answerable(request):
            return None
        if len(self._open) >= self._limit:
            del self._open[next(iter(self._open))]
        self._open[ask.question] = Question(request)
        return data

    def said(self, data: bytes) -> bytes | None:
        """The frame for Kamailio that follows from what the guard sends; None for what it knows already."""
        match = _QUESTION.search(data)
        question = None if match is None else match[1].decode()
        asked = None if question is None else self._open.get(question)
        if question is None or asked is None:
            return None
        if not data.startswith(b"SIP/2.0 "):
            top = _TOP_VIA.search(data)
            asked.via = b"" if top is None else top[1]
            return answer(question, GO_ON, b"", b"")
        del self._open[question]
        response = None if asked.via else scan(data)
        if response is None:
            return None
        lines = [response.lines[number] for name in _TOLD for number in response.line_numbers(name)]
        reason = response.lines[0].split(b" ", 2)[2]
        return answer(question, response.status, b"".join(line + b"\r\n" for line in lines), reason)

    def settled(self, held: Held) -> bytes | None:
        """What the PBX, were it behind the guard, would answer; None when the guard waits for nothing."""
        asked = self._open.get(held.question)
        if asked is None or not asked.via:
            return None
        request = asked.request
        lines = [b"SIP/2.0 200 OK" if held.saved else b"SIP/2.0 500 Not saved", asked.via]
        lines.append(_OWN + held.question.encode())
        lines += [request.lines[request.line_numbers(name)[0]] for name in _NEEDED]
        if held.saved and not held.contacts:
            lines.append(b"Expires: 0")  # nothing is bound, whatever was asked
        if held.saved:
            for uri, left_s in held.contacts:
                expires = b"" if left_s is None else b";expires=%d" % left_s
                lines.append(b"Contact: <%s>%s" % (uri.encode(), expires))
        return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])


def answer(question: str, status: int, headers: bytes, reason: bytes) -> bytes:
    """A frame for Kamailio: `INDEX|LABEL|STATUS|HEADERS|REASON`; status 100 is "go on"."""
    index, _, label = question.partition(":")
    return b"%s|%s|%d|%s|%s|" % (index.encode(), label.encode(), status, headers, reason)


def later(question: str) -> bytes:
    """Not now: the source sent too much, or our disk is behind."""
    return answer(question, 503, b"Retry-After: 5\r\n", b"Service Unavailable")


def unreadable(question: str) -> bytes:
    """Nothing that the guard can read."""
    return answer(question, 400, b"", b"Bad Request")


def flow_of(ask: Ask) -> Flow:
    """The way by which the guard knows the phone of a question."""
    return Flow(0, ask.host, ask.port)


def way_to(pbx_host: str) -> Flow:
    """The way by which the guard knows the PBX: no phone has port 0."""
    return Flow(0, pbx_host, 0)


def _answerable(request: Message) -> bool:
    return request.via is not None and all(name in request for name in _NEEDED)
