"""From a data directory to a site that can serve: what was stored is read back before a phone is heard."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from agent.config import AgentConfig, PbxEntry
from agent.service.alarms import Alarms
from agent.service.box import Box
from agent.service.chronicle import Chronicle
from agent.service.desk import Desk
from agent.service.driver import Observation
from agent.service.floods import Floods
from agent.service.link import Link
from agent.service.observer import Observer
from agent.service.presence import Presence
from agent.service.seats import SeatVerdict
from agent.service.site import Site
from agent.service.stand_in import StandIn
from agent.service.sync import Conversation, Spread
from agent.store import call_row
from agent.store.enrolment import JOURNAL_FILE, KEY_FILE, Enrolment, load
from agent.store.journal import Journal, Marks
from licensing.site import record as records
from licensing.site import share
from licensing.site.record import ShareRecord
from licensing.site.seat import Seats
from licensing.site.use import Use
from runtime.clock import Clock
from runtime.entropy import SYSTEM, Entropy
from runtime.signing import SigningKey
from telephony.address import Identity
from telephony.binding import Registration
from telephony.dialog import CallRecord
from telephony.directory import PASS, Directory, Row, Subject, Unknown
from telephony.guard import Guard
from telephony.line import LineRow
from telephony.meter import Meter
from telephony.pbx import questions
from telephony.settings import Listener, Settings
from telephony.token import Tokens

if TYPE_CHECKING:  # only an agent that takes call records carries their readers
    from agent.service.cdr.collection import Collection

# How long a binding may last that a crash kept from the journal before the first one was ever stored.
UNKNOWN_EXPIRY_S = 3_600

MakeLink = Callable[[Enrolment, SigningKey, Sequence[str]], Link]


@dataclass(frozen=True, slots=True)
class Around:
    """What the parts of one PBX stand on: time, chance, the way to the master (given its announced pins).

    `away` is the policy until the master has answered once, `process` a name that no other process has,
    `observation` the driver of a PBX that says what it holds, `collect` makes what takes its call records.
    """

    clock: Clock
    make_link: Callable[[Sequence[str]], Link]
    away: str = "refuse"
    entropy: Entropy = SYSTEM
    spread: Spread = random.uniform
    process: str = ""
    observation: Observation | None = None
    collect: "Callable[[Link, Alarms], Collection] | None" = None


@dataclass(frozen=True, slots=True)
class OpenPbx:
    """One PBX of this agent with everything that belongs to it."""

    entry: PbxEntry
    site: Site
    box: Box
    conversation: Conversation
    journal: Journal
    alarms: Alarms
    floods: Floods
    stand_in: StandIn
    secret: bytes
    observer: Observer | None = None
    cdrs: "Collection | None" = None

    async def begin(self) -> None:
        """From here on a stop is unclean, until `end`; needs the journal's `run`."""
        await self.journal.keep_marks(clean_stop=0, flow_secret=self.secret)

    async def end(self) -> None:
        """Remember that every binding is on disk, unless one is still on its way; the journal then ends."""
        self.site.close()
        counts = self.site.seats.counts().values()
        clean = not self.site.doubting and not any(count.reserved for count in counts)
        await self.journal.keep_marks(clean_stop=int(clean))
        self.journal.finish()


@dataclass(frozen=True, slots=True)
class Stored:
    """What the journal remembered."""

    record: ShareRecord
    registrations: list[Registration]
    reservations: dict[str, str]
    proven: set[str]
    uses: list[Use]
    calls: list[CallRecord]
    marks: Marks
    secret: bytes


async def open_pbx(
    entry: PbxEntry,
    config: AgentConfig,
    clock: Clock,
    make_link: MakeLink,
    process: str = "",
    observation: Observation | None = None,
    collect: "Callable[[Enrolment, Link, Alarms], Collection] | None" = None,
) -> OpenPbx:
    """Read one PBX's directory and put its parts together; nothing runs yet.

    NotEnrolledError, KeyFileError, StoreError.
    """
    directory = config.data / entry.name
    enrolment, key = load(directory), SigningKey.load(directory / KEY_FILE)
    journal = await Journal.open(directory / JOURNAL_FILE)
    around = Around(
        clock,
        lambda pins: make_link(enrolment, key, pins),
        config.policy.away,
        process=process,
        observation=observation,
        collect=None if collect is None else partial(collect, enrolment),
    )
    return await assemble(entry, enrolment, journal, around)


async def assemble(entry: PbxEntry, enrolment: Enrolment, journal: Journal, around: Around) -> OpenPbx:
    """The parts of one PBX over an open journal, which is read; StoreError."""
    clock = around.clock
    stored = await _read(journal, enrolment, around)
    alarms = Alarms(entry.name)
    directory = _directory(entry)
    verdict = _verdict(entry, stored, journal, around)
    site = _site(entry, stored, verdict, directory, journal, alarms, around)
    link = around.make_link(stored.record.policy.pins)
    box = Box(site, entry, alarms, clock, around.process)
    box.obey(stored.record)
    conversation = Conversation(stored.record, box, journal, link, clock, alarms, around.spread)
    floods = Floods(site.intake.meter, entry.sip.limits.messages_per_s, alarms, clock, entry.name)
    stand_in = StandIn(entry.name, site, journal, lambda: conversation.record, clock)
    stand_in.resume(stored.marks.standing_in)
    observer = None
    if (observation := around.observation) is not None:
        find = partial(_named, directory, entry.sip.domain or entry.sip.pbx.address.host)
        evicts = observation.evicts
        presence = Presence(entry.name, site.guard, verdict, find, clock, site.counting, evicts=evicts)
        observer = Observer(entry.name, observation, presence, alarms, clock)
    # A connection of its own: many records must not keep a sync waiting.
    cdrs = around.collect and around.collect(around.make_link(stored.record.policy.pins), alarms)
    return OpenPbx(
        entry, site, box, conversation, journal, alarms, floods, stand_in, stored.secret, observer, cdrs
    )


async def _read(journal: Journal, enrolment: Enrolment, around: Around) -> Stored:
    now_ms, at_ms = around.clock.monotonic_ms(), around.clock.wall_ms()
    row, marks = await journal.share(), await journal.marks()
    record = share.enrolled(enrolment.enrolled, now_ms, at_ms)
    if row is not None:
        kept = records.decode(row, now_ms)
        same = (kept.agent, kept.installation) == (record.agent, record.installation)
        if same and kept.epoch >= record.epoch:  # else this PBX has joined again since
            record = kept
    secret = marks.flow_secret or around.entropy(32)
    return Stored(
        record,
        await journal.registrations(),
        {} if marks.clean_stop else await journal.reservations(),
        await journal.proven(),
        await journal.uses(),
        [call_row.decode(row, now_ms, at_ms) for row in await journal.calls()],
        marks,
        secret,
    )


def _verdict(entry: PbxEntry, stored: Stored, journal: Journal, around: Around) -> SeatVerdict:
    clock = around.clock
    seats = _seats(entry, stored, around.away, clock.monotonic_ms(), clock.wall_ms())
    return SeatVerdict(seats, Desk(seats, stored.uses, journal), entry.interfaces)


def _site(
    entry: PbxEntry,
    stored: Stored,
    verdict: SeatVerdict,
    directory: Directory,
    journal: Journal,
    alarms: Alarms,
    around: Around,
) -> Site:
    clock = around.clock
    now_ms = clock.monotonic_ms()
    guard = _guard(entry, verdict, directory, stored)
    guard.restore(stored.registrations, now_ms)
    guard.restore_calls(stored.calls, now_ms)
    chronicle = Chronicle(entry.name, journal, clock, stored.marks.activity_last)
    boot = around.entropy(8).hex()
    site = Site(entry.software, guard, _meter(entry), verdict, journal, chronicle, alarms, clock, boot)
    doubt_until_ms = _doubt_until_ms(stored, now_ms)
    if doubt_until_ms is not None:
        site.doubt(stored.reservations, doubt_until_ms)
    site.resume_bypass(stored.marks.bypass_until_ms, now_ms, clock.wall_ms())
    return site


def _seats(entry: PbxEntry, stored: Stored, away: str, now_ms: int, at_ms: int) -> Seats:
    record = stored.record
    policy = record.policy
    if not record.synced:
        policy = msgspec.structs.replace(policy, away=away)
    seats = Seats(policy, stored.proven)
    doubt_until_ms = _doubt_until_ms(stored, now_ms)
    closed = record.synced and records.closed(record, now_ms, at_ms)
    limits = records.limits(record, entry.software)
    seats.lend(limits, now_ms, synced=record.synced, closed=closed)
    registered = {registration.name: registration.kind for registration in stored.registrations}
    noted = stored.reservations if doubt_until_ms is not None else {}
    used = {use.seat: use.kind for use in stored.uses}
    seats.restore({**registered, **noted, **used}.items(), now_ms, doubt_until_ms)
    return seats


def _doubt_until_ms(stored: Stored, now_ms: int) -> int | None:
    """After an unclean stop: how long a binding may live whose expiry was never stored (safety rule 4)."""
    if stored.marks.clean_stop or not stored.record.synced:  # without a share nothing was reserved
        return None
    longest_s = stored.marks.longest_granted_s
    if stored.reservations or not longest_s:
        longest_s = max(longest_s, UNKNOWN_EXPIRY_S)
    return now_ms + 1_000 * longest_s


def _meter(entry: PbxEntry) -> Meter:
    limits = entry.sip.limits
    return Meter(limits.messages_per_s, limits.burst, (entry.sip.pbx.address.host,), limits.trusted)


def _directory(entry: PbxEntry) -> Directory:
    rows = [Row(row.whole_kind, row.aor, row.name) for row in entry.objects]
    return Directory(rows, Unknown(entry.unknown), Identity(entry.identity))


def _named(directory: Directory, domain: str, aor: str) -> Subject | None:
    """The object of an AOR as a PBX names it, which may leave out its domain; None where none is counted."""
    subject = directory.find(f"sip:{aor if '@' in aor else f'{aor}@{domain}'}".encode())
    return None if subject is None or subject.kind == PASS else subject


def _guard(entry: PbxEntry, verdict: SeatVerdict, directory: Directory, stored: Stored) -> Guard:
    settings = _asked(entry) if entry.asked else _settings(entry, counted=bool(stored.calls))
    return Guard(settings, directory, verdict, Tokens(stored.secret), stored.secret)


def _settings(entry: PbxEntry, *, counted: bool) -> Settings:
    """Of a guard in front; calls that were `counted` end as they do, though their rows are gone."""
    lines = tuple(LineRow(row.aor, row.called, row.line) for row in entry.calls.lines)
    return Settings(
        pbx=entry.sip.pbx_flow,
        listeners=tuple(
            Listener(endpoint.transport, str(entry.sip.advertised(endpoint))) for endpoint in entry.sip.listen
        ),
        agent=entry.name,
        emergency=entry.sip.emergency_numbers,
        transaction_limit=entry.sip.limits.transactions,
        nat_keep_alive_s=entry.sip.nat_keep_alive_s,
        supported_path=entry.sip.supported_path or entry.asterisk is not None,
        lines=lines if lines or counted else None,
        call_age_s=entry.calls.max_age_s,
    )


def _asked(entry: PbxEntry) -> Settings:
    """Of a guard that Kamailio asks: it has checked who they are, and looks after NATs itself."""
    return Settings(
        pbx=questions.way_to(entry.sip.pbx.address.host),
        listeners=(questions.LISTENER,),
        agent=entry.name,
        transaction_limit=entry.sip.limits.transactions,
        authenticated=True,
    )
