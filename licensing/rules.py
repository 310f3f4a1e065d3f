"""The rules that say what installed units are worth: version, standby, local mode, tiers, SMB.

Named pure functions over plain values, each citing its section of the Modele de Licence V13r2 (seed) and
its rule of docs/licence-rules.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from licensing.codes import Code, Refusal
from licensing.entitlement import ANY_SOFTWARE, Entitlement
from licensing.installation import MASTER, UNASSIGNED, MixedVersions

Steps = tuple[tuple[int, int], ...]
"""(software s, units): holders that run s or newer may take so many units at most; s rises from 0."""


def version_steps(units: Mapping[int, int], mixed: MixedVersions) -> Steps:
    """What a pool offers to which software: `units` maps release to count (1.3, L.r5, L.r6).

    strict: the lowest installed release L decides; software up to L uses all units, newer software none.
    lenient: a unit serves every software up to its release, so holders with software >= s never exceed
    the units with release >= s, for every s.
    """
    releases = sorted(release for release, count in units.items() if count)
    total = sum(units.values())
    steps = [(0, total)]
    for release in releases[:1] if mixed == "strict" else releases:
        left = 0 if mixed == "strict" else sum(count for r, count in units.items() if r > release)
        if release < ANY_SOFTWARE:
            steps.append((release + 1, left))
    return tuple(steps)


def usable(steps: Steps, software: int) -> int:
    """Units that a PBX with this software could use if nobody else held any."""
    return min(count for threshold, count in steps if threshold <= software)


@dataclass(frozen=True, slots=True)
class StandbyState:
    """Whether the standby feature is on, and how many Standby units are missing for it (L.r15)."""

    on: bool
    missing: int


def standby_state(usable_standby: int, usable_port: int) -> StandbyState:
    """3.2: the Standby licences must not be fewer than the Port licences, else the feature is not there.

    Both counts are those of the master at the master's software. Without any Port there is nothing to
    protect and the feature is off (L.r15).
    """
    missing = max(0, usable_port - usable_standby)
    return StandbyState(on=usable_port >= 1 and missing == 0, missing=missing)


def local_places(entitlements: Iterable[Entitlement]) -> frozenset[str]:
    """1.2: a PBX with a software unit of its own uses none of the master's (L.r23, decision 21).

    Any family, usable or not; Relay units never cause it and quarantined ones count for nothing (L.r2).
    """
    return frozenset(
        entitlement.place
        for entitlement in entitlements
        if entitlement.place not in (MASTER, UNASSIGNED)
        and not entitlement.hardware
        and not entitlement.quarantined
    )


@dataclass(frozen=True, slots=True)
class LicenceWarning:
    """What is wrong and refuses nothing: `tier_base_missing` (pool, tier, have, need), or a type's code."""

    code: Code
    type: str = ""
    pool: str = ""
    tier: int = 0
    have: int = 0
    need: int = 0


def tier_warnings(entitlements: Iterable[Entitlement]) -> tuple[LicenceWarning, ...]:
    """3.1, 3.2: %N units are those above N, so units of lower tiers in the project >= N (L.r19, decision 5).

    All places and releases count together; a shortfall is a warning, never a refusal.
    """
    units: dict[str, dict[int, int]] = {}
    for entitlement in entitlements:
        if entitlement.pool in ("port", "standby"):
            tiers = units.setdefault(entitlement.pool, {})
            tiers[entitlement.tier] = tiers.get(entitlement.tier, 0) + entitlement.count
    warnings = []
    for pool, tiers in sorted(units.items()):
        for tier in sorted(tiers):
            have = sum(count for lower, count in tiers.items() if lower < tier)
            if have < tier:
                warnings.append(
                    LicenceWarning(Code.TIER_BASE_MISSING, pool=pool, tier=tier, have=have, need=tier)
                )
    return tuple(warnings)


def quarantine_warnings(entitlements: Iterable[Entitlement]) -> tuple[LicenceWarning, ...]:
    """1.3, decision 4: software units installed without a version count for nothing and are named (L.r2)."""
    return tuple(
        LicenceWarning(Code.QUARANTINED, type=entitlement.spelling or entitlement.type)
        for entitlement in entitlements
        if entitlement.quarantined
    )


def unassigned_warnings(entitlements: Iterable[Entitlement]) -> tuple[LicenceWarning, ...]:
    """8.2: a licence on the portal that is assigned to no PBX counts for nothing and is named."""
    return tuple(
        LicenceWarning(Code.UNASSIGNED, type=entitlement.spelling or entitlement.type)
        for entitlement in entitlements
        if entitlement.unassigned
    )


def smb_refusal(new: Entitlement, installed: Iterable[Entitlement], pbx_count: int) -> Refusal | None:
    """3.4: SMB-Port goes with no Port, no Standby, no second PBX, and not beyond its size (L.r17).

    One size per project, its installed units of any release <= the cap (decision 10); in either order.
    """
    others = [entitlement for entitlement in installed if entitlement.pool is not None]
    smb = [entitlement for entitlement in others if entitlement.pool == "smb-port"]
    if new.pool in ("port", "standby") and smb:
        return Refusal(Code.SMB_EXCLUSION, f"{new.type} beside {smb[0].type}")
    if new.pool != "smb-port":
        return None
    rival = next(
        (e for e in others if e.pool in ("port", "standby") or (e in smb and e.cap != new.cap)), None
    )
    if rival is not None:
        return Refusal(Code.SMB_EXCLUSION, f"{new.type} beside {rival.type}")
    if pbx_count > 1:
        return Refusal(Code.SMB_EXCLUSION, f"{new.type} in an installation of {pbx_count} PBXs")
    units = new.count + sum(entitlement.count for entitlement in smb)
    if units > new.cap:
        advice = f"Convert them with PBX-Port{new.release}$$, one for each unit."
        return Refusal(Code.SMB_CAP, f"{units} units of at most {new.cap}", advice)
    return None
