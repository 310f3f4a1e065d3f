"""The bodies that administrators send, and what they are told back about a change."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from licence_master.service.reports import PoolView

Name = Annotated[str, StringConstraints(min_length=1, max_length=63)]
ROLE = r"^(admin|operator|auditor|site:[a-z0-9][a-z0-9_-]{0,62})$"


class Order(BaseModel):
    """Base of all bodies: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InventoryFile(Order):
    """One inventory as text; the end of its name says whether it is CSV or YAML."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    content: Annotated[str, StringConstraints(max_length=1_048_576)]


class InstallOrder(Order):
    """Install all of these files or none."""

    files: Annotated[tuple[InventoryFile, ...], Field(min_length=1, max_length=100)]
    again: bool = False
    dry_run: bool = False


class RemoveOrder(Order):
    """Remove this many units of a licence type, newest first; no `place`: from the master."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    count: Annotated[int, Field(ge=1, le=1_000_000)]
    place: Name | None = None
    mac: Annotated[str, StringConstraints(max_length=20)] | None = None
    dry_run: bool = False


class InviteOrder(Order):
    """Invite the agent of this PBX."""

    pbx: Name


class TokenOrder(Order):
    """Make a token; role: admin, operator, auditor, or site:NAME."""

    role: Annotated[
        str, StringConstraints(pattern=r"^(admin|operator|auditor|site:[a-z0-9][a-z0-9_-]{0,62})$")
    ]
    label: Annotated[str, StringConstraints(max_length=100)] = ""
    days: Annotated[int, Field(ge=1, le=3_650)] = 365


class WarningReport(BaseModel):
    """Something that counts but should be looked at."""

    code: str
    text: str


class PoolChange(BaseModel):
    """A pool before and after."""

    pool: str
    before: PoolView
    after: PoolView


class Restocked(BaseModel):
    """What was installed or removed, or would be; `skipped` files are installed already."""

    done: bool
    skipped: tuple[str, ...]
    pools: tuple[PoolChange, ...]
    warnings: tuple[WarningReport, ...]


class InviteReport(BaseModel):
    """The secret is shown here only; `command` is the line to run beside the PBX."""

    pbx: str
    url: str
    pin: str
    token: str
    expires_ms: int
    command: str


class TokenReport(BaseModel):
    """A token without its secret."""

    id: str
    role: str
    label: str
    created_ms: int
    expires_ms: int
    revoked_ms: int | None


class NewTokenReport(TokenReport):
    """The secret is shown here only."""

    token: str


class Done(BaseModel):
    """It is done and durable."""

    done: bool = True
