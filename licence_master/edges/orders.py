"""The bodies that administrators send, and what they are told back about a change."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from licence_master.service.told.reports import AssignmentView, LeavingView, PoolView

Name = Annotated[str, StringConstraints(min_length=1, max_length=63)]
ROLE = r"^(admin|operator|auditor|site:[a-z0-9][a-z0-9_-]{0,62})$"
USER_NAME = r"^[a-z0-9][a-z0-9._@-]{0,62}$"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
# What people are told instead of a pattern.
EXPECTED = {
    ROLE: "admin, operator, auditor or site:NAME",
    DATE: "a date such as 2026-03-10",
    USER_NAME: "at most 63 small letters, digits, and . _ @ - behind the first",
}
Role = Annotated[str, StringConstraints(pattern=ROLE)]
UserName = Annotated[str, StringConstraints(pattern=USER_NAME)]
Password = Annotated[str, StringConstraints(min_length=12, max_length=256)]


class Order(BaseModel):
    """Base of all bodies: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InventoryFile(Order):
    """One file as text: signed, the vendor's XML, CSV (by the end of its name), else YAML; at most 1 MiB."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    content: str  # too large a one gets a code of its own


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


class ConvertOrder(Order):
    """Convert all units of this pool with their upgrade licences."""

    pool: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    dry_run: bool = False


class TransferOrder(Order):
    """Move units of a licence type from a place to another, newest first; no place: the master."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    count: Annotated[int, Field(ge=1, le=1_000_000)]
    from_place: Name | None = None
    to_place: Name | None = None
    mac: Annotated[str, StringConstraints(max_length=20)] | None = None
    dry_run: bool = False


class AssignmentRow(Order):
    """Assign a licence, named by its id or type, to an object; no `pbx`: the only one; no `kind`: a user."""

    object: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    licence: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    pbx: Annotated[str, StringConstraints(max_length=63)] = ""
    kind: Annotated[str, StringConstraints(max_length=63)] = ""
    uses: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=63)], ...], Field(max_length=20)
    ] = ()


class AssignOrder(Order):
    """Assign all of these rows, or those of a file, or none; with `replace` nothing else stays assigned."""

    rows: Annotated[tuple[AssignmentRow, ...], Field(max_length=10_000)] = ()
    file: InventoryFile | None = None
    replace: bool = False
    dry_run: bool = False


class UnassignOrder(Order):
    """End one assignment of an object, or (no `licence`) all of them."""

    object: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    licence: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    pbx: Annotated[str, StringConstraints(max_length=63)] = ""
    dry_run: bool = False


class InviteOrder(Order):
    """Invite the agent of this PBX."""

    pbx: Name


class TokenOrder(Order):
    """Make a token; role: admin, operator, auditor, or site:NAME."""

    role: Role
    label: Annotated[str, StringConstraints(max_length=100)] = ""
    days: Annotated[int, Field(ge=1, le=3_650)] = 365


class UserOrder(Order):
    """Let somebody sign in; role: admin, operator, auditor, or site:NAME."""

    name: UserName
    role: Role
    password: Password


class PasswordOrder(Order):
    """Another password."""

    password: Password


class SignInOrder(Order):
    """Name and password; `installation` may be left out when there is one."""

    installation: Name | None = None
    name: Annotated[str, StringConstraints(max_length=63)]
    password: Annotated[str, StringConstraints(max_length=256)]


class WarningReport(BaseModel):
    """Something that counts but should be looked at."""

    code: str
    text: str


class PoolChange(BaseModel):
    """A pool before and after."""

    pool: str
    before: PoolView
    after: PoolView


class FileReport(BaseModel):
    """A file that came; `issuer` to `until_ms` are those of a signed one, `source` is its kind."""

    name: str
    source: str
    issuer: str = ""
    project: str = ""
    issue_no: int = 0
    until_ms: int | None = None


class Restocked(BaseModel):
    """What was installed or removed, or would be; `skipped` files are installed already.

    `gained` and `lost` are the assignments that get or lose their unit by it, `leaving` the objects in use
    beyond what is left: they go on, and their units are recalled.
    """

    done: bool
    files: tuple[FileReport, ...] = ()
    skipped: tuple[str, ...]
    pools: tuple[PoolChange, ...]
    warnings: tuple[WarningReport, ...]
    gained: tuple[AssignmentView, ...] = ()
    lost: tuple[AssignmentView, ...] = ()
    leaving: tuple[LeavingView, ...] = ()


class Reassignment(BaseModel):
    """What was assigned anew and what ended, or would; `gained` and `lost`: who got or lost a unit by it."""

    done: bool
    assigned: tuple[AssignmentView, ...]
    ended: tuple[AssignmentView, ...]
    gained: tuple[AssignmentView, ...]
    lost: tuple[AssignmentView, ...]


class InviteReport(BaseModel):
    """The secret is shown here only; `command` is the line to run beside the PBX."""

    pbx: str
    url: str
    pin: str
    token: str
    expires_ms: int
    command: str


class TokenReport(BaseModel):
    """A token without its secret; `used_ms` is its last use, to the minute."""

    id: str
    role: str
    label: str
    created_ms: int
    expires_ms: int
    revoked_ms: int | None
    used_ms: int | None


class NewTokenReport(TokenReport):
    """The secret is shown here only."""

    token: str


class UserReport(BaseModel):
    """Somebody who may sign in; `seen_ms` is when they last did."""

    name: str
    role: str
    created_ms: int
    changed_ms: int
    seen_ms: int | None


class CallerReport(BaseModel):
    """Who asks; `installation` null means all. A session has a token for the header X-CSRF-Token."""

    actor: str
    role: str
    installation: str | None
    site: str | None
    csrf_token: str | None


class Done(BaseModel):
    """It is done and durable."""

    done: bool = True


class ArchiveOrder(Order):
    """Write the archive of call records; `rebuild`: all of it anew; `most`: so many now, the rest later."""

    rebuild: StrictBool = False
    most: Annotated[StrictInt, Field(ge=1)] | None = None


class ArchiveReport(BaseModel):
    """The archive has so many records in so many files; `added` are new, no more than `left` wait."""

    rows: int
    added: int
    parts: int
    left: int


class Failed(Done):
    """It is done; `warnings` say why objects of that PBX will draw no Standby all the same."""

    warnings: tuple[WarningReport, ...] = ()
