"""What happens to units that are installed already, as events of the ledger: converted, transferred."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from licensing.demand import PoolKey
from licensing.entitlement import Entitlement
from licensing.event import Event
from licensing.state import State


class Converted(Event, frozen=True):
    """3.4, L.r18: entitlements became units of another pool, and as many upgrade units were used up.

    `entitlements` are what they are now, under the numbers that they had; `spent` maps the numbers of
    upgrade units to units. Shares drawn from the pool `before` are drawn from the pool `after_` at once, so
    that every registration goes on and nothing is recalled.
    """

    entitlements: tuple[Entitlement, ...]
    spent: dict[int, int]
    before: str
    after_: str

    def after(self, state: State) -> State:
        entitlements = {**state.entitlements, **{each.number: each for each in self.entitlements}}
        files = {state.entitlements[number].document for number in self.spent}
        for number, units in self.spent.items():
            _take(entitlements, number, units)
        state = replace(state, entitlements=entitlements, spent=state.spent | (files - {""}))
        for agent, classes in state.shares.items():
            for class_, share in classes.items():
                state = state.with_share(agent, class_, replace(share, drawn=self._moved(share.drawn)))
        return state.restocked()

    def _moved(self, drawn: Mapping[PoolKey, int]) -> dict[PoolKey, int]:
        moved: Counter[PoolKey] = Counter()
        for key, units in drawn.items():
            moved[key._replace(pool=self.after_) if key.pool == self.before else key] += units
        return dict(moved)


class Transferred(Event, frozen=True):
    """1.4: `units` of an entitlement lie at another place now, as an entitlement of this event's number."""

    number: int
    moved: Entitlement

    def after(self, state: State) -> State:
        entitlements = dict(state.entitlements)
        _take(entitlements, self.number, self.moved.count)
        entitlements[self.moved.number] = self.moved
        return replace(state, entitlements=entitlements).restocked()


def _take(entitlements: dict[int, Entitlement], number: int, units: int) -> None:
    left = entitlements[number].without(units)
    if left is None:
        del entitlements[number]
    else:
        entitlements[number] = left
