"""Where uses are asked for: legs, ISDN calls, logins, watched queues; answered when they are on disk.

Whoever is told "admitted" finds its use again after any crash; whoever was not told holds nothing (decision
0032). Commands, dial plans and PBX drivers all ask here.
"""

import asyncio
from collections.abc import Callable, Iterable

from agent.store.journal import Journal
from licensing import offers
from licensing.codes import Code, Refusal
from licensing.site.calls import Calls
from licensing.site.clients import Clients
from licensing.site.decision import Decision, Waiting, refused
from licensing.site.seat import Seats
from licensing.site.use import Use
from licensing.site.uses import Ended, Uses

Asked = Callable[[int], Decision]
"""A question to `calls` or `clients`, given the monotonic ms."""


class Desk:
    """The uses of one PBX, and those who wait to hear about theirs."""

    def __init__(self, seats: Seats, stored: Iterable[Use], journal: Journal) -> None:
        self.uses = Uses(seats, stored)
        self.calls = Calls(self.uses)
        self.clients = Clients(self.uses)
        self._journal = journal
        self._waits: dict[str, list[asyncio.Future[Decision]]] = {}
        self.moved: Callable[[], None] = lambda: None

    def unknown(self, mode: str, licence: str) -> Refusal | None:
        """Why no licence of this name is asked for: none of this mode is, as far as the master has told."""
        found = offers.chosen(offers.uses(self.uses.seats.policy), mode, licence)
        return found if isinstance(found, Refusal) else None

    def compares_client(self, licence: str) -> bool:
        """Whether the client's own release is compared with this licence (L.r4)."""
        use = offers.uses(self.uses.seats.policy).get(licence)
        return use is not None and use.by_client

    def serve(self, moved: Callable[[], None]) -> None:
        """From now on `moved` is called after each question: seats may have moved."""
        self.moved = moved

    async def ask(self, use: Use, question: Asked, now_ms: int, *, urgent: bool = False) -> Decision:
        """The decision on a use, once it is final and on disk; an `urgent` one waits for no disk."""
        if self._journal.full and not urgent:  # nothing may be decided that cannot be stored
            return refused(use.seat, Code.RATE_LIMITED, 503)
        decision = question(now_ms)
        self.moved()
        if isinstance(decision, Waiting):
            decision = await self._heard(use)
        if not urgent:
            await self._journal.barrier()
        return decision

    async def _heard(self, use: Use) -> Decision:
        heard: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waits.setdefault(use.key, []).append(heard)
        return await heard

    async def end(self, ended: bool) -> bool:
        """Whether there was such a use, once its end is on disk."""
        self.noticed()
        await self._journal.barrier()
        return ended

    def noticed(self) -> None:
        """Uses began or ended; who waited for one that is over hears it."""
        self.moved()
        for key in self._waits.keys() - set(self.uses.asked()):
            self._tell(Ended(key, refused(key, Code.NO_FREE_LICENCE, 503)))

    def settle(self, settled: list[tuple[str, Decision]], now_ms: int) -> list[tuple[str, Decision]]:
        """End the waits that these decisions end; what nobody waits for here is left."""
        others = [each for each in settled if not self.uses.owns(each[0])]
        own = [each for each in settled if self.uses.owns(each[0])]
        ended = [each for each in self.uses.settle(own, now_ms) if not self._tell(each)]
        return others + [(each.key, each.decision) for each in ended]

    def _tell(self, ended: Ended) -> bool:
        """Tell those who wait here; False when nobody does."""
        waits = self._waits.pop(ended.key, ())
        for heard in waits:
            if not heard.done():
                heard.set_result(ended.decision)
        return bool(waits)

    def write(self) -> None:
        """Write down what began and ended; on disk before anything that is written later."""
        changes = self.uses.drain_changes()
        if changes:
            self._journal.keep_uses(changes)
