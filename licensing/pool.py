"""A pool: the installed units of one catalogue pool at one place, what they are worth and who holds them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from licensing.codes import Code
from licensing.demand import PoolKey
from licensing.entitlement import ANY_SOFTWARE, Entitlement
from licensing.installation import MASTER, Pbx, Settings
from licensing.rules import Steps, standby_state, usable, version_steps


@dataclass(frozen=True, slots=True)
class Pool:
    """Units at a place: how many, which software they serve, and why none count where none do."""

    key: PoolKey
    installed: int
    steps: Steps
    lowest: int
    reason: Code | None = None
    missing: int = 0

    def usable(self, software: int) -> int:
        """Units that a PBX with this software could use if nobody else held any."""
        return usable(self.steps, software)

    def why_unusable(self, software: int) -> Code | None:
        """The code when units are installed and none of them is usable for this software."""
        if self.reason is not None:
            return self.reason
        if self.installed and not self.usable(software):
            return Code.LICENCE_VERSION_TOO_LOW
        return None


def empty_pool(key: PoolKey) -> Pool:
    """The pool of which nothing is installed."""
    return Pool(key, 0, ((0, 0),), 0)


def home(entitlement: Entitlement, pbxs: Mapping[str, Pbx], settings: Settings) -> PoolKey | None:
    """The pool that an entitlement feeds, or None.

    Relay units lie at their box (1.4). IPVA units lie where they are installed, or, with `ipva_binding:
    consumer`, at the PBX whose MAC they name (3.3, L.r13).
    """
    if entitlement.pool is None or entitlement.quarantined:
        return None
    place = entitlement.place
    if entitlement.hardware and place == MASTER:
        place = master_name(pbxs)
    elif entitlement.pool == "ipva" and settings.ipva_binding == "consumer":
        place = next((pbx.name for pbx in pbxs.values() if pbx.mac and pbx.mac == entitlement.mac), place)
    return PoolKey(place, entitlement.pool)


def reservations(
    pbxs: Mapping[str, Pbx], local: Collection[str], pool: Pool, software_of: Callable[[str], int]
) -> dict[str, int]:
    """What is reserved of one of the master's pools, by PBX, never more than is usable (L.r35).

    A PBX in local mode uses its own units only, so that nothing is kept for it at the master (L.r23).
    """
    found: dict[str, int] = {}
    for name, pbx in pbxs.items() if pool.key.place == MASTER else ():
        units = dict(pbx.reserve).get(pool.key.pool, 0)
        if units and name not in local:
            left = pool.usable(software_of(name)) - sum(found.values())
            if left > 0:
                found[name] = min(units, left)
    return found


def master_name(pbxs: Mapping[str, Pbx]) -> str:
    """The name of the PBX that is the master, or `MASTER` where none is configured yet."""
    return next((pbx.name for pbx in pbxs.values() if pbx.role == "master"), MASTER)


def box_of(entitlement: Entitlement, pbxs: Mapping[str, Pbx], settings: Settings) -> str | None:
    """The PBX to whose MAC these units are bound: hardware (1.4), and IPVA that name one (3.3); or None."""
    key = home(entitlement, pbxs, settings)
    if key is None or entitlement.unassigned:
        return None
    if entitlement.hardware:
        return key.place if key.place in pbxs else None
    if key.pool != "ipva" or not entitlement.mac:
        return None
    return next((pbx.name for pbx in pbxs.values() if pbx.mac == entitlement.mac), None)


def stock(
    entitlements: Iterable[Entitlement],
    pbxs: Mapping[str, Pbx],
    settings: Settings,
    master_software: int,
    doubts: Mapping[str, Code] = MappingProxyType({}),
) -> dict[PoolKey, Pool]:
    """Every pool of which something is installed; Standby counts only while the feature is on (L.r15).

    What is bound to a PBX in `doubts` is installed and counts for nothing, for that reason (L.r36).
    """
    units: dict[PoolKey, dict[int, int]] = {}
    idle: dict[PoolKey, tuple[int, Code]] = {}
    for entitlement in entitlements:
        key = home(entitlement, pbxs, settings)
        if key is None:
            continue
        releases = units.setdefault(key, {})
        box = box_of(entitlement, pbxs, settings) if doubts else None
        if box is not None and box in doubts:
            idle[key] = (idle.get(key, (0,))[0] + entitlement.count, doubts[box])
        else:
            releases[entitlement.serves] = releases.get(entitlement.serves, 0) + entitlement.count
    pools = {key: _pool(key, releases, settings) for key, releases in units.items()}
    for key, (count, code) in idle.items():
        pools[key] = replace(
            pools[key],
            installed=pools[key].installed + count,
            reason=None if units[key] else code,
        )
    return _with_standby(pools, master_software)


def _pool(key: PoolKey, releases: Mapping[int, int], settings: Settings) -> Pool:
    steps = version_steps(releases, settings.mixed_versions)
    return Pool(key, sum(releases.values()), steps, min(releases, default=ANY_SOFTWARE))


def _with_standby(pools: dict[PoolKey, Pool], master_software: int) -> dict[PoolKey, Pool]:
    key = PoolKey(MASTER, "standby")
    standby = pools.get(key)
    if standby is None:
        return pools
    port = pools.get(PoolKey(MASTER, "port"), empty_pool(PoolKey(MASTER, "port")))
    state = standby_state(standby.usable(master_software), port.usable(master_software))
    if not state.on:
        off = Pool(key, standby.installed, ((0, 0),), standby.lowest, Code.STANDBY_SHORT, state.missing)
        pools[key] = off
    return pools
