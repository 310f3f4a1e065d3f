"""agent.yaml: the PBXs this agent stands in front of, and the objects on them (contract "Configuration")."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, StringConstraints, model_validator
from pydantic_core import CoreSchema, core_schema

from runtime.config import ConfigModel, ConfigPath, FieldError

MAX_PBXS = 100
MAX_OBJECT_ROWS = 10_000
MAX_LISTENERS = 16
WILDCARDS = (IPv4Address(0), IPv6Address(0))

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
    """A transport and an IP address, written `udp:192.0.2.10:5060`; the agent speaks UDP so far."""

    transport: str
    address: Address

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """The endpoint in `text`; ValueError says what would be right."""
        transport, colon, rest = text.partition(":")
        if not colon or transport not in ("udp", "tcp", "tls"):
            raise ValueError(f'found "{text}"; write udp:ADDRESS:PORT, for example "udp:0.0.0.0:5060"')
        if transport != "udp":
            raise ValueError(f'found "{text}"; {transport}: is not yet in this version, write udp:')
        address = Address.parse(rest)
        if address.ip is None:
            raise ValueError(f'found "{text}"; write an IP address instead of the name {address.host!r}')
        return cls(transport, address)

    def __str__(self) -> str:
        return f"{self.transport}:{self.address}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema(strict=True))


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


T = TypeVar("T")


def _some(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("found an empty list; write at least one entry")
    return items


PbxName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class Sip(ConfigModel):
    """Where the phones send to, how the PBX finds the agent, and where the PBX is."""

    listen: Annotated[tuple[Endpoint, ...], AfterValidator(_some), Field(max_length=MAX_LISTENERS)]
    advertise: Address | None = None
    pbx: Endpoint

    @model_validator(mode="after")
    def _reachable(self) -> "Sip":
        families = {endpoint.address.ip.version for endpoint in self.listen if endpoint.address.ip}
        pbx = self.pbx.address.ip
        if pbx is not None and pbx.version not in families:
            message = (
                f"found no IPv{pbx.version} address, and the PBX is at {self.pbx}; add one to reach it from"
            )
            raise FieldError(message, "listen")
        if self.advertise is None and self.towards_pbx.address.ip in WILDCARDS:
            raise ValueError("advertise is missing; write the ADDRESS:PORT where the PBX finds this agent")
        if self.pbx in self.listen:
            raise FieldError(f"found {self.pbx}, an address of the agent itself; write the PBX's", "pbx")
        return self

    @property
    def towards_pbx(self) -> Endpoint:
        """The first listener of the PBX's address family: the socket that speaks to it."""
        pbx = self.pbx.address.ip
        assert pbx is not None
        return next(
            e for e in self.listen if e.address.ip is not None and e.address.ip.version == pbx.version
        )

    def advertised(self, endpoint: Endpoint) -> Address:
        """What stands in Via, Path and Record-Route of messages that leave by this listener."""
        if self.advertise is None:
            return endpoint.address
        if endpoint == self.towards_pbx:
            return self.advertise
        wildcard = endpoint.address.ip in WILDCARDS
        return Address(self.advertise.host, endpoint.address.port) if wildcard else endpoint.address


class ObjectRow(ConfigModel):
    """One row of the directory: a kind, the AOR patterns (* and ?), and a name when they are one object."""

    kind: Kind
    aor: Annotated[tuple[Pattern, ...], AfterValidator(_some), Field(max_length=1_000)]
    name: Pattern | None = None


class PbxEntry(ConfigModel):
    """One PBX: its identity at the master, its SIP side and its objects."""

    name: PbxName
    software: Annotated[int, Field(ge=1, le=999)]
    sip: Sip
    identity: Literal["user", "user_at_host"] = "user"
    objects: Annotated[tuple[ObjectRow, ...], Field(max_length=MAX_OBJECT_ROWS)] = ()
    unknown: Literal["user", "refuse", "pass"] = "user"

    @model_validator(mode="after")
    def _names_once(self) -> "PbxEntry":
        seen: set[str] = set()
        for index, row in enumerate(self.objects):
            if row.name in seen:
                message = f'"{row.name}" is the name of another row too; write all its AORs in one row'
                raise FieldError(message, "objects", index, "name")
            seen |= {row.name} if row.name is not None else set()
        return self


class Policy(ConfigModel):
    """What counts until the master has answered for the first time."""

    away: Literal["refuse", "report"] = "refuse"


class AgentConfig(ConfigModel):
    """The whole file."""

    data: ConfigPath
    pbxs: Annotated[tuple[PbxEntry, ...], AfterValidator(_some), Field(max_length=MAX_PBXS)]
    policy: Policy = Policy()

    @model_validator(mode="after")
    def _each_once(self) -> "AgentConfig":
        names: set[str] = set()
        listeners: set[Endpoint] = set()
        for index, pbx in enumerate(self.pbxs):
            if pbx.name in names:
                raise FieldError(f'"{pbx.name}" is the name of another entry too', "pbxs", index, "name")
            names.add(pbx.name)
            for number, endpoint in enumerate(pbx.sip.listen):
                if endpoint in listeners:
                    message = f'"{endpoint}" is listened on twice; one socket serves one PBX'
                    raise FieldError(message, "pbxs", index, "sip", "listen", number)
                listeners.add(endpoint)
        return self
