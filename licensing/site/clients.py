"""The clients of one PBX: Operators and others that log in, Queue Monitors and others that watch queues.

Rule L.r30; seed 7.1, 7.2. `licence` is one that `offers.chosen` knows: asking for another is no question.
"""

from licensing import offers
from licensing.codes import Code
from licensing.offers import OPERATOR, QUEUE_MONITOR
from licensing.site.decision import Decision
from licensing.site.use import Login, Watch
from licensing.site.uses import Uses


class Clients:
    """What clients take: `login` and `logout`, `monitor` and `unmonitor`; `software` is the client's own."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses

    def login(
        self, user: str, software: int, now_ms: int, *, client: str = "", licence: str = OPERATOR
    ) -> Decision:
        """A client logs in: one licence until it logs out; it may be installed on more PCs (7.1).

        `client` tells two clients of one user apart: each takes one.
        """
        return self._uses.take([Login(user, software, client, licence)], now_ms)

    def logout(self, user: str, now_ms: int, *, client: str = "", licence: str = OPERATOR) -> bool:
        """It logged out; False when it was not logged in."""
        return self._uses.end(Login(user, 0, client, licence).key, now_ms)

    def monitor(
        self, queue: str, client: str, software: int, now_ms: int, *, licence: str = QUEUE_MONITOR
    ) -> Decision:
        """A client watches a queue: one licence for the queue, however many clients watch it (7.2).

        Code `queues_per_client` for one queue too many: a third one of a Queue Monitor.
        """
        wanted = Watch(queue, client, software, licence)
        watching = [watch for watch in self._uses.group(Watch, client) if watch.licence == licence]
        most = offers.uses(self._uses.seats.policy)[licence].per_client
        if most and len([watch for watch in watching if watch.queue != queue]) >= most:
            return self._uses.refuse(wanted, Code.QUEUES_PER_CLIENT, now_ms)
        return self._uses.take([wanted], now_ms)

    def unmonitor(self, queue: str, client: str, now_ms: int, *, licence: str = QUEUE_MONITOR) -> bool:
        """It watches the queue no more, and with the last one its licence is free; False: it did not."""
        return self._uses.end(Watch(queue, client, 0, licence).key, now_ms)
