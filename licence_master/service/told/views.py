"""What people see of an installation: pools, shares, agents, who holds what; nothing changes here."""

import base64
from collections.abc import Mapping, Sequence

from licence_master.service.installation import Installation
from licence_master.service.past.holdings import Holder
from licence_master.service.told import boxes, leaving
from licence_master.service.told.reports import (
    AgentView,
    HolderView,
    InstallationView,
    LicenceView,
    PoolView,
    ShareView,
)
from licensing.demand import PoolKey
from licensing.entitlement import Entitlement
from licensing.files.document import Document
from licensing.installation import printed_mac
from licensing.lender import bound
from licensing.named.standing import taken
from licensing.state import State
from licensing.wire import ClassDemand
from runtime.signing import key_id

_NO_DOCUMENT = Document("")
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
    """Installed licences by project, in the order of their installation (1.1)."""
    return [
        _licence(e, state.documents.get(e.document, _NO_DOCUMENT), e.rental is None or state.book.isc > 0)
        for e in sorted(state.entitlements.values(), key=lambda e: (e.project, e.number))
    ]


def _licence(units: Entitlement, came_in: Document, counting: bool) -> LicenceView:
    return LicenceView(
        number=units.number,
        type=units.type,
        count=units.count,
        place=units.place,
        mac=printed_mac(units.mac),
        pool=units.pool if counting else None,
        quarantined=units.quarantined,
        unassigned=units.unassigned,
        project=units.project,
        document=units.document,
        source=came_in.source,
        issuer=came_in.issuer,
        issue_no=came_in.issue_no,
        until_ms=came_in.until_ms,
        rented=units.rental is not None,
    )


def pools(state: State, demands: Mapping[str, Mapping[str, ClassDemand]]) -> list[PoolView]:
    """Every pool of which something is installed or lent; assigned units are used and never lent."""
    assigned = taken(state)
    lent = {key for key, holders_ in state.lent.items() if holders_}
    keys = sorted(set(state.pools) | lent, key=str)
    return [_pool(state, key, demands, assigned.get(key, 0)) for key in keys]


def no_pool(name: str) -> PoolView:
    """A pool of which nothing is installed."""
    return PoolView(name, 0, 0, 0, 0, 0, 0, None)


def _pool(
    state: State, key: PoolKey, demands: Mapping[str, Mapping[str, ClassDemand]], assigned: int
) -> PoolView:
    pool, lent = state.pool(key), state.lent_from(key)
    software = state.software_at(key)
    usable = pool.usable(software)
    used = sum(
        min(demands.get(agent, {}).get(class_, _NOTHING).used, share.drawn.get(key, 0))
        for agent, classes in state.shares.items()
        for class_, share in classes.items()
    )
    reason = pool.why_unusable(software)
    taken_ = assigned + bound.opened(state, key)
    free, surplus = max(0, usable - lent - taken_), max(0, lent - usable)
    kept = min(free, sum(state.kept_for(key).values()))
    return PoolView(str(key), pool.installed, usable, lent, used + taken_, free, surplus, reason, kept)


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
        standing = "awaited" if name in state.waiting else "not_joined"
    elif agent.revoked:
        standing = "revoked"
    elif name in state.waiting:
        standing = "awaited"
    elif name in state.failed:
        standing = "failed"
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
        hint=_help(state, name, agent is not None) or boxes.doubted(state, name),
    )


def _help(state: State, name: str, joined: bool) -> str:
    if name not in state.waiting:
        return f"when it is back: licence-master recover {name}" if name in state.failed else ""
    first = "start its agent; if it never comes back" if joined else "if it has not joined since the backup"
    return f"{first}: licence-master release-site {name}"


def holders(each: Installation) -> list[HolderView]:
    """Every object that holds a unit, or has a registration without one."""
    return named_holders(each, each.history.holdings.all())


def named_holders(each: Installation, found: Sequence[Holder]) -> list[HolderView]:
    """These holders, with the word whether they have to leave."""
    state, heard = each.writer.state, each.answers
    rows = leaving.leaving(state, heard.demands, heard.silent(), each.history.holdings)
    gone = leaving.names(rows)
    return [
        HolderView(
            h.object, h.agent, h.class_, h.state, h.since_ms, h.object in gone.get((h.agent, h.class_), ())
        )
        for h in found
    ]
