"""The ISDN side of a box: which interfaces its Relay licences open, and how many channels each may run.

Relay units are bound to a box and open interfaces by configuration, not by use (1.4, 2.2, 2.3, L.r20), so
nobody lends them: what is open follows from what is installed.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from licensing.installation import Pbx

CHANNELS: Final = {"bri": 2, "pri": 30}
"""Channels of one full interface (2.4)."""

INCLUDED: Final = frozenset(("IP311", "IP411", "IP511", "IP22", "IP24", "IP28", "IP302"))
"""Models with all hardware licences built in (2; the older four: vendor's documentation)."""

BRI_BY_LICENCE: Final = frozenset(("IP811",))
"""The only models whose BRI interfaces need a licence; every PRI needs one (2.2, 2.3)."""


def included(pbx: Pbx) -> bool:
    """Whether this box brings all hardware licences itself."""
    return pbx.model.upper() in INCLUDED


def kind_of(interface: str) -> str:
    """`bri1` is a `bri`: the name without its number."""
    return interface.rstrip("0123456789").lower()


def needed(pbx: Pbx) -> dict[str, int]:
    """How many configured interfaces of each kind wait for a Relay licence to open them."""
    wanting = [kind for kind in map(kind_of, pbx.interfaces) if needs_licence(pbx, kind)]
    return {kind: wanting.count(kind) for kind in dict.fromkeys(wanting)}


def needs_licence(pbx: Pbx, kind: str) -> bool:
    """Whether an interface of this kind stays closed without a unit (2.2, 2.3, L.r20)."""
    return not included(pbx) and (kind == "pri" or pbx.model.upper() in BRI_BY_LICENCE)


def lines(pbx: Pbx, units: Mapping[str, int]) -> dict[str, int]:
    """Interface to the channels it may run, 0 where nothing opens it; `units` installed, by kind.

    Units open interfaces in the order of the configuration (L.r20). The rows `bri` and `pri` say what holds
    for an interface that is not configured: no unit opens one.
    """
    unlisted = {kind: 0 if needs_licence(pbx, kind) else channels for kind, channels in CHANNELS.items()}
    return unlisted | dict(_opened(pbx, dict(units)))


def _opened(pbx: Pbx, left: dict[str, int]) -> Iterator[tuple[str, int]]:
    for interface in pbx.interfaces:
        kind = kind_of(interface)
        if not needs_licence(pbx, kind):
            yield interface, CHANNELS.get(kind, 0)
            continue
        left[kind] = left.get(kind, 0) - 1
        yield interface, CHANNELS.get(kind, 0) if left[kind] >= 0 else 0
