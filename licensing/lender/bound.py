"""What Relay licences make of a box: its ISDN lines and the channels it keeps, told to its agent by policy.

Relay units are bound to their box (1.4, L.r21), so nobody else can be lent them: an agent is told which
interfaces they open, and keeps all channels, while the MAC of the box is believed (L.r36). What it last
heard goes on without a master, so whom a change concerns is told at once.
"""

import hashlib
from collections.abc import Collection

import msgspec

from licensing import hardware
from licensing.demand import RELAY_CHANNEL, PoolKey
from licensing.installation import Pbx
from licensing.lender import boxes
from licensing.lender.claims import Demands
from licensing.state import State
from licensing.wire import Policy

_RELAY = "relay-"
_CHANNEL = "relay-channel"


def with_lines(state: State, pbx: Pbx, policy: Policy) -> Policy:
    """The policy of a PBX with its lines and the units it keeps; the etag follows what is installed.

    A policy that has the lines of a box without Relay licences stays as it is where none are installed.
    """
    units = {kind: _usable(state, pbx.name, _RELAY + kind) for kind in hardware.CHANNELS}
    channels = _usable(state, pbx.name, _CHANNEL)
    keep = {RELAY_CHANNEL: channels} if channels else {}
    box = boxes.told(state, pbx)
    if policy.lines and not keep and not any(units.values()) and box is None:
        return policy
    lines = hardware.lines(pbx, units)
    told = hashlib.sha256(msgspec.json.encode((policy.etag, lines, keep, box))).hexdigest()[:16]
    return msgspec.structs.replace(policy, etag=told, lines=lines, keep={**policy.keep, **keep}, box=box)


def opened(state: State, key: PoolKey) -> int:
    """Units of this pool that open an interface: in use as long as it is configured (2.2, 2.3)."""
    pbx = state.pbxs.get(key.place)
    if pbx is None or not key.pool.startswith(_RELAY):
        return 0
    wanted = hardware.needed(pbx).get(key.pool.removeprefix(_RELAY), 0)
    return min(_usable(state, key.place, key.pool), wanted)


def told(state: State, demands: Demands, keys: Collection[PoolKey]) -> frozenset[str]:
    """Whom a change of these pools is told at once, since they decide by what they last heard.

    The agents of the boxes that Relay units lie at, and those that compare clients with what is installed.
    """
    names = {key.place for key in keys if key.pool.startswith(_RELAY)}
    if any(state.compares_clients(key.pool) for key in keys):
        comparing = {name for name, demand in state.classes.items() if demand.by_client}
        names |= {name for name, classes in demands.items() if not comparing.isdisjoint(classes)}
    return frozenset(names & state.agents.keys())


def _usable(state: State, name: str, pool: str) -> int:
    found = state.pools.get(PoolKey(name, pool))
    return 0 if found is None else found.usable(0)  # hardware has no version (1.3)
