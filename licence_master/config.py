"""master.yaml as values: installations, their PBXs and policy, where to listen, which certificate."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from runtime.config import ConfigModel, ConfigPath, FieldError

DEFAULT_PATH = Path("/etc/licence-master/master.yaml")

# Names travel in URLs, file names, tokens and commands.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Address = Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s\[\]:/]+):\d{1,5}$")]
Mac = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}$")]
Release = Annotated[int, Field(ge=1, le=99)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]


class Policy(ConfigModel):
    """What a PBX does at the edges of its licences; a PBX may set its own where it differs."""

    enforcement: Literal["enforce", "report"] = "enforce"
    away: Literal["refuse", "report"] = "refuse"
    refuse: Literal[403, 503] = 403
    grace_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    linger_s: dict[str, Seconds] = Field(default_factory=lambda: {"user": 120})
    clone: Literal["alert", "freeze", "quarantine"] = "alert"
    pins: tuple[str, ...] = ()

    def overridden_by(self, other: "Policy | None") -> "Policy":
        """This policy with the fields that `other` really set."""
        if other is None:
            return self
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})


class PbxConfig(ConfigModel):
    """One PBX of an installation, as in the scenario file."""

    name: Name
    role: Literal["master", "slave"] = "slave"
    platform: Literal["gateway", "ipva"] = "gateway"
    model: str = ""
    mac: Mac | None = None
    software: Release | None = None
    standby_for: Name | tuple[Name, ...] = ()
    cloud: bool = False
    interfaces: tuple[str, ...] = ()
    policy: Policy | None = None

    @property
    def protected(self) -> tuple[str, ...]:
        """The PBXs that this one stands by for."""
        return (self.standby_for,) if isinstance(self.standby_for, str) else self.standby_for


class InstallationConfig(ConfigModel):
    """One customer: a ledger of its own, its PBXs and its policy."""

    name: Name
    software: Release
    mixed_versions: Literal["strict", "lenient"] = "strict"
    ipva_binding: Literal["holder", "consumer"] = "holder"
    policy: Policy = Policy()
    pbxs: tuple[PbxConfig, ...] = ()

    @model_validator(mode="after")
    def _pbxs_fit(self) -> "InstallationConfig":
        names = [pbx.name for pbx in self.pbxs]
        _refuse_twice("pbxs", names)
        masters = [number for number, pbx in enumerate(self.pbxs) if pbx.role == "master"]
        if not masters:
            raise FieldError("no PBX has role: master; the licence master's own PBX needs it", "pbxs")
        if len(masters) > 1:
            text = f"a second master; {names[masters[0]]} is the master already"
            raise FieldError(text, "pbxs", masters[1], "role")
        for number, pbx in enumerate(self.pbxs):
            for protected in pbx.protected:
                if protected == pbx.name or protected not in names:
                    text = f'expected the name of another PBX of this list, found "{protected}"'
                    raise FieldError(text, "pbxs", number, "standby_for")
        return self


class AgentsConfig(ConfigModel):
    """Where agents reach this master, how often they sync, and how many requests they may send.

    `advertise` is the address that `invite` prints.
    """

    listen: Address = "0.0.0.0:8443"
    advertise: Address | None = None
    sync_s: Annotated[int, Field(ge=1, le=3_600)] = 30
    agent_per_s: Annotated[int, Field(ge=1)] = 100
    address_per_s: Annotated[int, Field(ge=1)] = 1_000


class AdminConfig(ConfigModel):
    """Where the admin API listens, beside the Unix socket in the data directory."""

    listen: Address = "127.0.0.1:8444"


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

    @property
    def pair(self) -> tuple[Path, Path] | None:
        """Certificate and key to serve with; None: those that `init` made."""
        return (self.certificate, self.key) if self.certificate and self.key else None


class MasterConfig(ConfigModel):
    """The whole of master.yaml."""

    data: ConfigPath = Path("/var/lib/licence-master")
    agents: AgentsConfig = AgentsConfig()
    admin: AdminConfig = AdminConfig()
    tls: TlsConfig = TlsConfig()
    installations: tuple[InstallationConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_single(self) -> "MasterConfig":
        _refuse_twice("installations", [installation.name for installation in self.installations])
        return self

    def installation(self, name: str) -> InstallationConfig | None:
        """The installation of this name."""
        return next((found for found in self.installations if found.name == name), None)


def host_and_port(address: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _refuse_twice(key: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise FieldError(f'"{name}" stands here twice; names are single', key, number, "name")
