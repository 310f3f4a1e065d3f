"""The events of assignments; who holds a unit follows from them and from everything else in the ledger."""

from dataclasses import replace

from licensing.demand import DemandClass
from licensing.event import Event
from licensing.named.assignment import Assignment, Roll, affected, dropped, joined, settled
from licensing.named.kinds import NamedLicence
from licensing.state import State


class CatalogueLearned(Event, frozen=True):
    """What this program's catalogue says: the terms of assigned licences, the classes of lent ones."""

    licences: tuple[NamedLicence, ...]
    classes: tuple[DemandClass, ...] = ()

    def after(self, state: State) -> State:
        named = {licence.id: licence for licence in self.licences}
        classes = {each.name: each for each in self.classes}
        learned = replace(state, named=named, classes=classes, _bundles={}, _reach={})
        return learned.resettled(state.rolls)


class Assigned(Event, frozen=True):
    """Licences were assigned together; they are numbered in this order, after all before them."""

    rows: tuple[Assignment, ...]

    def after(self, state: State) -> State:
        rolls, fresh = joined(state.rolls, state.assigned + 1, self.rows)
        return replace(state, assigned=state.assigned + len(self.rows)).resettled(rolls, (), fresh)


class Unassigned(Event, frozen=True):
    """Assignments ended; who waited longest has the units."""

    numbers: tuple[int, ...]

    def after(self, state: State) -> State:
        numbers = frozenset(self.numbers)
        ended = {id_ for id_, roll in state.rolls.items() if numbers & roll.rows.keys()}
        return state.resettled(dropped(state.rolls, numbers), affected(state.named, ended))


class UnitsKept(Event, frozen=True):
    """After several events that are one change: who holds units, where event by event it came out otherwise.

    A file that takes the place of another takes units out and brings them back: nobody loses his by that.
    `licensed` are the numbers of all who hold a unit, by licence, for the licences that differ.
    """

    licensed: dict[str, tuple[int, ...]]

    def after(self, state: State) -> State:
        rolls = {
            id_: roll.granted(frozenset(self.licensed[id_])) if id_ in self.licensed else roll
            for id_, roll in state.rolls.items()
        }
        return state.resettled(rolls)


def kept(before: State, after: State) -> UnitsKept | None:
    """What sets right who holds units, when the way from `before` to `after` is one change; None: nothing."""
    if before.rolls is after.rolls or not after.rolls:
        return None
    held = {id_: before.rolls.get(id_, Roll()).licensed for id_ in after.rolls}
    rolls = {id_: roll.granted(held[id_] & roll.rows.keys()) for id_, roll in after.rolls.items()}
    wanted = settled(after.ground(), rolls)
    differing = {id_ for id_, roll in after.rolls.items() if wanted[id_].licensed != roll.licensed}
    licensed = {id_: tuple(sorted(wanted[id_].licensed)) for id_ in sorted(differing)}
    return UnitsKept(licensed) if licensed else None
