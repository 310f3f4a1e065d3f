"""What must hold after every step (docs/reliability.md "Promises"), each in words when it does not."""

from tests.simulation.models.cast import Cast
from tests.simulation.models.world import Site, World


def broken(cast: Cast, before: World, after: World) -> str | None:
    """The first promise that this step breaks."""
    return (
        _oversold(cast, before, after)
        or _lent_twice(cast, before, after)
        or _above(cast, before, after)
        or _wrong(cast, before, after)
        or _unnoticed(cast, after)
    )


def _oversold(cast: Cast, before: World, after: World) -> str | None:
    """Σ on record ≤ what is installed, or a surplus that only falls.

    A recovering store writes down what agents prove, and lends nothing. While a released site has not heard
    of it, its units may be on record twice: the operator's risk.
    """
    if before.masters is after.masters:
        return None
    lender = cast.lender
    for old, new in zip(before.masters, after.masters, strict=False):
        if old == new or lender.waits[new] or any(site.risk for site in after.sites):
            continue
        for pool, key in enumerate(cast.pools):
            lent, there = lender.lent[new][pool], lender.installed[new][pool]
            if lent > there and (lent > lender.lent[old][pool] or lender.waits[old]):
                return f"{lent} {key} on record, {there} are there"
    return None


def _lent_twice(cast: Cast, before: World, after: World) -> str | None:
    """What all agents together may use ≤ what is owned, or was before a removal, or falls."""
    if before.sites is after.sites:
        return None
    for pool, key in enumerate(cast.pools):
        may = _may_use(cast, after, pool)
        if may > after.limit[pool] and may > _may_use(cast, before, pool):
            each = ", ".join(
                f"{cast.called(after, index)} {cast.borrower.usable(site.row)}"
                for index, site in enumerate(after.sites)
                if cast.draws[site.agent][pool] and not site.risk
            )
            return f"agents may use {may} {key} ({each}), {after.limit[pool]} are there"
    return None


def _may_use(cast: Cast, world: World, pool: int) -> int:
    """Units of a pool that the agents may use, all together."""
    return sum(
        cast.borrower.usable(site.row)
        for site in world.sites
        if cast.draws[site.agent][pool] and not site.risk
    )


def _above(cast: Cast, before: World, after: World) -> str | None:
    """Phones ≤ what the agent may use, or what is still on record for it; surplus only falls."""
    if not cast.scenario.phones or (before.sites is after.sites and before.masters is after.masters):
        return None
    for index, (old, new) in enumerate(zip(before.sites, after.sites, strict=False)):
        if new.risk or old.risk or new.registered <= cast.borrower.usable(new.row):
            continue
        share, was = _share(cast, after, new), _share(cast, before, old)
        if new.registered > share and (new.registered > old.registered or share < was):
            return f"{cast.called(after, index)}: {new.registered} phones on a share of {share}"
    return None


def _share(cast: Cast, world: World, site: Site) -> int:
    on_record = (cast.lender.on_record[master][site.agent] for master in world.masters)
    return max(cast.borrower.usable(site.row), *on_record)


def _wrong(cast: Cast, before: World, after: World) -> str | None:
    """Answers that no master may give: see `Lender.wrong`."""
    if cast.lender.wrong:
        for reply in after.replies - before.replies:
            if reply in cast.lender.wrong:
                return cast.lender.wrong[reply]
    return None


def _unnoticed(cast: Cast, after: World) -> str | None:
    """Copies and old directories are found; nobody else is ever suspected."""
    good = False not in map(cast.lender.good.__getitem__, after.masters)
    copied = len(after.sites) > len(cast.names)
    went_back = after.budget.rewinds < cast.scenario.budget.rewinds
    if not good and not copied and not went_back:
        return "an alarm, and there is no copy"
    if good and copied and min(after.sites[0].heard, after.sites[-1].heard) > 1:
        return "two copies were answered twice each, and nobody was told"
    if good and went_back:
        for site in after.sites:
            if site.behind and site.heard:
                return f"{cast.names[site.agent]} goes on from an old directory, and nobody was told"
    return None
