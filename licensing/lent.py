"""Licences that are lent: from the rows of the catalogue to the classes that objects and uses draw.

A row of a known mode brings its class, so that a new licence type is a new row and no code: Port and what is
paired with it make the seats, a pool of single uses (per call, per login, per queue) a class of its own. The
classes are learned into the ledger with the terms of the assigned licences (`named.kinds`).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from licensing.demand import RELAY_CHANNEL, SEATS, DemandClass, Slots, Source, Where

LentMode = Literal[
    "bound", "floating_port", "floating_paired", "floating_call", "floating_login", "per_queue"
]
"""The modes of the catalogue whose units are lent."""

BY_USE: Final[tuple[LentMode, ...]] = ("floating_call", "bound", "floating_login", "per_queue")
"""The modes whose pools have a class of their own, in the order in which one agent's demands are served."""

_BOUND_POOLS: Final = ("relay-bri", "relay-pri", "relay-channel")
_POOL_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")


class LentLicence(msgspec.Struct, frozen=True):
    """The terms of a row that is lent; rows that feed one pool have the same, but for their id.

    `class_` is what it is called in the protocol. `paired_with` are pools; on `platform` alone it is taken
    with them (3.3), None: on all. `by_client`, `min_software`: as in DemandClass. `per_client`: queues that
    one client may watch (7.2), 0: any number.
    """

    id: str
    pool: str
    mode: LentMode
    class_: str
    paired_with: frozenset[str] = frozenset()
    platform: Literal["gateway", "ipva"] | None = None
    by_client: bool = False
    min_software: int = 0
    per_client: int = 0


def classes(licences: Sequence[LentLicence]) -> tuple[DemandClass, ...]:
    """The classes of these licences, in the order in which one agent's demands are served."""
    pools = tuple({each.pool: each for each in licences}.values())
    uses = [_use(each, pools) for mode in BY_USE for each in pools if each.mode == mode and _drawn(each)]
    return (*_seats(pools), *uses)


def _seats(pools: Sequence[LentLicence]) -> Iterator[DemandClass]:
    """3.1 to 3.4, L.r12, L.r16: the Port family, or Standby in its place, and what is paired with it.

    One Port, or SMB-Port as its special form, for each object with a registered device; in a virtual
    installation one IPVA with each, always. An object served by its standby PBX takes one Standby instead.
    """
    port = tuple(Source(each.pool) for each in pools if each.mode == "floating_port")
    names = {source.pool for source in port}
    for name, (virtual, standby) in SEATS.items():
        first = (Source("standby", Where.MASTER),) if standby else port
        slots = (first, *_paired(pools, names, "ipva" if virtual else "gateway"))
        yield DemandClass(name, slots, virtual=virtual, standby=standby)


def _paired(pools: Iterable[LentLicence], names: Collection[str], platform: str | None) -> Slots:
    """A slot for each pool that is taken together with one of these, or not at all (3.3)."""
    return tuple(
        (Source(each.pool),)
        for each in pools
        if each.mode == "floating_paired"
        and each.paired_with & set(names)
        and each.platform in (None, platform)
    )


def _use(each: LentLicence, pools: Sequence[LentLicence]) -> DemandClass:
    """One unit for as long as it goes on; a bound one of this box alone (2.4 to 7.2; L.r24, L.r30)."""
    if each.mode == "bound":
        return DemandClass(each.class_, ((Source(each.pool, Where.BOX),),))
    return DemandClass(
        each.class_,
        ((Source(each.pool),), *_paired(pools, {each.pool}, None)),
        by_client=each.by_client,
        min_software=each.min_software,
        licence=each.pool,
        mode=each.mode,
        per_client=each.per_client,
    )


def _drawn(each: LentLicence) -> bool:
    """Bound units that no use draws open interfaces (2.2, 2.3)."""
    return each.mode != "bound" or each.class_ == RELAY_CHANNEL


def problems(licences: Sequence[LentLicence]) -> Iterator[str]:
    """Everything that is wrong with the terms of these licences, each with the row's id."""
    pools: dict[str, LentLicence] = {}
    names = dict.fromkeys(SEATS, "port")
    for each in licences:
        twin = pools.setdefault(each.pool, each)
        if msgspec.structs.replace(each, id=twin.id) != twin:
            yield f"{each.id}: its pool {each.pool} is taken otherwise by {twin.id}"
        if each.mode in BY_USE and names.setdefault(each.class_, each.pool) != each.pool:
            yield f"{each.id}: demand {each.class_} is also that of the pool {names[each.class_]}"
        yield from _problems(each)
    for each in licences:
        for other in sorted(each.paired_with):
            if other not in pools or pools[other].mode in ("bound", "floating_paired"):
                yield f"{each.id}: paired_with: {other} is no pool that is lent by itself"
            elif each.platform is not None and pools[other].mode != "floating_port":
                yield f"{each.id}: platform: {other} is the same on all platforms"


def _problems(each: LentLicence) -> Iterator[str]:
    if not _POOL_NAME.fullmatch(each.pool):
        yield f"{each.id}: pool {each.pool}: expected small letters, digits and hyphens"
    if each.mode == "bound" and each.pool not in _BOUND_POOLS:
        yield f"{each.id}: bound units feed {', '.join(_BOUND_POOLS)}; nothing would draw {each.pool}"
    if (each.mode == "floating_paired") != bool(each.paired_with):
        yield f"{each.id}: paired_with belongs to the mode floating_paired, and that needs it"
    if each.platform is not None and each.mode != "floating_paired":
        yield f"{each.id}: platform belongs to the mode floating_paired"
    if each.per_client and each.mode != "per_queue":
        yield f"{each.id}: queues_per_client belongs to the mode per_queue"
    if each.by_client and each.mode not in ("floating_login", "per_queue"):
        yield f"{each.id}: version_compared_with: only a login or a watched queue has a client"
