"""Phones that come, refresh and leave all the time, and a watch over how many are registered at the PBXs."""

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Self

from demo.phone import Phone
from tests.acceptance.site import Site

EXPIRES_S = 300
STAY_S = (1.0, 6.0)
AWAY_S = (0.1, 1.5)
REFRESH_S = (0.2, 0.8)
SAMPLE_S = 0.04


class Churn:
    """So many phones of each site; `async with` starts them, its end lets each finish what it does.

    `dropped` are refreshes that were not answered 200, with the status: phones that were cut.
    """

    def __init__(self, sites: Sequence[Site], each: int, seed: int) -> None:
        self.dropped: list[tuple[str, str, int]] = []
        self.admitted: dict[str, int] = {site.name: 0 for site in sites}
        self.refused: dict[str, int] = {site.name: 0 for site in sites}
        self.refreshed = 0
        self._sites, self._each = sites, each
        self._drawn = random.Random(seed)
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Begin."""
        self._phones = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        for number, site in enumerate(self._sites):
            for user in range(1_000 * (number + 1), 1_000 * (number + 1) + self._each):
                phone = await self._phones.enter_async_context(site.handset(str(user)))
                drawn = random.Random(self._drawn.getrandbits(32))
                self._tasks.append(asyncio.create_task(self._live(site, phone, drawn)))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nobody comes any more; whoever is registered stays so."""
        self._over.set()
        await asyncio.gather(*self._tasks)
        await self._phones.aclose()

    async def _live(self, site: Site, phone: Phone, drawn: random.Random) -> None:
        while not self._over.is_set():
            await self._rest(drawn.uniform(*AWAY_S))
            if (await phone.register(EXPIRES_S)).status != 200:
                self.refused[site.name] += 1
                continue
            self.admitted[site.name] += 1
            leaves_at = time.monotonic() + drawn.uniform(*STAY_S)
            while time.monotonic() < leaves_at and not self._over.is_set():
                await self._rest(drawn.uniform(*REFRESH_S))
                self.refreshed += 1
                status = (await phone.register(EXPIRES_S)).status
                if status != 200:
                    self.dropped.append((site.name, phone.user, status))
            if not self._over.is_set():
                await phone.unregister()

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return


class Watch(threading.Thread):
    """Counts who is registered at the PBXs all the time: `most` at once, and for how long above the capacity.

    The PBXs are asked one after the other, twice: who is in both answers was registered between the rounds,
    so a phone that moves is never counted at both sites.
    """

    def __init__(self, sites: Sequence[Site], capacity: int) -> None:
        super().__init__(name="watch")
        self.most = self.samples = 0
        self.over_s = 0.0
        self._sites, self._capacity = sites, capacity
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; AssertionError when the watch ended before."""
        assert self.is_alive(), "the watch saw an error"
        self._over.set()
        self.join()

    def run(self) -> None:
        """Sample until the end."""
        last = time.monotonic()
        while not self._over.wait(SAMPLE_S):
            first = [site.contacts() for site in self._sites]
            count = sum(len(seen & site.contacts()) for seen, site in zip(first, self._sites, strict=True))
            now = time.monotonic()
            self.over_s += now - last if count > self._capacity else 0.0
            self.most, self.samples, last = max(self.most, count), self.samples + 1, now
