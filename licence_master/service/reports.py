"""What people are told of an installation, as values: the admin API sends them as they are."""

from dataclasses import dataclass


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
    """An installed licence; `place` is empty on the master, `pool` null where it feeds none."""

    number: int
    type: str
    count: int
    place: str
    mac: str
    pool: str | None
    quarantined: bool


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool at the software of its place.

    `surplus` units are lent beyond what is usable, after it shrank: they are recalled, and nobody is cut;
    `reason` says why installed units are not usable.
    """

    pool: str
    installed: int
    usable: int
    lent: int
    used: int
    free: int
    surplus: int
    reason: str | None


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
    """A PBX and its agent; state: not_joined, in_sync, silent, revoked, alert, frozen or quarantined."""

    pbx: str
    role: str
    platform: str
    state: str
    epoch: int
    software: int
    key_id: str
    last_sync_ms: int | None


@dataclass(frozen=True, slots=True)
class HolderView:
    """An object that holds a unit, or has a registration without one (surplus)."""

    object: str
    pbx: str
    class_: str
    state: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class UnitsView:
    """How many units of a pool a PBX has on record."""

    pbx: str
    pool: str
    units: int


@dataclass(frozen=True, slots=True)
class DenialView:
    """What was denied, when, how often, who has the units now and what would help."""

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
class WhyView:
    """What is known of an object: what it holds, what happened to it, and why it was refused last."""

    object: str
    as_of_ms: int
    answer: str
    hint: str
    holds: tuple[HolderView, ...]
    denials: tuple[DenialView, ...]
    events: tuple[EventView, ...]


@dataclass(frozen=True, slots=True)
class EntryView:
    """One row of the ledger."""

    seq: int
    at_ms: int
    term: int
    actor: str
    event: str
    facts: dict[str, object]
