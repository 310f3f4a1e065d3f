"""Who is assigned which licence: by an administrator's order, or by the file of the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from licence_master.config import InstallationConfig
from licence_master.service import assignment_file, configured
from licence_master.service.assignment_file import AssignmentFile
from licence_master.service.writer import Writer
from licensing.administration import Change
from licensing.catalogue import Catalogue
from licensing.codes import Code, Refusal
from licensing.named import assigning
from licensing.named.assigning import Refused, Wish
from licensing.state import State


@dataclass(frozen=True, slots=True)
class Reassigned:
    """The state before and after an order."""

    before: State
    after: State


class Assignments:
    """The assignments of one installation; `file` is the one that decides them alone, where there is one."""

    def __init__(self, writer: Writer, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.file: Path | None = None
        self._writer = writer

    async def assign(
        self, wishes: Sequence[Wish], *, replace: bool, dry_run: bool, actor: str
    ) -> Reassigned | tuple[Refused, ...]:
        """Assign all rows or none; with `replace` nothing else stays assigned."""
        refusal = self._refusal()
        if refusal is not None:
            return (Refused(0, "", refusal),)
        order = assigning.make if replace else assigning.assign
        change = order(self._writer.state, self.catalogue, wishes)
        if not isinstance(change, Change):
            return change
        if change.events and self._writer.no_room:
            return (Refused(0, "", Refusal(Code.DISK_FULL)),)
        return await self._made(change, dry_run, actor)

    async def unassign(
        self, name: str, licence: str | None, pbx: str, *, dry_run: bool, actor: str
    ) -> Reassigned | Refusal:
        """End one assignment of an object, or all of them."""
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        change = assigning.unassign(self._writer.state, self.catalogue, name, licence, pbx)
        return await self._made(change, dry_run, actor) if isinstance(change, Change) else change

    def _refusal(self) -> Refusal | None:
        return (
            None
            if self.file is None
            else Refusal(Code.CONFIGURED, f"the assignments are those of {self.file}")
        )

    async def _made(self, change: Change, dry_run: bool, actor: str) -> Reassigned:
        before = self._writer.state
        if not dry_run:
            await self._writer.commit(change.state, change.events, actor)
        return Reassigned(before, change.state)


def followed(state: State, catalogue: Catalogue, path: Path | None) -> Change:
    """The change that makes assignments those of a file; ConfigErrors when it does not fit."""
    if path is None:
        return Change(state, ())
    file: AssignmentFile = assignment_file.load(path)
    change = assigning.make(state, catalogue, file.rows)
    if not isinstance(change, Change):
        raise file.errors(change)
    return change


def check(config: InstallationConfig, catalogue: Catalogue) -> None:
    """Whether the file that an installation names can be followed; ConfigErrors says where not."""
    state = State(pbxs={pbx.name: pbx for pbx in configured.pbxs(config)})
    followed(assigning.learn(state, catalogue).state, catalogue, config.assignments)
