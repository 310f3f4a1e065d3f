"""master.yaml as values: installations, their PBXs and policy, where to listen, which certificate."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from licence_master.address import Address, collide
from licensing.box.sighting import DOUBTS, TOLERATED
from licensing.codes import Refusal
from licensing.files.licence_file import PublicKey
from licensing.licence_type import LicenceType
from licensing.terms import day
from licensing.terms.release import Release as PublishedRelease
from runtime.config import ConfigErrors, ConfigModel, ConfigPath, FieldError, checks_files, load
from runtime.credentials import out_of_reach
from runtime.push import Push

DEFAULT_PATH = Path("/etc/licence-master/master.yaml")

# Names travel in URLs, file names, tokens and commands.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Origin = Annotated[str, StringConstraints(pattern=r"^https://[^\s/]+$")]
Mac = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$")]
Release = Annotated[int, Field(ge=1, le=99)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
MacDoubt = Literal["unseen", "unprovable", "changed", "spoofed", "moved", "cloned"]
LineName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9+][A-Za-z0-9+_.-]{0,62}|\*)$")]
LineChannels = Annotated[dict[LineName, Annotated[int, Field(ge=0, le=10_000)]], Field(max_length=10_000)]


class ChannelsFile(ConfigModel):
    """The file that `channels` of a policy may name; billing writes one from the offers of its lines."""

    channels: LineChannels


def _of_file(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    path = Path((info.context or {}).get("directory", Path())) / Path(value).expanduser()
    try:
        return load(path, ChannelsFile).channels
    except ConfigErrors as errors:
        raise ValueError("; ".join(str(errors).splitlines())) from errors


class Policy(ConfigModel):
    """What a PBX does at the edges of its licences; a PBX may set its own where it differs.

    `channels` are those that lines of carriers have by their offers (`*`: every other line), or a file that
    says so. `hardware` says for a state of the MAC of its box (docs/hardware.md) whether licences that are
    bound to it count, with an `alarm`, or not (`enforce`).
    """

    enforcement: Literal["enforce", "report"] = "enforce"
    away: Literal["refuse", "report"] = "refuse"
    refuse: Literal[403, 503] = 403
    grace_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    linger_s: dict[str, Seconds] = Field(default_factory=lambda: {"user": 120})
    clone: Literal["alert", "freeze", "quarantine"] = "alert"
    hardware: dict[MacDoubt, Literal["enforce", "alarm"]] = Field(default_factory=dict)
    channels: Annotated[LineChannels, BeforeValidator(_of_file)] = Field(default_factory=dict)
    pins: tuple[str, ...] = ()

    def overridden_by(self, other: "Policy | None") -> "Policy":
        """This policy with the fields that `other` really set."""
        if other is None:
            return self
        changed = {name: getattr(other, name) for name in other.model_fields_set}
        changed["hardware"] = {**self.hardware, **other.hardware}
        return self.model_copy(update=changed)

    @property
    def tolerates(self) -> tuple[str, ...]:
        """The states of a MAC in which licences that are bound to it count all the same."""
        said = {doubt: "alarm" if doubt in TOLERATED else "enforce" for doubt in DOUBTS} | self.hardware
        return tuple(doubt for doubt, stance in said.items() if stance == "alarm")


class PbxFields(ConfigModel):
    """One PBX, here and in a scenario.

    `reserve` keeps so many units of the master's pools for this PBX: `{port: 20, ipva: 20}`.
    """

    name: Name
    role: Literal["master", "slave"] = "slave"
    platform: Literal["gateway", "ipva"] = "gateway"
    model: str = ""
    mac: Mac | None = None
    software: Release | None = None
    standby_for: Name | tuple[Name, ...] = ()
    cloud: bool = False
    interfaces: tuple[str, ...] = ()
    reserve: dict[str, Annotated[int, Field(ge=1, le=1_000_000)]] = Field(default_factory=dict)

    @field_validator("reserve")
    @classmethod
    def _pools_are_lent(cls, reserve: dict[str, int]) -> dict[str, int]:
        if not reserve:
            return reserve
        from licence_master.catalogue import read_catalogue  # only for who reserves

        pools = read_catalogue().reservable
        for pool in reserve:
            if pool not in pools:
                raise ValueError(f'expected pools that are lent ({", ".join(pools)}), found "{pool}"')
        return reserve

    @property
    def protected(self) -> tuple[str, ...]:
        """The PBXs that this one stands by for."""
        return (self.standby_for,) if isinstance(self.standby_for, str) else self.standby_for


class PbxConfig(PbxFields):
    """One PBX of an installation, with a policy of its own where it differs."""

    policy: Policy | None = None


class ActivityConfig(ConfigModel):
    """How many days it is kept what objects did, and what was denied; hourly peaks are kept for ever."""

    keep_days: Annotated[int, Field(ge=2, le=36_500)] = 400


class CallsConfig(ConfigModel):
    """How long call records are kept, in whole UTC months, and who sees whole numbers.

    `mask`: who is not admin sees so many digits of a number at most; null: all of them. `archive`: beside the
    index they are written as Parquet, where the extra `parquet` is installed. `push`: with whole numbers, to
    somebody else as they come.
    """

    keep_days: Annotated[int, Field(ge=2, le=36_500)] = 400
    mask: Annotated[int, Field(ge=0, le=15)] | None = None
    archive: bool = True
    push: Push | None = None


class InstallationConfig(ConfigModel):
    """One customer: a ledger of its own, its PBXs and its policy.

    `assignments` names a file that decides alone who is assigned which licence; null: commands and API do.
    """

    name: Name
    software: Release
    mixed_versions: Literal["strict", "lenient"] = "strict"
    ipva_binding: Literal["holder", "consumer"] = "holder"
    policy: Policy = Policy()
    assignments: ConfigPath | None = None
    activity: ActivityConfig = ActivityConfig()
    calls: CallsConfig = CallsConfig()
    pbxs: tuple[PbxConfig, ...] = ()

    @model_validator(mode="after")
    def _pbxs_fit(self) -> "InstallationConfig":
        check_pbxs(self.pbxs)
        return self


class AgentsConfig(ConfigModel):
    """Where agents reach this master, how often they sync, and how many requests they may send.

    `advertise` is the address that `invite` prints. Limits are of an IPv4 address or an IPv6 /64; all agents
    behind a proxy or a NAT are one.
    """

    listen: Address = "0.0.0.0:8443"
    advertise: Address | None = None
    sync_s: Annotated[int, Field(ge=1, le=3_600)] = 30
    agent_per_s: Annotated[int, Field(ge=1)] = 100
    address_per_s: Annotated[int, Field(ge=1)] = 1_000
    address_connections: Annotated[int, Field(ge=1)] = 1_000


class AdminConfig(ConfigModel):
    """Where the admin API listens, beside the Unix socket in the data directory, and its limits.

    `origins` are further addresses of the console as browsers see it, such as that of a proxy in front.
    """

    listen: Address = "127.0.0.1:8444"
    origins: tuple[Origin, ...] = ()
    address_per_s: Annotated[int, Field(ge=1)] = 100
    caller_per_s: Annotated[int, Field(ge=1)] = 50
    address_connections: Annotated[int, Field(ge=1)] = 100


class TlsConfig(ConfigModel):
    """PEM files of the server; null: made by `init` in keys/.

    A certificate without a key is that of the proxy in front; only `invite` reads it, for the pin.
    """

    certificate: ConfigPath | None = None
    key: ConfigPath | None = None

    @model_validator(mode="after")
    def _a_key_has_its_certificate(self) -> "TlsConfig":
        if self.key is not None and self.certificate is None:
            raise FieldError("a key without certificate; name both files", "key")
        return self

    @model_validator(mode="after")
    def _files_fit(self, info: ValidationInfo) -> "TlsConfig":
        if self.certificate is None or not checks_files(info) or out_of_reach(self.certificate):
            return self
        from runtime import certificates  # only for who looks

        try:
            if self.key is None:
                certificates.client_context(self.certificate)  # clients are shown it by the proxy
            elif not out_of_reach(self.key):
                certificates.server_context(certificates.Identity(self.certificate, self.key))
        except certificates.CertificateFileError as error:
            raise FieldError(str(error), "key" if error.file == self.key else "certificate") from error
        return self

    @property
    def pair(self) -> tuple[Path, Path] | None:
        """Certificate and key to serve with; None: those that `init` made."""
        return (self.certificate, self.key) if self.certificate and self.key else None


class ReleaseConfig(ConfigModel):
    """A release of the software: when it was published, and what is new in it with a licence of its own."""

    release: Release
    published: datetime.date
    new: tuple[str, ...] = ()

    @field_validator("published", mode="before")
    @classmethod
    def _may_be_quoted(cls, value: object) -> object:
        found = day.parse(value) if isinstance(value, str) else None
        return value if found is None else datetime.date(*day.date(found))

    @model_validator(mode="after")
    def _types_can_be_read(self) -> "ReleaseConfig":
        for number, text in enumerate(self.new):
            parsed = LicenceType.parse(text)
            if isinstance(parsed, Refusal):
                raise FieldError(parsed.detail, "new", number)
        return self

    @property
    def value(self) -> PublishedRelease:
        """As the rules read it."""
        return PublishedRelease(self.release, day.of_date(*self.published.timetuple()[:3]), self.new)


class MasterConfig(ConfigModel):
    """The whole of master.yaml."""

    data: ConfigPath = Path("/var/lib/licence-master")
    agents: AgentsConfig = AgentsConfig()
    admin: AdminConfig = AdminConfig()
    tls: TlsConfig = TlsConfig()
    licence_roots: tuple[str, ...] = ()
    releases: tuple[ReleaseConfig, ...] = ()
    installations: tuple[InstallationConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _roots_are_keys(self) -> "MasterConfig":
        for number, text in enumerate(self.licence_roots):
            key = PublicKey.parse(text)
            if isinstance(key, Refusal):
                raise FieldError(key.detail, "licence_roots", number)
        return self

    @property
    def roots(self) -> tuple[PublicKey, ...]:
        """The keys that signed licence files hang on."""
        parsed = [PublicKey.parse(text) for text in self.licence_roots]
        return tuple(key for key in parsed if isinstance(key, PublicKey))

    @property
    def published(self) -> tuple[PublishedRelease, ...]:
        """The releases whose date is known."""
        return tuple(each.value for each in self.releases)

    @model_validator(mode="after")
    def _names_are_single(self) -> "MasterConfig":
        numbers = [each.release for each in self.releases]
        for number, release in enumerate(numbers):
            if release in numbers[:number]:
                raise FieldError(f"release {release} stands here twice", "releases", number, "release")
        refuse_twice("installations", [installation.name for installation in self.installations])
        return self

    @model_validator(mode="after")
    def _doors_are_two(self) -> "MasterConfig":
        ours, theirs = self.admin.listen, self.agents.listen
        if collide(ours, theirs):
            key, found, other = "admin", ours, f"agents.listen ({theirs})"
            if "listen" not in self.admin.model_fields_set:
                key, found, other = "agents", theirs, f"admin.listen ({ours})"
            text = f'found "{found}", which is taken by {other}; write another port'
            raise FieldError(text, key, "listen")
        return self

    def installation(self, name: str) -> InstallationConfig | None:
        """The installation of this name."""
        return next((found for found in self.installations if found.name == name), None)


def refuse_twice(key: str, names: list[str]) -> None:
    """FieldError at the first name that stands in the list `key` a second time."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            raise FieldError(f'"{name}" stands here twice; names are single', key, number, "name")
        seen.add(name)


def check_pbxs(pbxs: Sequence[PbxFields]) -> None:
    """FieldError where names are not single, or there is not one master, or nobody to stand by for."""
    names = [pbx.name for pbx in pbxs]
    refuse_twice("pbxs", names)
    masters = [number for number, pbx in enumerate(pbxs) if pbx.role == "master"]
    if not masters:
        raise FieldError("no PBX has role: master; the licence master's own PBX needs it", "pbxs")
    if len(masters) > 1:
        text = f"a second master; {names[masters[0]]} is the master already"
        raise FieldError(text, "pbxs", masters[1], "role")
    for number, pbx in enumerate(pbxs):
        for protected in pbx.protected:
            if protected == pbx.name or protected not in names:
                text = f'expected the name of another PBX of this list, found "{protected}"'
                raise FieldError(text, "pbxs", number, "standby_for")
