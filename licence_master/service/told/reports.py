"""What people are told of an installation, as values: the admin API sends them as they are."""

from dataclasses import dataclass

from licence_master.service.told.units_report import UnitsView


@dataclass(frozen=True, slots=True)
class InstallationView:
    """One installation; `waiting_for` names the PBXs whose hello a recovery still waits for."""

    name: str
    instance: str
    term: int
    state: str
    waiting_for: tuple[str, ...]
    software: int
    mixed_versions: str
    pbxs: int


@dataclass(frozen=True, slots=True)
class LicenceView:
    """An installed licence; `place` is empty on the master, `pool` null where it feeds none.

    `document` is the id of the file that brought it; a signed one has an issuer, and may end. Rented units
    feed no pool while no iSC pay them.
    """

    number: int
    type: str
    count: int
    place: str
    mac: str
    pool: str | None
    quarantined: bool
    unassigned: bool
    project: str
    document: str
    source: str
    issuer: str
    issue_no: int
    until_ms: int | None
    rented: bool


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool at the software of its place.

    `surplus` units are lent beyond what is usable, after it shrank: they are recalled, and nobody is cut;
    `reason` says why installed units are not usable; `kept` of the free ones are reserved for PBXs (L.r35).
    """

    pool: str
    installed: int
    usable: int
    lent: int
    used: int
    free: int
    surplus: int
    reason: str | None
    kept: int = 0


@dataclass(frozen=True, slots=True)
class ShareView:
    """What one PBX has on record of a class; `stranded` units are idle at a site that does not answer."""

    pbx: str
    class_: str
    granted: int
    used: int
    reserved: int
    idle: int
    surplus: int
    stranded: int
    max_software: int
    drawn: dict[str, int]
    state: str
    last_sync_ms: int | None
    hint: str


@dataclass(frozen=True, slots=True)
class AgentView:
    """A PBX and its agent; state: not_joined, in_sync, silent, revoked, alert, frozen, quarantined, awaited.

    A recovery lends nothing new before an `awaited` agent has answered; of a `failed` PBX, which an operator
    called so, others take the objects over. `hint` says what ends either, or that its MAC is in doubt.
    """

    pbx: str
    role: str
    platform: str
    state: str
    epoch: int
    software: int
    key_id: str
    last_sync_ms: int | None
    hint: str


@dataclass(frozen=True, slots=True)
class HolderView:
    """An object that holds a unit, or has a registration without one (surplus).

    One that `leaves` goes on, and is the next to give its unit back: capacity has shrunk.
    """

    object: str
    pbx: str
    class_: str
    state: str
    since_ms: int
    leaves: bool


@dataclass(frozen=True, slots=True)
class LeavingView:
    """So many objects of a class at a PBX are beyond what is left; `objects` are the newest of them."""

    pbx: str
    class_: str
    units: int
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DenialView:
    """What was denied to whom, when, how often, who had the units and what would help.

    `objects` were refused meanwhile (`more_objects` are not named); `held_by` had the units when it began,
    `held_now` has them; `holders` held one already then and still do, the longest first.
    `frees_ms` is when the first unit frees, as far as agents know: null where none lingers.
    """

    first_ms: int
    last_ms: int
    times: int
    pbx: str
    class_: str
    code: str
    sentence: str
    asked: int
    granted: int
    capacity: int
    used: int
    reserved: int
    stranded: int
    held_by: tuple[UnitsView, ...]
    hint: str
    objects: tuple[str, ...] = ()
    more_objects: int = 0
    held_now: tuple[UnitsView, ...] = ()
    holders: tuple["HolderView", ...] = ()
    frees_ms: int | None = None
    helps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of an object, as its agent reported it."""

    at_ms: int
    pbx: str
    object: str
    kind: str
    class_: str
    event: str
    code: str | None


@dataclass(frozen=True, slots=True)
class AssignmentView:
    """A licence that is assigned, in order; state: licensed, included, waiting.

    An `included` one needs no unit: `through` is the bundle that contains it, or `group` for what is recorded
    with the users. A `waiting` one gives no right: `code` and `sentence` say why, `ahead` get a unit first.
    """

    number: int
    object: str
    pbx: str
    kind: str
    licence: str
    uses: tuple[str, ...]
    state: str
    through: str
    code: str | None
    sentence: str
    hint: str
    ahead: int


@dataclass(frozen=True, slots=True)
class RightView:
    """A licence, an app or a part of an app: whether the user has it, through what, or why not."""

    id: str
    name: str
    has: bool
    through: str
    code: str | None
    sentence: str
    hint: str
    parts: tuple["RightView", ...] = ()


@dataclass(frozen=True, slots=True)
class RightsView:
    """What one user or object has at one PBX: assigned licences, and apps that need none of their own."""

    object: str
    pbx: str
    kind: str
    licences: tuple[RightView, ...]
    apps: tuple[RightView, ...]


@dataclass(frozen=True, slots=True)
class WhyView:
    """What is known of an object: what it holds, what happened to it, and why it was refused last.

    `assigned` are the licences assigned to it, `rights` what it may use, at each PBX that knows it;
    `as_of_ms` is 0 when no agent has named it.
    """

    object: str
    as_of_ms: int
    answer: str
    hint: str
    holds: tuple[HolderView, ...]
    denials: tuple[DenialView, ...]
    events: tuple[EventView, ...]
    assigned: tuple[AssignmentView, ...]
    rights: tuple[RightsView, ...]


@dataclass(frozen=True, slots=True)
class DayView:
    """The highest peak of a day (UTC), and how often someone was refused."""

    day_ms: int
    peak: int
    refused: int


@dataclass(frozen=True, slots=True)
class HourView:
    """The most units that were held at once in an hour; `pbx` is empty for all sites together."""

    hour_ms: int
    pool: str
    pbx: str
    peak: int
    refused: int


@dataclass(frozen=True, slots=True)
class UsageView:
    """How much of a pool was held at once, at one site or (`pbx` empty) at all together.

    `hours` are the highest peaks of each hour of the day (UTC), `days` those of each day. The others are
    told of all sites together: `trend` in words, `per_week` in thousandths of a unit, `full_ms` the day when
    the expected peak is above `usable`; `needed` is the peak and the margin, `missing` or `over` the
    difference. Where somebody was refused, more than the peak was wanted.
    """

    pool: str
    pbx: str
    usable: int
    peak: int
    peak_ms: int
    refused: int
    hours: tuple[int, ...]
    days: tuple[DayView, ...]
    trend: str
    per_week: int
    full_ms: int | None
    needed: int | None
    missing: int | None
    over: int | None


@dataclass(frozen=True, slots=True)
class EntryView:
    """One row of the ledger."""

    seq: int
    at_ms: int
    term: int
    actor: str
    event: str
    facts: dict[str, object]
