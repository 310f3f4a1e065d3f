"""What goes on without any trouble: phones come and go, agents speak, the master answers, answers arrive."""

from collections.abc import Iterator

from licensing.wire import Hello
from tests.simulation.models.borrower import Effect
from tests.simulation.models.cast import Cast
from tests.simulation.models.forgetting import pruned
from tests.simulation.models.rules import Rule
from tests.simulation.models.world import Site, Step, World


def conversation(cast: Cast, world: World) -> Iterator[Step]:
    """Every such step."""
    for index, site in enumerate(world.sites):
        if cast.scenario.phones:
            for what, after in _phones(cast, world, site):
                yield ("{}: {}", cast.called(world, index), what), world.with_site(index, after)
        if site.sends and (site.hello or site.anew or cast.borrower.in_flight(site.row) is None):
            yield from _sends(cast, world, index, site)
    for number, master in enumerate(world.masters):
        yield from _decides(cast, world, number, master)
    yield from _answers(cast, world)


def _phones(cast: Cast, world: World, site: Site) -> Iterator[tuple[str, Site]]:
    counted = site.registered if Rule.GATE_COUNTS in cast.rules else site.known
    if counted < _admits(cast, world, site):
        yield "a phone registers", site._replace(registered=site.registered + 1, known=site.known + 1)
    if site.known:
        yield "a phone leaves", site._replace(registered=site.registered - 1, known=site.known - 1)
    if site.registered > site.known:
        yield "a forgotten phone refreshes", site._replace(known=site.known + 1)
        yield "a forgotten phone is gone", site._replace(registered=site.registered - 1)
    if site.doubt:
        yield "a snapshot of the PBX", site._replace(known=site.registered, doubt=False)


def _admits(cast: Cast, world: World, site: Site) -> int:
    """Units for phones; a standby uses its own, and only while it serves (docs/protocol.md "Standby")."""
    if not cast.standby[site.agent]:
        return cast.borrower.usable(site.row)
    if not site.serving:
        return 0
    heir = site if Rule.STANDBY_APART in cast.rules else world.sites[0]
    return cast.borrower.usable(heir.row)


def _sends(cast: Cast, world: World, index: int, site: Site) -> Iterator[Step]:
    name, kind = cast.called(world, index), "hello" if site.hello else "sync"
    for want, idle in _wants(cast, site):
        row, request = cast.borrower.prepare(site.row, site.known, want, idle, f"b{site.boot}", site.hello)
        after = site._replace(
            row=row, disk=cast.kept(site, row), hello=False, anew=False, sends=site.sends - 1
        )
        sent = world.with_site(index, after).posted(world.requests | {request}, world.replies)
        spare = f", {idle} of them idle" if idle else ""
        seq = cast.post.messages[request].seq
        yield ("{}: sends {} {} want {}{}", name, kind, seq, want, spare), pruned(cast, sent)


def _wants(cast: Cast, site: Site) -> Iterator[tuple[int, int]]:
    """What may be wanted now, and how much of it idle: nothing below what is, or may be, in use."""
    recall_to = cast.borrower.recall_to(site.row)
    floor = site.known
    if recall_to is not None and Rule.RECALL_SPARES_USED not in cast.rules:
        floor = min(floor, recall_to)
    if site.doubt and Rule.NO_FALL in cast.rules:
        floor = max(floor, cast.borrower.usable(site.row))
    for want in range(floor, max(floor, cast.scenario.wants) + 1):
        yield want, 0
        if cast.scenario.idle and want > floor and (recall_to is None or want <= recall_to):
            yield want, want - floor


def _decides(cast: Cast, world: World, number: int, master: int) -> Iterator[Step]:
    for request in world.requests:
        after, reply = cast.lender.receive(master, request)
        if after == master and reply in world.replies:
            continue
        disk = after if Rule.ANSWER_AFTER_COMMIT in cast.rules else world.disks[number]
        decided = world.with_master(number, after, disk).posted(world.requests, world.replies | {reply})
        yield _decision(cast, world, number, request, reply), pruned(cast, limited(cast, decided))


def _decision(cast: Cast, world: World, number: int, request: int, reply: int) -> tuple[str | int, ...]:
    sent = cast.post.messages[request]
    kind = "hello" if isinstance(sent, Hello) else "sync"
    want = sum(demand.want for demand in sent.classes.values())
    what = ("{}: {} {} {} want {}: {}", master_called(world, number), sent.agent, kind, sent.seq, want)
    return *what, cast.borrower.text(reply)


def master_called(world: World, number: int) -> str:
    """What a trail calls this master."""
    if len(world.masters) == 1:
        return "master"
    return "yesterday's master" if number else "today's master"


def limited(cast: Cast, world: World) -> World:
    """The world with what may be used at most: what is owned, or what was lent when it became too much."""
    master = world.masters[0]
    if not cast.scenario.budget.shrinks or cast.lender.waits[master]:
        return world
    lent = cast.lender.lent[master]
    return world._replace(limit=tuple(max(pair) for pair in zip(world.owned, lent, strict=True)))


def _answers(cast: Cast, world: World) -> Iterator[Step]:
    for reply in world.replies:
        request, _ = cast.post.replies.values[reply]
        sent = cast.post.messages[request]
        for index, site in enumerate(world.sites):
            if cast.names[site.agent] != sent.agent:
                continue
            after = cast.told.get((site, reply))
            if after is None:
                row, effect = cast.borrower.answered(site.row, reply)
                after = cast.told[site, reply] = _affected(cast, site, row, effect)
            if after != site:
                what = ("{}: gets the answer to {}: {}", cast.called(world, index), sent.seq)
                yield (*what, cast.borrower.text(reply)), pruned(cast, world.with_site(index, after))


def _affected(cast: Cast, site: Site, row: int, effect: Effect) -> Site:
    if effect is Effect.NONE:
        return site
    if effect is Effect.ANEW:
        return site._replace(anew=True)
    record = cast.borrower.record(row)
    new = site.since > 0 and record.seq >= site.since
    told = not record.shares or (record.epoch >= site.risk and (new or not site.since))
    after = site._replace(row=row, disk=cast.kept(site, row), risk=0 if told else site.risk)
    if effect is Effect.HELLO:
        return after._replace(hello=True)
    # An answer that was still under way may lead it back to a nonce that the master takes for the last.
    return after._replace(heard=min(2, site.heard + new), behind=site.behind and new)
