"""What people see of an installation: pools, shares, agents, who holds what; nothing changes here."""

import base64
from collections.abc import Mapping

from licence_master.service.installation import Installation
from licence_master.service.reports import (
    AgentView,
    HolderView,
    InstallationView,
    LicenceView,
    PoolView,
    ShareView,
    UnitsView,
)
from licence_master.store.activity import Holder
from licensing.demand import PoolKey
from licensing.installation import MASTER, printed_mac
from licensing.state import State
from licensing.wire import ClassDemand
from runtime.signing import key_id

_NOTHING = ClassDemand(used=0, want=0)


def installation(each: Installation) -> InstallationView:
    """Name, incarnation and whether it lends."""
    state = each.writer.state
    return InstallationView(
        name=each.name,
        instance=state.instance,
        term=state.term,
        state="recovering" if state.recovering else "open",
        waiting_for=tuple(sorted(state.waiting)),
        software=state.settings.software,
        mixed_versions=state.settings.mixed_versions,
        pbxs=len(state.pbxs),
    )


def licences(state: State) -> list[LicenceView]:
    """Installed licences in the order of their installation."""
    return [
        LicenceView(e.number, e.type, e.count, e.place, printed_mac(e.mac), e.pool, e.quarantined)
        for _, e in sorted(state.entitlements.items())
    ]


def pools(state: State, demands: Mapping[str, Mapping[str, ClassDemand]]) -> list[PoolView]:
    """Every pool of which something is installed or lent."""
    return [_pool(state, key, demands) for key in sorted(set(state.pools) | set(state.lent), key=str)]


def no_pool(name: str) -> PoolView:
    """A pool of which nothing is installed."""
    return PoolView(name, 0, 0, 0, 0, 0, 0, None)


def _pool(state: State, key: PoolKey, demands: Mapping[str, Mapping[str, ClassDemand]]) -> PoolView:
    pool, lent = state.pool(key), state.lent_from(key)
    software = state.master_software if key.place == MASTER else state.software_of(key.place)
    usable = pool.usable(software)
    used = sum(
        min(demands.get(agent, {}).get(class_, _NOTHING).used, share.drawn.get(key, 0))
        for agent, classes in state.shares.items()
        for class_, share in classes.items()
    )
    reason = pool.why_unusable(software)
    free, surplus = max(0, usable - lent), max(0, lent - usable)
    return PoolView(str(key), pool.installed, usable, lent, used, free, surplus, reason)


def shares(each: Installation) -> list[ShareView]:
    """What every PBX has on record, with what it said it uses."""
    state, silent = each.writer.state, each.answers.silent()
    return [
        _share(each, state, agent, class_, agent in silent)
        for agent, classes in sorted(state.shares.items())
        for class_ in sorted(classes)
    ]


def _share(each: Installation, state: State, agent: str, class_: str, silent: bool) -> ShareView:
    share = state.share(agent, class_)
    told = each.answers.demands.get(agent, {}).get(class_)
    used = told.used if told else each.history.holdings.count(agent, class_)
    need = told.want - told.idle if told else used
    stranded = max(0, share.granted - need) if silent else 0
    help_ = f"licence-master release-site {agent}, when nobody there uses them" if stranded else ""
    return ShareView(
        pbx=agent,
        class_=class_,
        granted=share.granted,
        used=used,
        reserved=max(0, need - used - told.surplus) if told else 0,
        idle=max(0, share.granted - need),
        surplus=told.surplus if told else 0,
        stranded=stranded,
        max_software=share.max_software,
        drawn={str(key): units for key, units in share.drawn.items()},
        state="silent" if silent else "in_sync",
        last_sync_ms=each.history.last_sync_ms(agent),
        hint=help_,
    )


def agents(each: Installation) -> list[AgentView]:
    """Every configured PBX and every agent on record."""
    state, silent = each.writer.state, each.answers.silent()
    names = [*state.pbxs, *(name for name in sorted(state.agents) if name not in state.pbxs)]
    return [_agent(each, state, name, name in silent) for name in names]


def _agent(each: Installation, state: State, name: str, silent: bool) -> AgentView:
    agent, pbx = state.agents.get(name), state.pbxs.get(name)
    if agent is None:
        standing = "not_joined"
    elif agent.revoked:
        standing = "revoked"
    elif agent.standing != "good":
        standing = agent.standing
    else:
        standing = "silent" if silent else "in_sync"
    return AgentView(
        pbx=name,
        role=pbx.role if pbx else "",
        platform=pbx.platform if pbx else "",
        state=standing,
        epoch=agent.epoch if agent else 0,
        software=state.software_of(name),
        key_id=key_id(base64.b64decode(agent.public_key)) if agent else "",
        last_sync_ms=each.history.last_sync_ms(name),
    )


def holders(each: Installation) -> list[HolderView]:
    """Every object that holds a unit, or has a registration without one."""
    return [holder(found) for found in each.history.holdings.all()]


def holder(found: Holder) -> HolderView:
    """One of them."""
    return HolderView(found.object, found.agent, found.class_, found.state, found.since_ms)


def units(state: State, agent: str, class_: str) -> tuple[UnitsView, ...]:
    """Who has the units of the pools that this class draws from at this PBX."""
    keys = {key for slot in state.bundle(agent, class_) or () for key in slot}
    return tuple(
        UnitsView(name, str(key), count)
        for key in sorted(keys, key=str)
        for name, count in sorted(state.lent.get(key, {}).items())
    )
