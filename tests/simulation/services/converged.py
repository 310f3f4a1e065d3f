"""After calm: in sync, no unit stranded, every phone that fits is in, and history is what happened."""

from typing import TYPE_CHECKING

from licensing.site.occupancy import State as Seat
from tests.simulation.services.site import SimulatedSite
from tests.simulation.services.watch import FAMILY, BrokenError, denials_on_record, history_of, holders_of

if TYPE_CHECKING:
    from tests.simulation.services.world import World


def unfinished(world: "World") -> str:
    """What is still missing, or nothing; what can never come right any more is a BrokenError."""
    if world.master.installation is None:
        return "the master does not serve"
    if world.watch.durable.recovering:
        return f"recovering, waiting for {sorted(world.watch.durable.waiting)}"
    for site in world.sites:
        missing = _site(world, site)
        if missing:
            return f"{site.agent.name}: {missing}"
    return _units(world) or _history(world)


def _site(world: "World", site: SimulatedSite) -> str:
    pbx = site.agent.open
    if pbx is None:
        return "does not serve"
    conversation, durable = pbx.conversation, world.watch.durable
    if conversation.away or conversation.record.in_flight is not None:
        return "not in sync"
    if world.mix.patient and pbx.site.doubting:
        return "in doubt"
    for class_ in FAMILY:
        lent = conversation.record.shares.get(class_)
        granted, on_record = lent.granted if lent else 0, durable.share(site.agent.name, class_).granted
        if granted != on_record:
            return f"{granted} {class_} here, {on_record} on record"
    if pbx.journal.activity():
        return "the master has not heard everything"
    for phone in site.phones:
        state = pbx.site.seats.state_of(phone.user)
        if (state in (Seat.HELD, Seat.SURPLUS)) != site.pbx.holds(phone.user):
            return f"{phone.user} is {state.name}, at the PBX: {site.pbx.holds(phone.user)}"
    return ""


def _units(world: "World") -> str:
    """Every phone that fits is in: units of a class are used up before one of its phones is left out."""
    durable = world.watch.durable
    states = {
        phone.user: site.agent.open.site.seats.state_of(phone.user)
        for site in world.sites
        if site.agent.open is not None
        for phone in site.phones
    }
    used = sum(state is Seat.HELD for state in states.values())
    doubting = sum(
        max(0, counts.usable - counts.used)
        for site in world.sites
        if site.agent.open is not None and site.agent.open.site.seats.recovering
        for counts in site.agent.open.site.seats.counts().values()
    )
    fit = min(_fitting(world), len(states))
    if used + doubting < fit:
        surplus = sum(state is Seat.SURPLUS for state in states.values())
        told = f"{used} of {fit} phones have units, {surplus} have none, {doubting} are held back in doubt"
        return f"{told}; {durable.lent}"
    return ""


def _fitting(world: "World") -> int:
    """How many phones the pools have units for: ports for all, IPVA besides for the virtual ones."""
    durable = world.watch.durable
    virtual = sum(world.mix.phones for site in world.sites if durable.pbxs[site.agent.name].virtual)
    ipva = sum(e.count for e in durable.entitlements.values() if e.type.startswith("PBX-IPVA"))
    real = world.mix.agents * world.mix.phones - virtual
    return min(world.watch.ports(), real + min(virtual, ipva))


def _history(world: "World") -> str:
    """The master's history of each agent is exactly what became durable there, in order, once."""
    for site in world.sites:
        name = site.agent.name
        expected = {
            f"{phone.user} {'held' if state is Seat.HELD else 'surplus'}"
            for phone in site.phones
            if site.agent.open is not None
            and (state := site.agent.open.site.seats.state_of(phone.user)) in (Seat.HELD, Seat.SURPLUS)
        }
        holders = set(holders_of(world.master, name))
        if holders != expected:
            return f"{name}: holders on record {sorted(holders)}, there are {sorted(expected)}"
        if not world.watch.lost_history:
            told = world.watch.sites[name].told
            heard = history_of(world.master, name)
            if heard != told:
                raise BrokenError(f"{name}: history {heard}, happened {told}")
    on_record = denials_on_record(world.master)
    counted = on_record == world.watch.denials or (world.was_short and on_record < world.watch.denials)
    if not world.watch.lost_history and not counted:  # on a disk without room denials are not kept
        raise BrokenError(f"{on_record} denials on record, {world.watch.denials} were answered")
    return ""
