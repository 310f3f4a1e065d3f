"""Which messages need not be kept: those that can never again change anything."""

from licensing.wire import Hello
from tests.simulation.models.cast import Cast
from tests.simulation.models.rules import Rule
from tests.simulation.models.world import World

_EXAMINED = {Rule.SEQ_ORDER, Rule.EPOCH, Rule.ANSWER_AFTER_COMMIT, Rule.SAME_SEQ}


def pruned(cast: Cast, world: World) -> World:
    """The world without messages that nobody will ever look at again.

    Why this loses no behaviour: a reply counts only while its request is in flight, and no record goes back
    to an older request but one that is on disk or saved. A request is refused without a trace by a store that
    answered a later one of the same process, and a sync by a store of another instance; a store forgets what
    it answered only when it is lost (the new one has another instance, so only hellos matter to it) or put
    back (then the backup is asked too). Where a rule of these is left out, everything is kept.
    """
    if Rule.LATEST_ONLY not in cast.rules:
        return world
    rows = {row for site in world.sites for row in (site.row, site.disk, site.saved) if row >= 0}
    flying = {cast.borrower.flying[row] for row in rows}
    replies = frozenset(reply for reply in world.replies if cast.post.replies.values[reply][0] in flying)
    requests = world.requests
    if cast.rules >= _EXAMINED:
        requests = frozenset(r for r in requests if r in flying or _alive(cast, world, r))
    if len(replies) == len(world.replies) and len(requests) == len(world.requests):
        return world
    return world.posted(requests, replies)


def _alive(cast: Cast, world: World, request: int) -> bool:
    """Whether some store may still take this request for a new one, now or after a loss."""
    if world.budget.losses and isinstance(cast.post.messages[request], Hello):
        return True
    stores = world.masters
    if world.backup >= 0 and (world.budget.restores or world.budget.doubles):
        stores = (*stores, world.backup)
    return any(cast.lender.may_take(store, request) for store in stores)
