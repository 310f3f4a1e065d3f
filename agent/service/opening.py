"""From a data directory to a site that can serve: what was stored is read back before a phone is heard."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.config import PbxEntry
from agent.service.alarms import Alarms
from agent.service.chronicle import Chronicle
from agent.service.floods import Floods
from agent.service.link import Link
from agent.service.seats import SeatVerdict
from agent.service.site import Site
from agent.service.sync import Conversation
from agent.store.enrolment import JOURNAL_FILE, KEY_FILE, Enrolment, load
from agent.store.journal import Journal, Marks
from licensing import record as records
from licensing import share
from licensing.record import ShareRecord
from licensing.seat import Seats
from runtime.clock import Clock
from runtime.signing import SigningKey
from telephony.address import Identity
from telephony.binding import Registration
from telephony.directory import Directory, Row, Unknown
from telephony.guard import Guard
from telephony.meter import Meter
from telephony.settings import Listener, Settings
from telephony.token import Tokens

# How long a binding may last that a crash kept from the journal before the first one was ever stored.
UNKNOWN_EXPIRY_S = 3_600

MakeLink = Callable[[Enrolment, SigningKey, Sequence[str]], Link]


@dataclass(frozen=True, slots=True)
class OpenPbx:
    """One PBX of this agent with everything that belongs to it."""

    entry: PbxEntry
    site: Site
    conversation: Conversation
    journal: Journal
    alarms: Alarms
    floods: Floods
    secret: bytes

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
    marks: Marks
    secret: bytes


async def open_pbx(entry: PbxEntry, data: Path, away: str, clock: Clock, make_link: MakeLink) -> OpenPbx:
    """Read one PBX's directory and put its parts together; nothing runs yet.

    `away` is the policy until the master has answered once. NotEnrolledError, KeyFileError, StoreError.
    """
    directory = data / entry.name
    enrolment, key = load(directory), SigningKey.load(directory / KEY_FILE)
    journal = await Journal.open(directory / JOURNAL_FILE)
    stored = await _read(journal, enrolment, clock)
    alarms = Alarms(entry.name)
    site = _site(entry, stored, journal, alarms, away, clock)
    link = make_link(enrolment, key, stored.record.policy.pins)
    conversation = Conversation(stored.record, site, journal, link, clock, alarms)
    floods = Floods(site.intake.meter, entry.sip.limits.messages_per_s, alarms, clock, entry.name)
    return OpenPbx(entry, site, conversation, journal, alarms, floods, stored.secret)


async def _read(journal: Journal, enrolment: Enrolment, clock: Clock) -> Stored:
    now_ms, at_ms = clock.monotonic_ms(), clock.wall_ms()
    row, marks = await journal.share(), await journal.marks()
    record = share.enrolled(enrolment.enrolled, now_ms, at_ms)
    if row is not None:
        kept = records.decode(row, now_ms)
        same = (kept.agent, kept.installation) == (record.agent, record.installation)
        if same and kept.epoch >= record.epoch:  # else this PBX has joined again since
            record = kept
    secret = marks.flow_secret or secrets.token_bytes(32)
    return Stored(
        record,
        await journal.registrations(),
        {} if marks.clean_stop else await journal.reservations(),
        await journal.proven(),
        marks,
        secret,
    )


def _site(entry: PbxEntry, stored: Stored, journal: Journal, alarms: Alarms, away: str, clock: Clock) -> Site:
    now_ms = clock.monotonic_ms()
    seats = _seats(entry, stored, away, now_ms, clock.wall_ms())
    verdict = SeatVerdict(seats)
    guard = _guard(entry, verdict, stored.secret)
    guard.restore(stored.registrations, now_ms)
    chronicle = Chronicle(entry.name, journal, clock, stored.marks.activity_last)
    boot = secrets.token_hex(8)
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
    grace_over = record.synced and records.grace_left_ms(record, now_ms, at_ms) <= 0
    limits = records.limits(record, entry.software)
    seats.lend(limits, now_ms, synced=record.synced, grace_over=grace_over)
    registered = {registration.name: registration.kind for registration in stored.registrations}
    noted = stored.reservations if doubt_until_ms is not None else {}
    seats.restore({**registered, **noted}.items(), now_ms, doubt_until_ms)
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


def _guard(entry: PbxEntry, verdict: SeatVerdict, secret: bytes) -> Guard:
    settings = Settings(
        pbx=entry.sip.pbx_flow,
        listeners=tuple(
            Listener(endpoint.transport, str(entry.sip.advertised(endpoint))) for endpoint in entry.sip.listen
        ),
        agent=entry.name,
        emergency=entry.sip.emergency_numbers,
        transaction_limit=entry.sip.limits.transactions,
        nat_keep_alive_s=entry.sip.nat_keep_alive_s,
    )
    rows = [Row(row.kind, row.aor, row.name) for row in entry.objects]
    directory = Directory(rows, Unknown(entry.unknown), Identity(entry.identity))
    return Guard(settings, directory, verdict, Tokens(secret), secret)
