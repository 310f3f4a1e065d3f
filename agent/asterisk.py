"""`asterisk` of agent.yaml: its manager interface, and where its dial plan asks before a room."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from agent.endpoint import Address, own_address
from runtime.config import ConfigModel, ConfigPath, FieldError, checks_files
from runtime.credentials import out_of_reach

UserName = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\s\[\];]+$")]


class ManagerTls(ConfigModel):
    """The manager interface by TLS (`tlsenable` of manager.conf); whom we believe, and its name.

    Without `ca` one that the system trusts; without `name` the host of `manager`.
    """

    ca: ConfigPath | None = None
    name: Annotated[str, Field(min_length=1, max_length=253)] | None = None


class Asterisk(ConfigModel):
    """An Asterisk that says what it holds, and whose dial plan may ask.

    `evict`: who enters a room without having asked, and has no licence, is removed.
    """

    manager: Address
    user: UserName
    secret: ConfigPath
    tls: ManagerTls | None = None
    resync_s: Annotated[int, Field(ge=5, le=3_600)] = 60
    dialplan: Annotated[Address, AfterValidator(own_address)] | None = None
    evict: bool = True

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> "Asterisk":
        dialplan = self.dialplan
        if dialplan and dialplan.ip and not dialplan.ip.is_loopback and self.manager.ip is None:
            trouble = f'found "{self.manager}" and a dialplan that is no loopback address'
            raise FieldError(f"{trouble}; write the IP address that Asterisk asks from", "manager")
        if checks_files(info) and not out_of_reach(self.secret) and (trouble := _unusable(self.secret)):
            raise FieldError(f"{trouble}; write the secret of manager.conf there, for us alone", "secret")
        return self


def _unusable(secret: Path) -> str:
    try:
        return "" if secret.read_bytes().strip() else f"{secret} is empty"
    except OSError:
        return f"{secret} cannot be read"
