"""How many requests one agent, one caller or one address may send: token buckets, bounded in number."""

from collections import OrderedDict

MAX_SOURCES = 10_000
BURST_MS = 2_000


class RateLimit:
    """`per_s` requests a second with a burst of twice as many, counted for each source by itself."""

    def __init__(self, per_s: int) -> None:
        self._cost_ms = 1_000 / per_s
        # For each source the instant at which its bucket is full again; the longest unseen goes first.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def allows(self, source: str, now_ms: int, cost: int = 1) -> bool:
        """Take `cost` requests from the bucket of `source`; False when it is empty."""
        full_at = max(self._full_at.get(source, 0.0), now_ms) + cost * self._cost_ms
        if full_at - now_ms > BURST_MS:
            return False
        self._full_at[source] = full_at
        self._full_at.move_to_end(source)
        if len(self._full_at) > MAX_SOURCES:
            self._full_at.popitem(last=False)
        return True
