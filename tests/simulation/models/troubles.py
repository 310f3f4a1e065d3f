"""What goes wrong in a model, and what an operator does, each as often as the budget allows."""

from collections.abc import Iterator

from licensing import administration
from licensing.files import inventory
from licensing.files.inventory import Item
from tests.licensing.house import CATALOGUE
from tests.simulation.models.cast import Cast
from tests.simulation.models.conversation import limited, master_called
from tests.simulation.models.lender import Store
from tests.simulation.models.world import COPIED, Site, Step, World


def troubles(cast: Cast, world: World) -> Iterator[Step]:
    """Everything of that kind that can happen next."""
    for index, site in enumerate(world.sites):
        name = cast.called(world, index)
        if site.disk != site.row:
            yield ("{}: its disk catches up", name), world.with_site(index, site._replace(disk=site.row))
        if site.agent in cast.scenario.struck:
            yield from _processes(world, index, site, name)
            yield from _directories(cast, world, index, site, name)
        if world.budget.fails and cast.standby[site.agent] and not site.serving:
            after = world.with_site(index, site._replace(serving=True)).spent("fails")
            yield ("{}: takes {} for failed and serves its phones", name, cast.names[0]), after
    for number, master in enumerate(world.masters):
        yield from _masters(cast, world, number, master)
    if world.backup >= 0:
        yield from _backups(cast, world)
    yield from _operator(cast, world)


def _born(world: World, site: Site, row: int) -> Site:
    """A new process on this record: it knows no phone yet and says hello."""
    return site._replace(row=row, boot=world.boots, known=0, doubt=True, hello=True, anew=False)


def _processes(world: World, index: int, site: Site, name: str) -> Iterator[Step]:
    if world.budget.crashes:
        after = world.with_site(index, _born(world, site, site.disk)).booted()
        yield ("{}: crashes, starts again", name), after.spent("crashes")
    if world.budget.hints and not site.hello:
        after = world.with_site(index, site._replace(hello=True))
        yield ("{}: an answer that nobody signed asks for a hello", name), after.spent("hints")


def _directories(cast: Cast, world: World, index: int, site: Site, name: str) -> Iterator[Step]:
    if world.budget.snapshots and site.saved < 0:
        after = world.with_site(index, site._replace(saved=site.row))
        yield ("{}: its directory is saved", name), after.spent("snapshots")
    if world.budget.rewinds and site.saved >= 0:
        saved = cast.borrower.record(site.saved)
        old = _born(world, site, site.saved)._replace(disk=site.saved)
        if saved.seq < cast.borrower.record(site.row).seq:
            behind = not any(cast.lender.confirms(master, name, saved.prev) for master in world.masters)
            old = old._replace(risk=saved.epoch, since=saved.seq + 1, behind=behind)
        after = world.with_site(index, old).booted()
        yield ("{}: its directory is put back, it starts again", name), after.spent("rewinds")
    if world.budget.clones:
        first = site._replace(risk=COPIED, since=cast.borrower.record(site.row).seq + 1)
        copy = _born(world, first, site.row)._replace(registered=0)
        after = world.with_site(index, first).booted()
        after = after._replace(sites=(*after.sites, copy))
        yield ("{}: its directory is copied, a second agent starts", name), after.spent("clones")


def _masters(cast: Cast, world: World, number: int, master: int) -> Iterator[Step]:
    called, budget, life = master_called(world, number), world.budget, world.lives + 1
    disk = world.disks[number]
    if disk != master:
        yield ("{}: commits", called), world.with_master(number, master, master)
    if budget.restarts:
        begun = cast.once(("restarted", disk, life), lambda: cast.lender.restarted(disk, life))
        yield ("{}: crashes, starts again", called), world.served(number, begun).spent("restarts")
    if budget.losses:
        begun = cast.once(("new", *world.owned, life), lambda: _made_anew(cast, world.owned, life))
        sites = tuple(site._replace(heard=0) for site in world.sites)  # nobody remembers copies now
        lost = world.served(number, begun)._replace(sites=sites)
        yield ("{}: its store is lost, a new one is made", called), lost.spent("losses")
    if budget.backups and not number:
        yield ("{}: a backup is taken", called), world._replace(backup=master).spent("backups")


def _backups(cast: Cast, world: World) -> Iterator[Step]:
    life, backup = world.lives + 1, world.backup
    if world.budget.restores or world.budget.doubles:
        begun = cast.once(("restored", backup, life), lambda: cast.lender.restored(backup, life))
        if world.budget.restores:
            yield ("master: the backup is restored",), world.served(0, begun).spent("restores")
        if world.budget.doubles:
            both = world._replace(masters=(*world.masters, begun), disks=(*world.disks, begun), lives=life)
            yield ("yesterday's backup is served beside today's master",), both.spent("doubles")


def _operator(cast: Cast, world: World) -> Iterator[Step]:
    master = world.masters[0]
    if world.budget.shrinks:
        after = cast.once(("shrunk", master), lambda: _shrunk(cast, master))
        if after >= 0:
            smaller = world.with_master(0, after, after)._replace(owned=cast.owned(after))
            what = ("operator: removes one {}", cast.scenario.shrinks)
            yield what, limited(cast, smaller.spent("shrinks"))
    if world.budget.releases:
        after = cast.once(("released", master), lambda: _released(cast, master))
        if after >= 0:
            site = world.sites[0]
            risk = site._replace(risk=cast.borrower.record(site.row).epoch + 1)
            released = world.with_master(0, after, after).with_site(0, risk)
            yield ("operator: releases {}", cast.names[0]), released.spent("releases")


def _shrunk(cast: Cast, master: int) -> int:
    items = [Item(cast.scenario.shrinks, 1)]
    return cast.lender.changed(master, inventory.remove(cast.lender.state(master), CATALOGUE, items))


def _released(cast: Cast, master: int) -> int:
    change = administration.release_site(cast.lender.state(master), cast.names[0])
    return cast.lender.changed(master, change)


def _made_anew(cast: Cast, owned: tuple[int, ...], life: int) -> int:
    state = cast.founded(f"new {life}", recovery=True, owned=owned)
    return cast.lender.number(Store(state, {}, {}, {}, life))
