"""Answers that the guard gives itself, built from the request (RFC 3261 8.2.6), and the marks on a Via."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from telephony.address import Flow
from telephony.sip import grammar
from telephony.sip import message as sip
from telephony.sip.grammar import Via
from telephony.sip.message import Message

_RPORT: Final = re.compile(
    rb";[ \t\r\n]*rport(?:[ \t\r\n]*=[ \t\r\n]*[0-9]*)?(?=[ \t\r\n]*(?:;|,|$))", re.IGNORECASE
)
_RECEIVED: Final = re.compile(rb";[ \t\r\n]*received[ \t\r\n]*=[ \t\r\n]*[^ \t\r\n;,]*", re.IGNORECASE)
CACHE_LIMIT: Final = 20_000
_COPIED: Final = (sip.FROM, sip.TO, sip.CALL_ID, sip.CSEQ)


def mark_via(request: Message, flow: Flow) -> bytes | None:
    """The topmost Via line with `received` and `rport` filled in; None when it is right as it is.

    `rport` is filled only when the sender asked for it (RFC 3581 section 4); `received` when it did or when
    its address differs from the one it named (RFC 3261 18.2.1).
    """
    via, number = request.via, request.line(sip.VIA)
    if via is None or number is None:
        return None
    line = request.lines[number]
    if grammar.COMMA not in line and grammar.QUOTE not in line and line.find(b"received") < 0:
        port, received = _marks(flow)
        if line[-6:] == b";rport":
            return line[:-6] + port + received
        before, asked_for, after = line.partition(b";rport;")
        if asked_for:
            return before + port + b";" + after + received
    host = flow.host.encode()
    asked = _RPORT.search(via.params)
    if asked is None and _sent_by_host(via.sent_by) == host:
        return None
    params = via.params
    if asked is not None:
        params = params[: asked.start()] + b";rport=%d" % flow.port + params[asked.end() :]
    params = _RECEIVED.sub(b"", params) + b";received=" + host
    return _with_params(line, via, params)


@lru_cache(CACHE_LIMIT)
def _marks(flow: Flow) -> tuple[bytes, bytes]:
    return b";rport=%d" % flow.port, b";received=" + flow.host.encode()


def _with_params(line: bytes, via: Via, params: bytes) -> bytes:
    start = line.index(b":") + 1 + via.params_at
    return line[:start] + params + line[start + len(via.params) :]


def _sent_by_host(sent_by: bytes) -> bytes:
    if sent_by[:1] == b"[":
        return sent_by[1:].partition(b"]")[0]
    return sent_by.partition(b":")[0].rstrip(b" \t\r\n")


def build_answer(
    request: Message, flow: Flow, status: int, reason: str, to_tag: bytes, headers: Sequence[str] = ()
) -> bytes:
    """A final answer to this request without a body; `headers` are whole lines without CRLF."""
    marked, top = mark_via(request, flow), request.line(sip.VIA)
    lines = [b"SIP/2.0 %d %b" % (status, _one_line(reason))]
    lines += [
        marked if marked is not None and number == top else request.lines[number]
        for number in request.line_numbers(sip.VIA)
    ]
    for name in _COPIED:
        copied = request.line(name)
        if copied is not None:
            untagged = name == sip.TO and not request.tag(sip.TO)
            lines.append(request.lines[copied] + (b";tag=" + to_tag if untagged else b""))
    lines += [_one_line(header) for header in headers]
    lines += [b"Content-Length: 0", b"", b""]
    return b"\r\n".join(lines)


def warning(agent: str, code: str, sentence: str) -> str:
    """The Warning line of a refusal (RFC 3261 20.43)."""
    text = f"{code}: {sentence}".replace("\\", "\\\\").replace('"', '\\"')
    return f'Warning: 399 {agent} "{text}"'


def _one_line(text: str) -> bytes:
    return " ".join(text.split()).encode()
