"""Where SIP is heard and sent: `udp:192.0.2.10:5060` as it stands in agent.yaml."""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")

_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63})*"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A host (IPv6 without brackets) and a port, written `192.0.2.10:5060` or `[2001:db8::1]:5060`."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address in `text`; ValueError says what would be right."""
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f'found "{text}"; write HOST:PORT, for example 192.0.2.10:5060')
        if ":" in host and not bracketed:
            raise ValueError(f'found "{text}"; write an IPv6 address in brackets, as [2001:db8::1]:5060')
        host = host[1:-1] if bracketed else host
        if bracketed and not isinstance(_ip(host), IPv6Address):
            raise ValueError(f'found "{text}"; only an IPv6 address stands in brackets')
        if _ip(host) is None and not _HOST_NAME.fullmatch(host):
            raise ValueError(f'found "{text}"; {host!r} is neither an IP address nor a host name')
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The address as numbers, or None for a name."""
        return _ip(self.host)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema(strict=True))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A transport and an IP address, written `udp:192.0.2.10:5060` or `tls:[2001:db8::1]:5061`."""

    transport: str
    address: Address

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """The endpoint in `text`; ValueError says what would be right."""
        transport, colon, rest = text.partition(":")
        if not colon or transport not in TRANSPORTS:
            known = ", ".join(TRANSPORTS)
            raise ValueError(f'found "{text}"; write TRANSPORT:ADDRESS:PORT with one of {known}')
        address = Address.parse(rest)
        if address.ip is None:
            raise ValueError(f'found "{text}"; write an IP address instead of the name {address.host!r}')
        return cls(transport, Address(str(address.ip), address.port))  # as the sockets spell it

    @property
    def version(self) -> int:
        """4 or 6."""
        assert self.address.ip is not None, "parse has seen to it"
        return self.address.ip.version

    @property
    def bound(self) -> tuple[socket.SocketKind, str, int]:
        """What the socket of a listener here is: its kind, IP address and port."""
        kind = socket.SOCK_DGRAM if self.transport == "udp" else socket.SOCK_STREAM
        return kind, self.address.host, self.address.port

    def __str__(self) -> str:
        return f"{self.transport}:{self.address}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema(strict=True))


def own_address(address: Address) -> Address:
    """An address to bind to, which must be an IP address; for pydantic."""
    if address.ip is None:
        raise ValueError(f'found "{address}"; write the IP address of this host, mostly 127.0.0.1')
    return address


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
