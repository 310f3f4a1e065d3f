"""SIP as a small peer reads it: messages and digest (RFC 3261, RFC 2617).

An independent reading on purpose: the demonstration's PBX and phones share no code with the guard, so that
a misreading in one of them shows.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

COOKIE = "z9hG4bK"
COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}
SPLIT = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)(?![^<]*>)')

Address = tuple[str, int]
Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Message:
    """A request or an answer: start line, header fields in order, body."""

    first: str
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Return the message, None for a keep-alive or anything else that is no SIP."""
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = re.sub(r"\r\n[ \t]+", " ", head.decode(errors="replace")).split("\r\n")
        if "SIP/2.0" not in first:
            return None
        fields = [line.partition(":") for line in lines]
        return cls(first, [(name.strip(), value.strip()) for name, _, value in fields], body)

    def render(self) -> bytes:
        """Return the bytes, with the right Content-Length."""
        kept = [pair for pair in self.headers if canonical(pair[0]) != "content-length"]
        lines = [f"{name}: {value}" for name, value in [*kept, ("Content-Length", str(len(self.body)))]]
        return "\r\n".join([self.first, *lines, "", ""]).encode() + self.body

    @property
    def is_answer(self) -> bool:
        """Return whether it answers a request."""
        return self.first.startswith("SIP/2.0 ")

    @property
    def status(self) -> int:
        """Return the status code of an answer."""
        return int(self.first.split(" ", 2)[1])

    @property
    def reason(self) -> str:
        """Return the reason phrase of an answer."""
        return self.first.split(" ", 2)[2]

    @property
    def method(self) -> str:
        """Return the method, of an answer the one it answers."""
        return self.get("CSeq").split()[-1] if self.is_answer else self.first.split(" ", 1)[0]

    @property
    def uri(self) -> str:
        """Return the request URI."""
        return self.first.split(" ")[1]

    def get(self, name: str) -> str:
        """Return the first value of a header field, empty if there is none."""
        return next((value for key, value in self.headers if canonical(key) == name.lower()), "")

    def all(self, name: str) -> list[str]:
        """Return all values of a header field that may hold several, split at commas."""
        values = [value for key, value in self.headers if canonical(key) == name.lower()]
        return [part.strip() for value in values for part in SPLIT.split(value) if part.strip()]

    def put(self, name: str, values: Sequence[str]) -> None:
        """Replace all values of a header field; they come first in the message."""
        kept = [pair for pair in self.headers if canonical(pair[0]) != name.lower()]
        self.headers = [*((name, value) for value in values), *kept]


def canonical(name: str) -> str:
    """Return the header name in lower case, a compact form written out."""
    return COMPACT.get(name.lower(), name.lower())


def uri_of(value: str) -> str:
    """Return the URI of a From, To, Contact or Route value."""
    bracketed = re.search(r"<([^>]*)>", value)
    return bracketed[1] if bracketed else value.split(";")[0].strip()


def parameter(value: str, name: str) -> str | None:
    """Return a parameter behind the URI: tag, branch, …; empty if it has no value, None if absent."""
    outside = value.rpartition(">")[2] if "<" in value else value
    found = re.search(rf';\s*{name}\s*(?:=\s*("[^"]*"|[^;,\s]*))?(?=[;,\s]|$)', outside, re.IGNORECASE)
    return None if found is None else (found[1] or "").strip('"')


def user_of(uri: str) -> str:
    """Return the user part of a SIP URI, empty if it has none."""
    return re.sub(r"^sips?:", "", uri).split(";")[0].rpartition("@")[0].split(":")[0]


def address_of(uri: str) -> Address:
    """Return host and port of a SIP URI or of a Via's sent-by; 5060 if it names no port."""
    place = re.sub(r"^sips?:", "", uri).split(";")[0].split("?")[0].rpartition("@")[2]
    found = re.fullmatch(r"\[?([^\]]*?)\]?(?::(\d+))?", place.strip())
    return (found[1], int(found[2] or 5060)) if found else (place, 5060)


def answer_address(via: str) -> Address:
    """Return where an answer goes: `received` and `rport` of the topmost Via, else its sent-by (RFC 3581)."""
    host, port = address_of(via.split(None, 1)[1])
    return parameter(via, "received") or host, int(parameter(via, "rport") or port)


def answer(request: Message, status: int, reason: str, headers: Sequence[tuple[str, str]] = ()) -> Message:
    """Return an answer to a request; a final one gets a To tag if there is none."""
    copied = [
        pair
        for pair in request.headers
        if canonical(pair[0]) in ("via", "from", "to", "call-id", "cseq", "record-route")
    ]
    made = Message(f"SIP/2.0 {status} {reason}", [*copied, *headers])
    if status > 100 and parameter(made.get("To"), "tag") is None:
        to_tag = hashlib.sha256(request.get("Via").encode()).hexdigest()[:10]
        made.put("To", [f"{request.get('To')};tag={to_tag}"])
    return made


def digest_fields(value: str) -> dict[str, str]:
    """Return the fields of a WWW-Authenticate or Authorization value."""
    found = re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]*))', value)
    return {name.lower(): quoted or plain for name, quoted, plain in found}


def digest_response(fields: dict[str, str], method: str, password: str) -> str:
    """Return the MD5 response of RFC 2617, 3.2.2 for the fields of an Authorization header."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    secret = md5(f"{fields['username']}:{fields['realm']}:{password}")
    wanted = md5(f"{method}:{fields['uri']}")
    if "qop" not in fields:
        return md5(f"{secret}:{fields['nonce']}:{wanted}")
    return md5(f"{secret}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:{fields['qop']}:{wanted}")


def new_branch() -> str:
    """Return a fresh branch (RFC 3261, 8.1.1.7)."""
    return COOKIE + secrets.token_hex(8)
