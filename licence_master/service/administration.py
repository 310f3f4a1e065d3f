"""What an administrator changes: licences, agents, sites, the configuration."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TypedDict

from licence_master.config import InstallationConfig
from licence_master.service import configured
from licence_master.service.answers import Answers
from licence_master.service.assignments import Assignments, followed
from licence_master.service.past.history import History
from licence_master.service.writer import Writer
from licensing import administration
from licensing.administration import Change
from licensing.codes import Code, Refusal
from licensing.files import conversion, delivery, document, inventory, transfer
from licensing.files.delivery import Here
from licensing.files.inventory import Item
from licensing.files.licence_file import PublicKey, SignedFile, SignedList
from licensing.ledger import AnyEvent
from licensing.lender import takeover
from licensing.lender.claims import Demands
from licensing.named import assigning
from licensing.rules import LicenceWarning
from licensing.state import State
from licensing.terms import day, following
from runtime.store import Statement


@dataclass(frozen=True, slots=True)
class Inventory:
    """Items that came together in one unsigned file; `digest` tells the same bytes again.

    With `vendor` it is the vendor's file, whose rows lie at the boxes with their MACs.
    """

    digest: str
    items: tuple[Item, ...]
    vendor: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A file to install, by the name that the administrator gave it."""

    name: str
    content: Inventory | SignedFile | SignedList

    @property
    def rows(self) -> int:
        """Rows that it may install."""
        match self.content:
            case SignedList():
                return 0
            case SignedFile():
                return len(self.content.licence.licences)
            case Inventory():
                return len(self.content.items)

    @property
    def turn(self) -> int:
        """Of several files: revocations first, then signed files in the order of their issue."""
        match self.content:
            case SignedList():
                return -1
            case SignedFile():
                return self.content.licence.issue_no
            case Inventory():
                return 0


@dataclass(frozen=True, slots=True)
class Restocking:
    """What an install or remove does: the state before and after, the files skipped as installed already."""

    before: State
    after: State
    warnings: tuple[LicenceWarning, ...]
    skipped: tuple[str, ...] = ()


class _Heard(TypedDict):
    """What the agents said last, and who of them is silent."""

    demands: Demands
    silent: Set[str]


class NotConfigurableError(Exception):
    """The configuration asks for what the ledger forbids."""

    def __init__(self, installation: str, refusal: Refusal) -> None:
        super().__init__(f"installation {installation}: {refusal.sentence}. {refusal.hint}")
        self.refusal = refusal


class Administration:
    """The administrator's side of one installation."""

    def __init__(
        self,
        writer: Writer,
        answers: Answers,
        history: History,
        assignments: Assignments,
        master: str,
        roots: tuple[PublicKey, ...],
    ) -> None:
        """`master` is the key id that files may be bound to; `roots` may be replaced while serving."""
        self.roots = roots
        self._master = master
        self._writer = writer
        self._answers = answers
        self._history = history
        self._assignments = assignments
        self._catalogue = assignments.catalogue

    @property
    def _heard(self) -> _Heard:
        return {"demands": self._answers.demands, "silent": self._answers.silent()}

    async def configure(self, config: InstallationConfig, actor: str) -> None:
        """Make differences to catalogue and configuration true at once, or nothing.

        NotConfigurableError when the ledger forbids them, ConfigErrors when a named file does not fit.
        """
        learned = assigning.learn(self._writer.state, self._catalogue)
        change = administration.configure(
            learned.state,
            configured.settings(config),
            configured.pbxs(config),
            configured.policies(config, learned.state.classes),
        )
        if isinstance(change, Refusal):
            raise NotConfigurableError(self._writer.name, change)
        assigned = followed(change.state, self._catalogue, config.assignments)
        self._assignments.file = config.assignments
        events = (*learned.events, *change.events, *assigned.events)
        state, made = administration.as_one(self._writer.state, assigned.state, events)
        await self._make(Change(state, tuple(made), change.wake), actor)

    async def install(
        self, documents: Sequence[Document], *, again: bool, dry_run: bool, actor: str
    ) -> Restocking | tuple[Refusal, ...]:
        """Install all documents or none; those installed already are skipped.

        Codes: those of `inventory.install` and `delivery`, and `too_large` beyond `MAX_ROWS` in all of them.
        """
        rows = sum(document.rows for document in documents)
        if rows > inventory.MAX_ROWS:
            advice = "Add up rows of the same type, or install the rest afterwards."
            return (Refusal(Code.TOO_LARGE, f"{rows} rows, at most {inventory.MAX_ROWS}", advice),)
        state, events, skipped = self._writer.state, list[AnyEvent](), list[str]()
        wake, warnings = frozenset[str](), tuple[LicenceWarning, ...]()
        for each in sorted(documents, key=lambda document: document.turn):
            change = self._delivered(state, each, again)
            if isinstance(change, Change):
                state, warnings, wake = change.state, change.warnings, wake | change.wake
                events += change.events
            elif all(refusal.code is Code.ALREADY_INSTALLED for refusal in change):
                skipped.append(each.name)
            else:
                return change
        warnings += tuple(_unchecked(each) for each in documents if _is_vendors(each))
        before = self._writer.state
        state, all_events = administration.as_one(before, state, events)
        if events and self._writer.no_room:
            return (Refusal(Code.DISK_FULL),)
        if not dry_run:
            await self._make(Change(state, tuple(all_events), wake), actor)
        return Restocking(before, state, warnings, tuple(skipped))

    def _delivered(self, state: State, file: Document, again: bool) -> Change | tuple[Refusal, ...]:
        match file.content:
            case SignedFile():
                here = Here(self._master, self._writer.clock.wall_ms())
                return delivery.install(state, self._catalogue, file.content, here, **self._heard)
            case SignedList():
                return delivery.revoke(state, file.content, **self._heard)
            case Inventory():
                vendor = file.content.vendor
                items = (inventory.at_their_boxes if vendor else _as_written)(state, file.content.items)
                if isinstance(items, tuple):
                    return items
                source: document.Source = "vendor" if vendor else "statement"
                return inventory.install(
                    state,
                    self._catalogue,
                    items,
                    document=document.Document(file.content.digest, source, file.name),
                    again=again,
                    **self._heard,
                )

    async def expire(self) -> None:
        """Take out the licences of signed files whose time is over; no registration ends."""
        change = delivery.expire(self._writer.state, self._writer.clock.wall_ms(), **self._heard)
        if change is not None:
            await self._make(change, "expiry")

    async def remove(
        self, items: Sequence[Item], *, dry_run: bool, actor: str
    ) -> Restocking | tuple[Refusal, ...]:
        """Remove all items or none; no registration ends."""
        change = inventory.remove(self._writer.state, self._catalogue, items, **self._heard)
        return await self._restock(change, dry_run, actor)

    async def convert(self, pool: str, *, dry_run: bool, actor: str) -> Restocking | tuple[Refusal, ...]:
        """Convert the units of a pool with their upgrade licences: all, or nothing changes."""
        change = conversion.convert(self._writer.state, self._catalogue, pool, **self._heard)
        return await self._restock(change, dry_run, actor)

    async def transfer(
        self, item: Item, place: str | None, *, dry_run: bool, actor: str
    ) -> Restocking | tuple[Refusal, ...]:
        """Move units to another place; no registration ends."""
        change = transfer.transfer(self._writer.state, self._catalogue, item, place, **self._heard)
        return await self._restock(change, dry_run, actor)

    async def _restock(
        self, change: Change | Refusal | tuple[Refusal, ...], dry_run: bool, actor: str
    ) -> Restocking | tuple[Refusal, ...]:
        if not isinstance(change, Change):
            return (change,) if isinstance(change, Refusal) else change
        before = self._writer.state
        if not dry_run:
            await self._make(change, actor)
        return Restocking(before, change.state, change.warnings)

    async def fail(self, pbx: str, actor: str) -> Refusal | tuple[LicenceWarning, ...]:
        """Say that a PBX is out of service: its phones draw Standby, or what is in the way of that."""
        change = takeover.fail(self._writer.state, pbx, **self._heard)
        if isinstance(change, Refusal):
            return change
        await self._make(change, actor)
        return change.warnings

    async def recover(self, pbx: str, actor: str) -> Refusal | None:
        """Say that it is in service again."""
        return await self._make_or_refuse(takeover.recover(self._writer.state, pbx, **self._heard), actor)

    async def revoke(self, pbx: str, actor: str) -> Refusal | None:
        """Refuse the agent's key from now on."""
        return await self._make_or_refuse(administration.revoke(self._writer.state, pbx), actor)

    async def release_site(self, pbx: str, actor: str) -> Refusal | None:
        """Take a share back without asking its agent."""
        change = administration.release_site(self._writer.state, pbx, **self._heard)
        if isinstance(change, Change):
            self._answers.unhear(pbx)
            return await self._make_or_refuse(change, actor, self._history.holdings.clear(pbx))
        return await self._make_or_refuse(change, actor)

    async def confirm_site(self, pbx: str, actor: str) -> Refusal | None:
        """Say that the one agent running is the right one."""
        change = administration.confirm_site(self._writer.state, pbx)
        if isinstance(change, Change):
            forgiven = self._answers.forgive(pbx, change.state.agents[pbx].epoch)
            return await self._make_or_refuse(change, actor, forgiven)
        return await self._make_or_refuse(change, actor)

    async def _make_or_refuse(
        self, change: Change | Refusal, actor: str, statements: Sequence[Statement] = ()
    ) -> Refusal | None:
        if isinstance(change, Refusal):
            return change
        await self._make(change, actor, statements)
        return None

    async def _make(self, change: Change, actor: str, statements: Sequence[Statement] = ()) -> None:
        change = following.as_dated(change, day.of_ms(self._writer.clock.wall_ms()))
        await self._writer.commit(change.state, change.events, actor, statements)
        for agent in sorted(change.wake):
            self._writer.wakes.wake(agent)


def _as_written(_: State, items: Sequence[Item]) -> list[Item] | tuple[Refusal, ...]:
    return list(items)


def _is_vendors(file: Document) -> bool:
    return isinstance(file.content, Inventory) and file.content.vendor


def _unchecked(file: Document) -> LicenceWarning:
    return LicenceWarning(Code.SIGNATURE_UNCHECKED, type=file.name)
