"""What an administrator changes: licences, agents, sites, the configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

from licence_master.config import InstallationConfig
from licence_master.service import configured
from licence_master.service.answers import Answers
from licence_master.service.history import History
from licence_master.service.writer import Writer
from licensing import administration, inventory
from licensing.administration import Change
from licensing.catalogue import Catalogue
from licensing.codes import Code, Refusal
from licensing.inventory import Item
from licensing.ledger import AnyEvent
from licensing.rules import LicenceWarning
from licensing.state import State
from runtime.store import Statement


@dataclass(frozen=True, slots=True)
class Document:
    """Items that came together in one file; `digest` tells the same bytes again."""

    name: str
    digest: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Restocking:
    """What an install or remove does: the state before and after, the files skipped as installed already."""

    before: State
    after: State
    warnings: tuple[LicenceWarning, ...]
    skipped: tuple[str, ...] = ()


class NotConfigurableError(Exception):
    """The configuration asks for what the ledger forbids."""

    def __init__(self, installation: str, refusal: Refusal) -> None:
        super().__init__(f"installation {installation}: {refusal.sentence}. {refusal.hint}")
        self.refusal = refusal


class Administration:
    """The administrator's side of one installation."""

    def __init__(self, writer: Writer, answers: Answers, history: History, catalogue: Catalogue) -> None:
        self._writer = writer
        self._answers = answers
        self._history = history
        self._catalogue = catalogue

    async def configure(self, config: InstallationConfig, actor: str) -> None:
        """Make differences to the configuration true; NotConfigurableError changes nothing."""
        change = administration.configure(
            self._writer.state,
            configured.settings(config),
            configured.pbxs(config),
            configured.policies(config),
        )
        if isinstance(change, Refusal):
            raise NotConfigurableError(self._writer.name, change)
        await self._make(change, actor)

    async def install(
        self, documents: Sequence[Document], *, again: bool, dry_run: bool, actor: str
    ) -> Restocking | tuple[Refusal, ...]:
        """Install all documents or none; those installed already are skipped."""
        state, events, skipped = self._writer.state, list[AnyEvent](), list[str]()
        wake, warnings = frozenset[str](), tuple[LicenceWarning, ...]()
        for document in documents:
            change = inventory.install(
                state,
                self._catalogue,
                document.items,
                document=document.digest,
                again=again,
                demands=self._answers.demands,
                silent=self._answers.silent(),
            )
            if isinstance(change, Change):
                state, warnings, wake = change.state, change.warnings, wake | change.wake
                events += change.events
            elif all(refusal.code is Code.ALREADY_INSTALLED for refusal in change):
                skipped.append(document.name)
            else:
                return change
        before = self._writer.state
        if not dry_run:
            await self._make(Change(state, tuple(events), wake), actor)
        return Restocking(before, state, warnings, tuple(skipped))

    async def remove(
        self, items: Sequence[Item], *, dry_run: bool, actor: str
    ) -> Restocking | tuple[Refusal, ...]:
        """Remove all items or none; no registration ends."""
        before = self._writer.state
        change = inventory.remove(
            before,
            self._catalogue,
            items,
            demands=self._answers.demands,
            silent=self._answers.silent(),
        )
        if not isinstance(change, Change):
            return change
        if not dry_run:
            await self._make(change, actor)
        return Restocking(before, change.state, change.warnings)

    async def revoke(self, pbx: str, actor: str) -> Refusal | None:
        """Refuse the agent's key from now on."""
        return await self._make_or_refuse(administration.revoke(self._writer.state, pbx), actor)

    async def release_site(self, pbx: str, actor: str) -> Refusal | None:
        """Take a share back without asking its agent."""
        change = administration.release_site(
            self._writer.state, pbx, demands=self._answers.demands, silent=self._answers.silent()
        )
        if isinstance(change, Change):
            self._answers.demands.pop(pbx, None)
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
        await self._writer.commit(change.state, change.events, actor, statements)
        for agent in change.wake:
            self._writer.wakes.wake(agent)
