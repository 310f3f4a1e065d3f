"""Line offers: what is inside the monthly fee, for the customer and for the reseller.

Source: seed 002; B.r20 to B.r22. The seed prices what is inside; beyond it each pays his own (decision).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billing.core.calendar import Timed
from billing.core.refusal import Code, Refused

MAX_BASKETS: Final = 8
"""Each is one pass over the calls."""


_FREE: Final = Timed.always(0)


class OfferKind(StrEnum):
    """How a line is charged."""

    PAY_PER_USE = "pay_per_use"
    FLAT_BUSINESS = "flat_business"
    FLAT_ON_CONSUMPTION = "flat_on_consumption"
    RECIPE = "recipe"


@dataclass(frozen=True, slots=True)
class Basket:
    """Minutes of some classes, full again at 00:00 local of the first of each month."""

    name: str
    classes: tuple[str, ...]
    minutes: int
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer; `monthly` in cents."""

    name: str
    kind: OfferKind = OfferKind.PAY_PER_USE
    monthly: Timed[int] = _FREE
    baskets: tuple[Basket, ...] = ()
    channels: int | None = None
    """None: as the contract says."""

    @property
    def in_order(self) -> tuple[Basket, ...]:
        """Its baskets as calls use them up: by priority, then name (B.r20)."""
        return tuple(sorted(self.baskets, key=lambda basket: (basket.priority, basket.name)))

    @property
    def is_flat_for_resale(self) -> bool:
        """Whether the reseller does not pay what is inside either: FLAT Business only (B.r22)."""
        return self.kind is OfferKind.FLAT_BUSINESS


PAY_PER_USE = Offer("pay_per_use")
"""What a new line has when nobody says otherwise (seed 002)."""


class Actor(StrEnum):
    """Who changes a line."""

    PARTNER = "partner"
    BACK_OFFICE = "back_office"


def fits(offer: Offer, numbers: Sequence[str]) -> Refused | None:
    """None when a line with these numbers may have this offer, or keep it (seed 002)."""
    if offer.kind is OfferKind.FLAT_BUSINESS and len(numbers) != 1:
        why = (
            f"{offer.name} is a FLAT Business: for lines with exactly one number, this one has {len(numbers)}"
        )
        return Refused(Code.ONE_NUMBER_ONLY, why)
    return None


def may_change(old: Offer, new: Offer, by: Actor) -> Refused | None:
    """None when this actor may put a line from the old offer to the new one (seed 002)."""
    leaves = old.kind is OfferKind.FLAT_BUSINESS and new.kind is not OfferKind.FLAT_BUSINESS
    if leaves and by is not Actor.BACK_OFFICE:
        return Refused(Code.BACK_OFFICE_ONLY, f"{old.name} is a FLAT Business: the back office ends it")
    return None


def channels(offer: Offer, contract: int, wanted: int | None) -> int | Refused:
    """How many calls the line may have at once: as the offer fixes it, else as wanted (seed 002)."""
    if offer.kind is OfferKind.FLAT_BUSINESS:
        fixed = contract if offer.channels is None else offer.channels
        if wanted not in (None, fixed):
            return Refused(Code.CHANNELS_FIXED, f"{offer.name} is a FLAT Business of {fixed} channels")
        return fixed
    if wanted is not None:
        return wanted
    return contract if offer.channels is None else offer.channels
