"""What an object needs: object kind and platform give a class, a class gives a bundle of pools.

A bundle is a row of slots. Each slot takes one unit from the first of its sources that has one free, and
all slots are served together or none is (docs/protocol.md "Classes").
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

import msgspec

from licensing import hardware
from licensing.installation import MASTER, Pbx


class Where(StrEnum):
    """Whose pool a source is: that of the PBX's place, always the master's, or bound to its own box."""

    PLACE = "place"
    MASTER = "master"
    BOX = "box"


class PoolKey(NamedTuple):
    """A pool at a place; `str()` is the name that every answer shows: `port`, `port@lyon`."""

    place: str
    pool: str

    def __str__(self) -> str:
        return self.pool if self.place == MASTER else f"{self.pool}@{self.place}"

    @classmethod
    def parse(cls, text: str) -> "PoolKey":
        """The inverse of `str()`; the name of a pool holds no `@`."""
        pool, _, place = text.partition("@")
        return cls(place, pool)


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pool that a slot may take its unit from."""

    pool: str
    where: Where = Where.PLACE


Slots = tuple[tuple[Source, ...], ...]


class DemandClass(msgspec.Struct, frozen=True, omit_defaults=True):
    """One class of the protocol: its bundle, the platform that draws it (None: any), standby or not.

    `by_client`: its units are compared with the software of a client, not of the PBX (7.1, 7.2, L.r4), and
    `min_software` is what the PBX must run (L.r7). `licence` is what people call it where it is asked for by
    name, `mode` how it is taken then, `per_client` how many one client may have (0: any number).
    """

    name: str
    slots: Slots
    virtual: bool | None = None
    standby: bool = False
    by_client: bool = False
    min_software: int = 0
    licence: str = ""
    mode: str = ""
    per_client: int = 0

    @property
    def bound(self) -> bool:
        """Its units lie at the box that draws them and can serve no other (1.4, L.r21)."""
        return all(source.where is Where.BOX for slot in self.slots for source in slot)

    @property
    def pools(self) -> frozenset[str]:
        """The pools that it draws from."""
        return frozenset(source.pool for slot in self.slots for source in slot)


Classes = Mapping[str, DemandClass]
"""The classes that a catalogue's rows make (`lent.classes`), by name, in the order they are served."""

SEATS: Final[Mapping[str, tuple[bool, bool]]] = {
    "seat": (False, False),
    "virtual_seat": (True, False),
    "standby_seat": (False, True),
    "virtual_standby_seat": (True, True),
}
"""What objects draw: (on a virtual PBX, at the PBX that stands by for their own)."""

STANDBY_OF: Final[Mapping[str, str]] = {"seat": "standby_seat", "virtual_seat": "virtual_standby_seat"}
"""What an object takes instead of its seat while its own PBX has failed (L.r16)."""

STANDBY_CLASSES: Final = frozenset(STANDBY_OF.values())

RELAY_CHANNEL: Final = "relay_channel"
"""The class whose units lie at the box that draws them (2.4, L.r21)."""

ANY_KIND = "*"
"""The key of `kinds` for an object kind without a row of its own."""

CONFERENCE_LEG = "conference_leg"
RELAY_LEG = "relay_leg"
ISDN_CALL = "isdn_call"
CARRIER_CALL = "carrier_call"
OPERATOR_LOGIN = "operator_login"
MONITORED_QUEUE = "monitored_queue"

USES = frozenset((CONFERENCE_LEG, RELAY_LEG, ISDN_CALL, CARRIER_CALL, OPERATOR_LOGIN, MONITORED_QUEUE))
"""The kinds that are no objects of the PBX but something that goes on there for a while.

A use of any other licence has a kind of its own: `attendant-login`, `wallboard-queue`, `announcer-leg`.
"""


def licence_of(kind: str) -> str:
    """`attendant` of `attendant-login`; empty for any other kind: those of objects have no hyphen."""
    return base_kind(kind).rpartition("-")[0]


def is_use(kind: str) -> bool:
    """Whether this is no object of the PBX but something that goes on there for a while."""
    return kind in USES or licence_of(kind) != ""


def kinds(pbx: Pbx, failed: Collection[str] = ()) -> dict[str, str | None]:
    """Object kind to class at this PBX, None for kinds that need no licence (3.1, L.r8, L.r12).

    User, Executive, Trunk and Gateway take one; group numbers and waiting queues none; any other kind
    with a registered device takes one (our decision). `user@lyon` is a user of a PBX that this one stands by
    for: while that one is `failed` it takes Standby instead (3.2, L.r16), else a seat as anybody (L.r10).
    Channels of a box that includes them take none (2).
    """
    own = _kinds(pbx)
    theirs = {kind: STANDBY_OF.get(class_ or "", class_) for kind, class_ in own.items()}
    rows = own | _uses(pbx)
    for home in pbx.standby_for:
        draws = theirs if home in failed else own
        rows |= {f"{kind}@{home}": draws[kind] for kind in theirs}
    return rows


def base_kind(kind: str) -> str:
    """The kind without the PBX that the object belongs to: `user@lyon` is a user."""
    return kind.partition("@")[0]


def _kinds(pbx: Pbx) -> dict[str, str | None]:
    seat = "virtual_seat" if pbx.virtual else "seat"
    return {
        "user": seat,
        "executive": seat,
        "trunk": seat,
        "gateway": seat,
        "group": None,
        "waiting_queue": None,
        "conference": seat,
        ANY_KIND: seat,
    }


def _uses(pbx: Pbx) -> dict[str, str | None]:
    relay = None if hardware.included(pbx) else RELAY_CHANNEL
    return {
        CONFERENCE_LEG: "conference_leg",
        RELAY_LEG: relay,
        ISDN_CALL: relay,
        CARRIER_CALL: None,
        OPERATOR_LOGIN: "operator_login",
        MONITORED_QUEUE: "monitored_queue",
    }


def allowed(demand: DemandClass, pbx: Pbx) -> bool:
    """Whether this PBX may draw the class at all: its platform and its standby role decide, not its agent."""
    return demand.virtual in (None, pbx.virtual) and (not demand.standby or bool(pbx.standby_for))


@cache
def slots(demand: DemandClass, place: str, box: str, ipva_place: str) -> tuple[tuple[PoolKey, ...], ...]:
    """The bundle of a class for the PBX `box` that draws at `place`, as pools in order of preference.

    `ipva_place` is where IPVA units for this box lie (L.r13). A PBX in local mode finds no Standby: its
    slot is empty (L.r16).
    """
    return tuple(
        tuple(key for source in slot if (key := _key(source, place, box, ipva_place)) is not None)
        for slot in demand.slots
    )


def _key(source: Source, place: str, box: str, ipva_place: str) -> PoolKey | None:
    if source.where is Where.BOX:
        return PoolKey(box, source.pool)
    if source.where is Where.MASTER:
        return PoolKey(MASTER, source.pool) if place == MASTER else None
    return PoolKey(ipva_place if source.pool == "ipva" else place, source.pool)
