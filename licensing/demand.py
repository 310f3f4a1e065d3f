"""What an object needs: object kind and platform give a class, a class gives a bundle of pools.

A bundle is a row of slots. Each slot takes one unit from the first of its sources that has one free, and
all slots are served together or none is (docs/protocol.md "Classes").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

from licensing.installation import MASTER, Pbx


class Where(Enum):
    """Whose pool a source is: that of the PBX's place, always the master's, or bound to its own box."""

    PLACE = auto()
    MASTER = auto()
    BOX = auto()


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


@dataclass(frozen=True, slots=True)
class Source:
    """A pool that a slot may take its unit from."""

    pool: str
    where: Where = Where.PLACE


@dataclass(frozen=True, slots=True)
class DemandClass:
    """One class of the protocol: its bundle, the platform that draws it (None: any), standby or not."""

    name: str
    slots: tuple[tuple[Source, ...], ...]
    virtual: bool | None = None
    standby: bool = False


_PORT_FAMILY = (Source("port"), Source("smb-port"))
_IPVA = (Source("ipva"),)
_STANDBY = (Source("standby", Where.MASTER),)

CLASSES: Mapping[str, DemandClass] = {
    demand.name: demand
    for demand in (
        # 3.1, 3.4: one Port, or SMB-Port as its special form, for each object with a registered device.
        DemandClass("seat", (_PORT_FAMILY,), virtual=False),
        # 3.3: with each Port used in a virtual installation one IPVA is taken, always.
        DemandClass("virtual_seat", (_PORT_FAMILY, _IPVA), virtual=True),
        # 3.2, L.r16: an object served by its standby PBX takes one Standby instead of a second Port.
        DemandClass("standby_seat", (_STANDBY,), virtual=False, standby=True),
        DemandClass("virtual_standby_seat", (_STANDBY, _IPVA), virtual=True, standby=True),
        # 2.4, 3.5, L.r24: PBX-Channels first, then the Relay-Channels of the hosting box.
        DemandClass("conference_leg", ((Source("pbx-channels"), Source("relay-channel", Where.BOX)),)),
    )
}
"""The classes in the order in which one agent's demands are served."""

ANY_KIND = "*"
"""The key of `kinds` for an object kind without a row of its own."""


def kinds(pbx: Pbx) -> dict[str, str | None]:
    """Object kind to class at this PBX, None for kinds that need no licence (3.1, L.r8, L.r12).

    User, Executive, Trunk and Gateway take one; group numbers and waiting queues none; any other kind
    with a registered device takes one (our decision).
    """
    seat = "virtual_seat" if pbx.virtual else "seat"
    return {
        "user": seat,
        "executive": seat,
        "trunk": seat,
        "gateway": seat,
        "group": None,
        "waiting_queue": None,
        "conference": seat,
        "conference_leg": "conference_leg",
        ANY_KIND: seat,
    }


def allowed(demand: DemandClass, pbx: Pbx) -> bool:
    """Whether this PBX may draw the class at all: its platform and its standby role decide, not its agent."""
    return demand.virtual in (None, pbx.virtual) and (not demand.standby or bool(pbx.standby_for))


@cache
def slots(name: str, place: str, box: str, ipva_place: str) -> tuple[tuple[PoolKey, ...], ...]:
    """The bundle of class `name` for the PBX `box` that draws at `place`, as pools in order of preference.

    `ipva_place` is where IPVA units for this box lie (L.r13). A PBX in local mode finds no Standby: its
    slot is empty (L.r16).
    """
    return tuple(
        tuple(key for source in slot if (key := _key(source, place, box, ipva_place)) is not None)
        for slot in CLASSES[name].slots
    )


def _key(source: Source, place: str, box: str, ipva_place: str) -> PoolKey | None:
    if source.where is Where.BOX:
        return PoolKey(box, source.pool)
    if source.where is Where.MASTER:
        return PoolKey(MASTER, source.pool) if place == MASTER else None
    return PoolKey(ipva_place if source.pool == "ipva" else place, source.pool)
