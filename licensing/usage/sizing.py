"""How many units a pool should have, and what the missing ones cost: prices by tier, tiers by what is there.

A tier %N counts when N units of lower tiers of its family are in the project (3.1, L.r19), so more units may
bring the next ones down to a lower price. Money is whole cents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Purchase:
    """Units of one licence type to buy, at this price each, in cents."""

    type: str
    count: int
    price: int


@dataclass(frozen=True, slots=True)
class Size:
    """What a pool needs: the highest peak and a margin; `missing` or `over` compared with what is usable."""

    peak: int
    needed: int
    missing: int
    over: int


def right_size(peak: int, usable: int, margin_percent: int) -> Size:
    """The peak and so many per cent more, rounded up."""
    needed = peak + -(-peak * margin_percent // 100)
    return Size(peak, needed, max(0, needed - usable), max(0, usable - needed))


def cheapest(
    missing: int, installed: Mapping[int, int], prices: Mapping[int, tuple[str, int]]
) -> Sequence[Purchase] | None:
    """What to buy for so many units; None where no price fits.

    `installed` and `prices` are by tier (0: none): units, and (type, cents). Each unit is the cheapest that
    the tiers allow once those before it are there: a unit counts below every higher tier.
    """
    there, bought = dict(installed), list[Purchase]()
    while missing > 0:
        allowed = [tier for tier in prices if tier <= _below(there, tier)]
        if not allowed:
            return None
        tier = min(allowed, key=lambda each: (prices[each][1], each))
        cheaper = [each for each in prices if prices[each][1] < prices[tier][1] and each > tier]
        steps = [each - _below(there, each) for each in cheaper]  # until the next tier opens
        count = min([missing, *(step for step in steps if step > 0)])
        bought.append(Purchase(prices[tier][0], count, prices[tier][1]))
        there[tier] = there.get(tier, 0) + count
        missing -= count
    return bought


def _below(there: Mapping[int, int], tier: int) -> int:
    return sum(count for each, count in there.items() if each < tier)
