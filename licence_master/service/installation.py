"""One installation at work: its store, its writer and everything that stands on them."""

import secrets
from dataclasses import dataclass

from licence_master.config import InstallationConfig
from licence_master.service import configured
from licence_master.service.administration import Administration
from licence_master.service.answers import Answers
from licence_master.service.enrolment import Enrolment
from licence_master.service.history import History
from licence_master.service.writer import Writer
from licence_master.store import activity, credentials, ledger
from licence_master.store.activity import PastReader
from licence_master.store.directory import DataDirectory
from licence_master.store.schema import MIGRATIONS
from licensing import administration
from licensing.catalogue import Catalogue
from runtime.clock import Clock
from runtime.signing import SigningKey
from runtime.store import Database, GroupCommit, open_database


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all installations of a master share."""

    directory: DataDirectory
    key: SigningKey
    catalogue: Catalogue
    clock: Clock
    sync_ms: int


class Installation:
    """The services of one installation, over one open store."""

    def __init__(
        self,
        database: Database,
        commits: GroupCommit,
        writer: Writer,
        answers: Answers,
        enrolment: Enrolment,
        administration: Administration,
        history: History,
        past: PastReader,
    ) -> None:
        self.writer = writer
        self.answers = answers
        self.enrolment = enrolment
        self.administration = administration
        self.history = history
        self.past = past
        self._database = database
        self._commits = commits

    @property
    def name(self) -> str:
        """As in the configuration."""
        return self.writer.name

    async def run(self) -> None:
        """Commit until `stop`; raises when the store fails, and then the process must end."""
        await self._commits.run()

    def end_polls(self) -> None:
        """Answer every long poll, so that the server need not wait for them."""
        self.writer.wakes.close()

    def stop(self) -> None:
        """Accept nothing more; `run` returns when all is durable."""
        self._commits.close()

    async def close(self) -> None:
        """Close the store; call after `run` has ended."""
        await self._database.close()

    async def begin(self, config: InstallationConfig, *, recovery: bool) -> None:
        """Take a higher term (or found a new store, in recovery or not) and follow the configuration.

        Needs `run` to be running. NotConfigurableError when the ledger forbids what the configuration asks.
        """
        writer = self.writer
        if writer.state.instance:
            change = administration.raise_term(writer.state)
        else:
            change = administration.found(
                secrets.token_hex(8),
                1,
                recovery=recovery,
                settings=configured.settings(config),
                pbxs=configured.pbxs(config),
            )
        await writer.commit(change.state, change.events, "master")
        await self.administration.configure(config, "configuration")
        for agent in writer.state.agents:
            writer.wakes.wake(agent)  # what each one uses now is not in the ledger: ask it


async def open_installation(name: str, around: Surroundings) -> Installation:
    """Open or make the store of an installation and read it; ChainBrokenError when it was tampered with."""
    path = around.directory.make_installation(name)
    database = await open_database(path, MIGRATIONS)
    try:
        return await _assemble(name, around, database)
    except BaseException:
        await database.close()
        raise


async def _assemble(name: str, around: Surroundings, database: Database) -> Installation:
    commits = GroupCommit(database)
    writer = Writer(name, commits, around.clock)
    writer.load(await ledger.entries(database))
    history = History(
        name,
        writer.tally,
        await activity.holders(database),
        await activity.seen(database),
        await activity.last_denial_id(database),
    )
    contacts, kept = await ledger.contacts(database), await ledger.answers(database)
    answers = Answers(writer, history, around.key, around.sync_ms, contacts, kept)
    invites, tokens = await credentials.invites(database), await credentials.tokens(database)
    return Installation(
        database,
        commits,
        writer,
        answers,
        Enrolment(writer, answers, history, around.key.public, invites, tokens),
        Administration(writer, answers, history, around.catalogue),
        history,
        PastReader(around.directory.ledger(name)),
    )
