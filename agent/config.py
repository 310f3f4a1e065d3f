"""agent.yaml: the PBXs this agent stands in front of, and the objects on them (contract "Configuration")."""

from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from agent.asterisk import Asterisk
from agent.box import BoxEntry
from agent.cdrs import Cdrs
from agent.endpoint import Address, Endpoint
from agent.innovaphone import Innovaphone
from agent.kamailio import Kamailio
from agent.limits import Limits
from agent.transport import ConnectionLimits, TlsFiles
from licensing.demand import USES
from licensing.site.use import CARRIER
from runtime.config import ConfigModel, ConfigPath, FieldError
from telephony.address import Flow
from telephony.countries import COUNTRIES
from telephony.directory import PASS
from telephony.emergency import dialled

MAX_PBXS = 100
MAX_OBJECT_ROWS = 10_000
MAX_LISTENERS = 16
MAX_NUMBERS = 100
WILDCARDS = (IPv4Address(0), IPv6Address(0))


T = TypeVar("T")


def _some(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("found an empty list; write at least one entry")
    return items


def _domain(text: str) -> str:
    try:
        named = Address.parse(f"{text}:5060").ip is None
    except ValueError:
        named = False
    if not named:
        raise ValueError(f'found "{text}"; write the domain that phones register with, such as example.com')
    return text


def _country(text: str) -> str:
    if text not in COUNTRIES:
        known = " ".join(COUNTRIES)
        raise ValueError(
            f'found "{text}"; leave it out and list the numbers in emergency, or write one of {known}'
        )
    return text


def _dialled(least: int, most: int, text: str) -> str:
    if not least <= len(text) <= most or set(text) - set("0123456789*#"):
        raise ValueError(
            f'found "{text}"; write the {least} to {most} keys that are dialled, without separators'
        )
    return text


def _object_kind(text: str) -> str:
    if text in USES:
        raise ValueError(
            f'found "{text}"; that is no object of a PBX, it is asked for at the agent\'s socket'
        )
    return text


PbxName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/]{1,255}$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$"), AfterValidator(_object_kind)]
DomainName = Annotated[str, AfterValidator(_domain)]
CountryName = Annotated[str, AfterValidator(_country)]
Number = Annotated[str, AfterValidator(partial(_dialled, 2, 15))]
TrunkPrefix = Annotated[str, AfterValidator(partial(_dialled, 0, 6))]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Interface = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class Sip(ConfigModel):
    """Where the phones send to, how the PBX finds the agent, and where the PBX is."""

    listen: Annotated[tuple[Endpoint, ...], Field(max_length=MAX_LISTENERS)] = ()
    advertise: Address | None = None
    pbx: Endpoint
    connections: ConnectionLimits = ConnectionLimits()
    tls: TlsFiles | None = None
    origins: Annotated[tuple[Origin, ...], Field(max_length=100)] = ()
    limits: Limits = Limits()
    domain: DomainName | None = None
    country: CountryName | None = None
    trunk_prefix: TrunkPrefix = ""
    emergency: Annotated[tuple[Number, ...], Field(max_length=MAX_NUMBERS)] = ()
    nat_keep_alive_s: Annotated[int, Field(ge=0, le=3_600)] = 25
    supported_path: bool = False

    @model_validator(mode="after")
    def _reachable(self) -> "Sip":
        if self.pbx.transport not in ("udp", "tcp", "tls"):
            raise FieldError(f"found {self.pbx}; a PBX is spoken to by udp, tcp or tls", "pbx")
        if self.listen and self._towards_pbx() is None:
            wanted = f"{self.pbx.transport}: listener with an IPv{self.pbx.version} address"
            raise FieldError(f"found no {wanted}, and the PBX is at {self.pbx}; add one", "listen")
        if self.advertise is not None and self.advertise.ip in WILDCARDS:
            trouble = f"found {self.advertise}, which nobody can send to"
            raise FieldError(f"{trouble}; write the ADDRESS:PORT where the PBX finds this agent", "advertise")
        wild = [endpoint for endpoint in self.listen if endpoint.address.ip in WILDCARDS]
        if wild and self.advertise is None:
            raise ValueError("advertise is missing; write the ADDRESS:PORT where the PBX finds this agent")
        for endpoint in wild:
            if self.advertise and self.advertise.ip and self.advertise.ip.version != endpoint.version:
                trouble = f"found {endpoint}, and advertise is no IPv{endpoint.version} address"
                at = self.listen.index(endpoint)
                raise FieldError(f"{trouble}; write the address that phones use", "listen", at)
        secured = [n for n, endpoint in enumerate(self.listen) if endpoint.transport in ("tls", "wss")]
        if secured and self.tls is None:
            trouble = f"found {self.listen[secured[0]]} and no tls: beside it"
            raise FieldError(f"{trouble}; name a certificate and its key there", "listen", secured[0])
        if self.tls and self.pbx.transport != "tls" and (self.tls.pbx_ca or self.tls.pbx_name):
            raise FieldError(f"found pbx_ca or pbx_name, and the PBX is at {self.pbx}, without TLS", "tls")
        if self.pbx in self.listen:
            raise FieldError(f"found {self.pbx}, an address of the agent itself; write the PBX's", "pbx")
        return self

    @property
    def towards_pbx(self) -> Endpoint:
        """The first listener of the PBX's transport and address family: it speaks to the PBX."""
        endpoint = self._towards_pbx()
        assert endpoint is not None, "it was checked"
        return endpoint

    def _towards_pbx(self) -> Endpoint | None:
        way = (self.pbx.transport, self.pbx.version)
        return next((each for each in self.listen if (each.transport, each.version) == way), None)

    @property
    def emergency_numbers(self) -> frozenset[str]:
        """What a phone may always call, in every way of dialling it."""
        return dialled(self.country, self.trunk_prefix, self.emergency)

    @property
    def pbx_flow(self) -> Flow:
        """The way to the PBX."""
        address = self.pbx.address
        return Flow(self.listen.index(self.towards_pbx), address.host, address.port)

    @property
    def streams(self) -> bool:
        """Whether phones may connect, by anything but UDP."""
        return any(endpoint.transport != "udp" for endpoint in self.listen)

    def advertised(self, endpoint: Endpoint) -> Address:
        """What stands in Via, Path and Record-Route of messages that leave by this listener."""
        if self.advertise is None:
            return endpoint.address
        if endpoint == self.towards_pbx:
            return self.advertise
        wildcard = endpoint.address.ip in WILDCARDS
        return Address(self.advertise.host, endpoint.address.port) if wildcard else endpoint.address


class ObjectRow(ConfigModel):
    """One row of the directory: a kind, the AOR patterns (* and ?), and a name when they are one object.

    With `home` they are objects of that PBX, for which this one stands by. With `interfaces` they are a
    gateway or a trunk over these, and register only while a licence opens one of them.
    """

    kind: Kind
    aor: Annotated[tuple[Pattern, ...], AfterValidator(_some), Field(max_length=1_000)]
    name: Pattern | None = None
    home: PbxName | None = None
    interfaces: Annotated[tuple[Interface, ...], Field(max_length=100)] = ()

    @property
    def whole_kind(self) -> str:
        """The kind as the seats know it: `user@lyon` is a user of another PBX."""
        return self.kind if self.home is None or self.kind == PASS else f"{self.kind}@{self.home}"


class LineRow(ConfigModel):
    """Calls that go over an ISDN line: by the AOR of the trunk, and by what was called where that decides.

    `interface` as in master.yaml; without it nobody knows which, and only channels are counted. `carrier`
    names a line of a carrier instead: no licence, and as many calls as `policy.channels` of master.yaml says.
    """

    aor: Annotated[tuple[Pattern, ...], AfterValidator(_some), Field(max_length=1_000)]
    called: Annotated[tuple[Pattern, ...], Field(max_length=1_000)] = ()
    interface: Annotated[str, StringConstraints(pattern=r"^([a-z]+[0-9]*)?$", max_length=32)] = ""
    carrier: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9+][A-Za-z0-9+_.-]{0,62})?$")] = ""

    @model_validator(mode="after")
    def _one_kind_of_line(self) -> "LineRow":
        if self.interface and self.carrier:
            raise FieldError(
                "found interface beside it; a line is an ISDN interface or a carrier's", "carrier"
            )
        return self

    @property
    def line(self) -> str:
        """The line as calls know it."""
        return CARRIER + self.carrier if self.carrier else self.interface


class CallRules(ConfigModel):
    """Which calls are counted, and when one that nobody ended is over."""

    lines: Annotated[tuple[LineRow, ...], Field(max_length=1_000)] = ()
    max_age_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 43_200


class PbxEntry(ConfigModel):
    """One PBX: its identity at the master, its SIP side and its objects."""

    name: PbxName
    software: Annotated[int, Field(ge=1, le=999)]
    sip: Sip
    identity: Literal["user", "user_at_host"] = "user"
    objects: Annotated[tuple[ObjectRow, ...], Field(max_length=MAX_OBJECT_ROWS)] = ()
    calls: CallRules = CallRules()
    unknown: Literal["user", "refuse", "pass"] = "user"
    asterisk: Asterisk | None = None
    kamailio: Kamailio | None = None
    innovaphone: Innovaphone | None = None
    cdrs: Cdrs = Cdrs()

    @property
    def asked(self) -> bool:
        """Whether Kamailio is the SIP edge and asks, so that no phone comes here."""
        return self.kamailio is not None and self.kamailio.asks

    @model_validator(mode="after")
    def _one_door(self) -> "PbxEntry":
        if not self.sip.listen and not self.asked:
            raise FieldError("found an empty list; write at least one entry", "sip", "listen")
        if self.sip.listen and self.asked:
            trouble = f"found {self.sip.listen[0]}, and Kamailio asks for what phones send to it"
            raise FieldError(f"{trouble}; leave listen out, or asks", "sip", "listen", 0)
        if self.kamailio is not None and self.kamailio.reg_event and self.sip.pbx.transport != "udp":
            trouble = f"found it with a PBX at {self.sip.pbx}; reg event goes by udp"
            raise FieldError(trouble, "kamailio", "reg_event")
        drivers = {"asterisk": self.asterisk, "kamailio": self.kamailio, "innovaphone": self.innovaphone}
        named = [name for name, settings in drivers.items() if settings is not None]
        if len(named) > 1:
            raise FieldError(f"found {named[0]} beside it; a PBX is one of them", named[1])
        return self

    @model_validator(mode="after")
    def _records_have_a_way(self) -> "PbxEntry":
        evapi = self.kamailio and self.kamailio.evapi
        for index, source in enumerate(self.cdrs.sources):
            if source.ami and self.asterisk is None:
                trouble = "there is no asterisk beside cdrs; write where its manager interface is"
                raise FieldError(trouble, "cdrs", "sources", index, "ami")
            if source.evapi and evapi is None:
                trouble = "there is no kamailio with evapi beside cdrs; write where its evapi module is"
                raise FieldError(trouble, "cdrs", "sources", index, "evapi")
        return self

    box: BoxEntry = BoxEntry()

    @model_validator(mode="after")
    def _names_once(self) -> "PbxEntry":
        seen: set[str] = set()
        for index, row in enumerate(self.objects):
            if row.name in seen:
                message = f'"{row.name}" is the name of another row too; write all its AORs in one row'
                raise FieldError(message, "objects", index, "name")
            seen |= {row.name} if row.name is not None else set()
            if row.home == self.name:
                message = f'"{row.home}" is this PBX; leave home out for its own objects'
                raise FieldError(message, "objects", index, "home")
            if row.interfaces and row.name is None:
                message = "interfaces are those of one object; give this row a name"
                raise FieldError(message, "objects", index, "interfaces")
        return self

    @property
    def box_address(self) -> str:
        """Where the box is that licences are bound to."""
        return self.box.address or self.sip.pbx.address.host

    @property
    def interfaces(self) -> dict[str, tuple[str, ...]]:
        """The interfaces of each gateway or trunk object that has some, by its name."""
        return {row.name: row.interfaces for row in self.objects if row.name and row.interfaces}


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
        listeners: set[tuple[bool, Address]] = set()
        for index, pbx in enumerate(self.pbxs):
            if pbx.name in names:
                raise FieldError(f'"{pbx.name}" is the name of another entry too', "pbxs", index, "name")
            names.add(pbx.name)
            for number, endpoint in enumerate(pbx.sip.listen):
                socket = (endpoint.transport == "udp", endpoint.address)
                if socket in listeners:
                    message = f'"{endpoint}" is listened on twice; one socket serves one PBX'
                    raise FieldError(message, "pbxs", index, "sip", "listen", number)
                listeners.add(socket)
        return self
