"""`cdrs` of a PBX in agent.yaml: where its call records come from, how long they stay, where else they go."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, model_validator

from agent.call_mapping import CallMapping, ZoneName, read
from agent.endpoint import Address, Endpoint
from agent.limits import TrustedNetwork
from runtime import zones
from runtime.config import ConfigErrors, ConfigModel, ConfigPath, FieldError, checks_files
from runtime.push import Push
from telephony.cdr.tables import MAX_COLUMNS
from telephony.cdr.threecx import wrong_columns
from telephony.cdr.times import Zone

MAX_SOURCES: Final = 20
TRANSPORTS: Final = ("http", "tcp_listen", "tcp_connect", "syslog", "file", "directory", "ami", "evapi")
_AMI: Final = ("asterisk_ami_cdr", "asterisk_ami_cel")
_OPTIONS: Final = {
    "columns": ("asterisk_custom", "asterisk_cel", "freeswitch_csv", "threecx"),
    "separator": ("threecx",),
    "counted": ("kamailio_log",),
    "mapping": ("mapping",),
    "trunks": (
        "asterisk_master", "asterisk_custom", "asterisk_cel", *_AMI,
        "freeswitch_csv", "freeswitch_json", "freeswitch_xml", "cucm",
    ),
}  # fmt: skip
"""Options that only some dialects have."""

Dialect = Literal[
    "innovaphone", "innovaphone_gateway",
    "asterisk_master", "asterisk_custom", "asterisk_cel", "asterisk_ami_cdr", "asterisk_ami_cel",
    "kamailio_log", "kamailio_json",
    "freeswitch_csv", "freeswitch_json", "freeswitch_xml",
    "threecx", "cucm", "mapping",
]  # fmt: skip


def _own(address: Address) -> Address:
    if address.ip is None:
        raise ValueError(f'found "{address}"; write an IP address of this host, or 0.0.0.0')
    return address


def _syslog(endpoint: Endpoint) -> Endpoint:
    if endpoint.transport not in ("udp", "tcp"):
        raise ValueError(f'found "{endpoint}"; syslog comes by udp: or tcp:')
    return endpoint


OwnAddress = Annotated[Address, AfterValidator(_own)]
Word = Annotated[str, Field(min_length=1, max_length=200)]


class CdrSource(ConfigModel):
    """One way on which call records come: a dialect, and one of `TRANSPORTS`.

    `allow` are the networks that may send to a listener besides the PBX's own address. `silent_after_s`: so
    long without a record is an alarm.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    dialect: Dialect
    http: OwnAddress | None = None
    tcp_listen: OwnAddress | None = None
    tcp_connect: Address | None = None
    syslog: Annotated[Endpoint, AfterValidator(_syslog)] | None = None
    file: ConfigPath | None = None
    directory: ConfigPath | None = None
    ami: bool = False
    evapi: bool = False
    allow: Annotated[tuple[TrustedNetwork, ...], Field(max_length=100)] = ()
    pattern: Word = "*"
    zone: ZoneName = "UTC"
    silent_after_s: Annotated[int, Field(ge=60, le=90 * 86_400)] | None = None
    trunks: Annotated[tuple[Word, ...], Field(max_length=100)] = ()
    columns: Annotated[tuple[Word, ...], Field(min_length=1, max_length=MAX_COLUMNS)] | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    counted: Literal["transactions", "dialogs"] = "transactions"
    mapping: ConfigPath | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "CdrSource":
        ways = self._ways()
        if not ways:
            raise ValueError(f"there is no way for records to come; write one of {', '.join(TRANSPORTS)}")
        if len(ways) > 1:
            trouble = f"found {ways[0]} beside it; a source has one way, write another source for this one"
            raise FieldError(trouble, ways[1])
        if "pattern" in self.model_fields_set and self.directory is None:
            raise FieldError("there is no directory beside it; leave it out", "pattern")
        if (ways[0] == "ami") != (self.dialect in _AMI):
            raise FieldError(
                f'found {ways[0]} and "{self.dialect}"; ami brings {" or ".join(_AMI)}', "dialect"
            )
        if ways[0] == "evapi" and self.dialect != "kamailio_json":
            raise FieldError(f'found evapi and "{self.dialect}"; evapi brings kamailio_json', "dialect")
        return self

    @model_validator(mode="after")
    def _options_fit(self, info: ValidationInfo) -> "CdrSource":
        for option, dialects in _OPTIONS.items():
            if option in self.model_fields_set and self.dialect not in dialects:
                raise FieldError(f'"{self.dialect}" has none; only {", ".join(dialects)}', option)
        if self.dialect == "threecx" and (wrong := wrong_columns(self.columns or ())):
            raise FieldError(wrong, "columns")
        if self.dialect == "mapping" and self.mapping is None:
            raise ValueError("mapping is missing; name the file that says which column is which field")
        if self.mapping is not None and checks_files(info):
            try:
                read(self.mapping)
            except ConfigErrors as errors:
                raise FieldError(str(errors), "mapping") from errors
        return self

    def _ways(self) -> list[str]:
        return [name for name in TRANSPORTS if getattr(self, name) not in (None, False)]

    @property
    def transport(self) -> str:
        """Which of `TRANSPORTS` it is."""
        return self._ways()[0]

    @property
    def local(self) -> Zone:
        """The zone of times that name none."""
        zone = zones.named(self.zone)
        assert zone is not None
        return zone

    def read_mapping(self) -> CallMapping:
        """The mapping's file as it is now; ConfigErrors."""
        assert self.mapping is not None
        return read(self.mapping)


class Cdrs(ConfigModel):
    """The call records of one PBX: their sources, and the spool in which they wait.

    `most_mib` of records that the master does not have yet: beyond it nothing more is taken in, and sources
    are told so. What it has stays `keep_days`.
    """

    sources: Annotated[tuple[CdrSource, ...], Field(max_length=MAX_SOURCES)] = ()
    most_mib: Annotated[int, Field(ge=1, le=1_048_576)] = 1_024
    keep_days: Annotated[int, Field(ge=0, le=3_650)] = 30
    push: Push | None = None

    @model_validator(mode="after")
    def _names_once(self) -> "Cdrs":
        names: set[str] = set()
        for index, source in enumerate(self.sources):
            if source.name in names:
                raise FieldError(
                    f'"{source.name}" is the name of another source too', "sources", index, "name"
                )
            names.add(source.name)
        return self

    @property
    def most_bytes(self) -> int:
        """The limit of what waits."""
        return self.most_mib * 1_048_576
