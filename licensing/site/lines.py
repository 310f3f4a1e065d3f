"""The lines of a PBX as its agent was told: which are open, and why one is not.

ISDN interfaces are opened by Relay licences (L.r20, L.r36). A line of a carrier is no licence's matter: its
offer says how many channels it has (seed 002, "canali"; B.E21).
"""

from collections.abc import Iterable
from typing import Final

from licensing.codes import Code
from licensing.hardware import kind_of
from licensing.site.use import CARRIER
from licensing.wire import Policy

ANY_LINE: Final = "*"
"""The row of `policy.channels` for a line without one of its own."""


def channels(policy: Policy, interface: str) -> int | None:
    """How many calls this interface may carry, 0 where nothing opens it; None: there is no such interface.

    For a line of a carrier the channels of its offer; None: nobody limits it.
    """
    if interface.startswith(CARRIER):
        line = interface.removeprefix(CARRIER)
        return policy.channels.get(line, policy.channels.get(ANY_LINE))
    return policy.lines.get(interface, policy.lines.get(kind_of(interface)))


def full(policy: Policy, interface: str, busy: int) -> Code | None:
    """Why no further call may go over this line, which carries `busy` ones; None: one may."""
    carrier = interface.startswith(CARRIER)
    if not (carrier or policy.lines):  # no master has told them yet: it is asked for a channel
        return None
    code = None if carrier else closed(policy, interface)
    limit = channels(policy, interface)
    if code is not None or limit is None or busy < limit:
        return code
    return Code.LINE_CHANNELS_EXHAUSTED if carrier else Code.RELAY_CHANNELS_EXHAUSTED


def closed(policy: Policy, interface: str) -> Code | None:
    """Why no call may go over this ISDN interface at all; None: it is open."""
    found = channels(policy, interface)
    if found is None:
        return Code.UNKNOWN_OBJECT
    return (disbelieved(policy) or Code.RELAY_MISSING) if found == 0 else None


def shut(policy: Policy, interfaces: Iterable[str]) -> Code | None:
    """Why a gateway or trunk over these interfaces is of no use; None: one is open, or there are none."""
    found = [closed(policy, interface) for interface in interfaces]
    return found[0] if found and None not in found else None


def disbelieved(policy: Policy) -> Code | None:
    """Why what is bound to this box does not count: the master's word on its MAC."""
    box = policy.box
    if box is None or box.counts:
        return None
    return Code(box.code) if box.code in {*Code} else Code.MAC_UNPROVABLE
