"""One installation at work: its store, its writer and everything that stands on them."""

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass

from licence_master.config import InstallationConfig
from licence_master.service import configured
from licence_master.service.administration import Administration
from licence_master.service.answers import Answers
from licence_master.service.assignments import Assignments
from licence_master.service.backups import Backups
from licence_master.service.calls.calls import Calls, open_calls
from licence_master.service.enrolment import Enrolment
from licence_master.service.past.history import History
from licence_master.service.past.holdings import Holdings
from licence_master.service.past.peaks import Peaks
from licence_master.service.past.upkeep import Upkeep
from licence_master.service.people.people import People
from licence_master.service.snapshots import Snapshots, starting_point
from licence_master.service.terms import Terms
from licence_master.service.writer import Writer
from licence_master.store import activity, credentials, home, ledger
from licence_master.store.activity import PastReader
from licence_master.store.directory import DataDirectory
from licence_master.store.peaks import PeakReader
from licence_master.store.retention import Oldest
from licence_master.store.schema import MIGRATIONS
from licensing import administration
from licensing.catalogue import Catalogue
from licensing.files.licence_file import PublicKey
from licensing.terms.release import Release
from runtime.ballast import Ballast
from runtime.clock import Clock
from runtime.entropy import SYSTEM, Entropy
from runtime.logs import logger
from runtime.signing import SigningKey
from runtime.store import Database, GroupCommit, open_database

MOVED = (
    "this store was served from another place before, so it may be a copy that is behind: nothing new is lent"
    " before every agent has answered; if a master still serves the original, stop one of the two"
)
LINGERING_TAIL = 10_000  # newest events, read at a start for what still lingers


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all installations of a master share."""

    directory: DataDirectory
    key: SigningKey
    catalogue: Catalogue
    clock: Clock
    sync_ms: int
    ballast: Ballast
    roots: tuple[PublicKey, ...] = ()
    releases: tuple[Release, ...] = ()
    entropy: Entropy = SYSTEM


@dataclass(frozen=True, slots=True)
class Home:
    """Where the store lies now, and where it was served last; None: nowhere yet."""

    here: str
    last: str | None

    @property
    def moved(self) -> bool:
        """Whether it may be a copy."""
        return self.last not in (None, self.here)


class Installation:
    """The services of one installation, over one open store."""

    def __init__(
        self,
        database: Database,
        commits: GroupCommit,
        calls: Calls,
        writer: Writer,
        answers: Answers,
        enrolment: Enrolment,
        people: People,
        assignments: Assignments,
        administration: Administration,
        terms: Terms,
        history: History,
        past: PastReader,
        backups: Backups,
        snapshots: Snapshots,
        peaks: Peaks,
        upkeep: Upkeep,
        home: Home,
    ) -> None:
        self.calls = calls
        self.writer = writer
        self.answers = answers
        self.enrolment = enrolment
        self.people = people
        self.assignments = assignments
        self.administration = administration
        self.terms = terms
        self.history = history
        self.past = past
        self.backups = backups
        self.snapshots = snapshots
        self.peaks = peaks
        self.upkeep = upkeep
        self._home = home
        self._database = database
        self._commits = commits

    @property
    def name(self) -> str:
        """As in the configuration."""
        return self.writer.name

    async def run(self) -> None:
        """Commit until `stop`; raises when the store fails, and then the process must end."""
        await self._commits.run()

    def watches(self) -> list[Coroutine[None, None, None]]:
        """What is done beside the requests, until it is cancelled."""
        return [self.snapshots.watch(), self.upkeep.watch(), self.calls.upkeep.watch(), self.calls.push()]

    def end_polls(self) -> None:
        """Answer every long poll, so that the server need not wait for them."""
        self.writer.wakes.close()

    def stop(self) -> None:
        """Accept nothing more; `run` returns when all is durable."""
        self.calls.stop()
        self._commits.close()

    async def close(self) -> None:
        """Close the stores; call after `run` has ended."""
        await self.calls.close()
        await self._database.close()

    def keep(self, config: InstallationConfig) -> None:
        """How long what is kept, as configured."""
        self.upkeep.keep(config.activity.keep_days)
        self.calls.upkeep.config = config.calls

    async def begin(self, config: InstallationConfig, *, recovery: bool) -> None:
        """Take a higher term (or found a new store, in recovery or not) and follow the configuration.

        A store that lies elsewhere than it was served last begins in recovery: it may be a copy, and behind.
        Needs `run` to be running. NotConfigurableError when the ledger forbids what the configuration asks.
        """
        writer = self.writer
        actor = "master"
        if writer.state.instance and self._home.moved:
            change = administration.start_recovery(writer.state, instance=writer.entropy(8).hex())
            actor = "moved store"
            logger(installation=self.name).warning("store.moved", hint=MOVED)
        elif writer.state.instance:
            change = administration.raise_term(writer.state)
        else:
            change = administration.found(
                writer.entropy(8).hex(),
                1,
                recovery=recovery,
                settings=configured.settings(config),
                pbxs=configured.pbxs(config),
            )
        await writer.commit(change.state, change.events, actor, [home.keep(self._home.here)])
        await self.administration.configure(config, "configuration")
        self.keep(config)
        self.backups.tidy()
        writer.remind()
        self.wake_all()  # what each one uses now is not in the ledger: ask it

    def wake_all(self) -> None:
        """Ask every agent to sync."""
        for agent in self.writer.state.agents:
            self.writer.wakes.wake(agent)


async def open_installation(name: str, around: Surroundings) -> Installation:
    """Open or make the store of an installation and read it; ChainBrokenError when it was tampered with."""
    path = around.directory.make_installation(name)
    async with AsyncExitStack() as undo:
        database = await open_database(path, MIGRATIONS)
        undo.push_async_callback(database.close)
        index, archive = around.directory.calls(name), around.directory.call_archive(name)
        calls = await open_calls(name, index, archive, around.clock, around.ballast)
        undo.push_async_callback(calls.close)
        installation = await assemble(name, around, database, calls, home.place_of(path))
        undo.pop_all()
    return installation


async def assemble(
    name: str, around: Surroundings, database: Database, calls: Calls, place: str
) -> Installation:
    """The services over open stores at this place, which are read; errors as `open_installation`."""
    commits = GroupCommit(database)
    writer = Writer(name, commits, around.clock, around.ballast, around.entropy)
    begin = await starting_point(name, database)
    writer.load(begin, await ledger.entries(database, begin.state.position, begin.head))
    holdings = Holdings(await activity.holders(database))
    async for agent, events in activity.since_holders(database):
        holdings.follow(agent, events)
    history = History(
        name,
        writer.tally,
        holdings,
        await activity.seen(database),
        await activity.last_denial_id(database),
        await activity.tail(database, LINGERING_TAIL),
    )
    contacts, kept = await ledger.contacts(database), await ledger.answers(database)
    answers = Answers(writer, history, around.key, around.sync_ms, contacts, kept)
    invites, tokens = await credentials.invites(database), await credentials.tokens(database)
    assignments = Assignments(writer, around.catalogue)
    path = around.directory.ledger(name)
    peaks = Peaks(writer, commits, PeakReader(path), history.holdings)
    return Installation(
        database,
        commits,
        calls,
        writer,
        answers,
        Enrolment(writer, answers, history, around.key.public, invites, tokens),
        People(writer, await credentials.people(database)),
        assignments,
        Administration(writer, answers, history, assignments, around.key.key_id, around.roots),
        Terms(writer, answers, around.catalogue, around.releases),
        history,
        PastReader(path),
        Backups(name, path, around.directory.calls(name), around.clock),
        Snapshots(writer, commits, begin.state.position),
        peaks,
        Upkeep(writer, commits, peaks, Oldest(path)),
        Home(place, await home.recorded(database)),
    )
