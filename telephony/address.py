"""Where a message came from, and who it is about: flows, addresses-of-record and object names."""

import re
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

_URI: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*):(?:([^@]*)@)?([^@]*)")
_HOST: Final = re.compile(rb"(\[[^\]]*\]|[^:;?/]*)")


class Flow(NamedTuple):
    """One way to reach a peer; a tuple because two are made for each datagram.

    `listener` counts the configured sockets from 0, `host` is an IP address without brackets, `connection`
    tells connections of one peer apart and is 0 for UDP.
    """

    listener: int
    host: str
    port: int
    connection: int = 0


def source_of(host: str) -> str:
    """Who is behind an IP address as far as limits go: itself, or the /64 of an IPv6 address.

    `host` is as the system writes it (RFC 5952), perhaps with a zone.
    """
    if ":" not in host or "." in host:  # IPv4, also mapped into IPv6
        return host
    before, _, after = host.partition("%")[0].partition("::")
    groups, last = before.split(":") if before else [], after.split(":") if after else []
    groups += ["0"] * (8 - len(groups) - len(last)) + last
    return ":".join(groups[:4]) + "::/64"


class Identity(StrEnum):
    """What names an object that has no configured name (agent.yaml `identity`)."""

    USER = "user"
    USER_AT_HOST = "user_at_host"


class Aor(NamedTuple):
    """An address-of-record: escapes decoded, host in lower case, scheme, port and parameters dropped."""

    user: str
    host: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" if self.host else self.user

    def name(self, identity: Identity) -> str:
        """The name of the object when none is configured."""
        return str(self) if identity is Identity.USER_AT_HOST or not self.user else self.user


def read_aor(uri: bytes) -> Aor | None:
    """Read the AOR of a sip, sips, tel or other URI; None when it has no scheme (RFC 3261 10.3).

    Bytes that are not UTF-8 are written as backslash escapes, so that two AORs never fall together.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        return None
    scheme, user, rest = match.groups()
    if scheme.lower() not in (b"sip", b"sips"):
        return Aor(_text(uri.partition(b":")[2].partition(b";")[0]), "")
    host = _HOST.match(rest)
    user_alone = (user or b"").partition(b":")[0]
    return Aor(_text(user_alone), "" if host is None else _text(host[1]).lower())


def _text(raw: bytes) -> str:
    if raw.find(b"%") >= 0:  # hardly ever
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "backslashreplace")
