"""Standing in for a PBX on the word of somebody here, when no master can say that it failed (0031)."""

from collections.abc import Callable, Iterable

from agent.service.site import Site
from agent.store.journal import Journal
from licensing.site.record import ShareRecord
from runtime.clock import Clock
from runtime.logs import logger


class NotProtectedError(Exception):
    """The master's configuration does not say that this PBX stands by for that one."""


class StandIn:
    """The PBXs that one PBX stands in for by order of somebody here; `record` has the master's policy."""

    def __init__(
        self, pbx: str, site: Site, journal: Journal, record: Callable[[], ShareRecord], clock: Clock
    ) -> None:
        self.homes: tuple[str, ...] = ()
        self._log = logger(pbx=pbx)
        self._site = site
        self._journal = journal
        self._record = record
        self._clock = clock

    def resume(self, marked: bytes) -> None:
        """Go on after a restart, before anything is served."""
        self._use(tuple(marked.decode().split()))

    async def begin(self, home: str) -> None:
        """Its objects draw Standby from now on, across restarts; NotProtectedError."""
        if home not in self._record().policy.protected:
            raise NotProtectedError(f"this PBX does not stand by for {home} (standby_for in master.yaml)")
        await self._keep((*self.homes, home))
        self._log.warning("stand_in.began", home=home)

    async def end(self, home: str) -> None:
        """The master's word counts again; who holds a Standby unit keeps it until it leaves."""
        await self._keep(each for each in self.homes if each != home)
        self._log.warning("stand_in.ended", home=home)

    async def _keep(self, homes: Iterable[str]) -> None:
        kept = tuple(sorted(set(homes)))
        await self._journal.keep_marks(standing_in=" ".join(kept).encode())
        self._use(kept)

    def _use(self, homes: tuple[str, ...]) -> None:
        self.homes = homes
        now_ms = self._clock.monotonic_ms()
        self._site.seats.stand_in(homes, now_ms)
        self._site.ordered(now_ms)
