"""The ISDN lines of a box as its agent was told: which are open, and why one is not (L.r20, L.r36)."""

from collections.abc import Iterable

from licensing.codes import Code
from licensing.hardware import kind_of
from licensing.wire import Policy


def channels(policy: Policy, interface: str) -> int | None:
    """How many calls this interface may carry, 0 where nothing opens it; None: there is no such interface."""
    return policy.lines.get(interface, policy.lines.get(kind_of(interface)))


def closed(policy: Policy, interface: str) -> Code | None:
    """Why no call may go over this interface at all; None: it is open."""
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
