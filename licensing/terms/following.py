"""What a day brings by itself: lots begin, rent is taken, SSA go on or lapse, reminders are given.

Called whenever, with the day it is; what was done already is not done again.
"""

from collections.abc import Iterator

from licensing.administration import Change
from licensing.ledger import AnyEvent, evolve, replay
from licensing.state import State
from licensing.terms import ending, lot, renting
from licensing.terms.agreeing import payment
from licensing.terms.lot import Owned
from licensing.terms.term_events import Reminded, SsaLapsed, SsaProlonged
from licensing.terms.upgrading import changed

PROLONG_BEFORE = 7
"""Days before its end at which an SSA begins to try to go on by itself."""

ACTOR = "terms"


def follow(state: State, today: int, *, only_rent: bool = False) -> list[AnyEvent]:
    """Everything that is due today; `only_rent`: nothing that can wait."""
    events = renting.taken(state, today)
    for step in () if only_rent else (dated, _prolonged, _reminded):
        events += step(replay(events, state), today)
    return events


def dated(state: State, today: int) -> list[AnyEvent]:
    """The event that makes the lots those of the units that are installed; none when they are."""
    owned: dict[str, Owned] = {}
    for each in state.entitlements.values():
        if each.hardware or each.quarantined or each.rental is not None:
            continue
        known = owned.get(each.type, Owned(0, 0))
        assigned = 0 if each.unassigned else each.count
        owned[each.type] = Owned(known.all + each.count, known.assigned + assigned)
    event = changed(state.book.lots, lot.settled(state.book.lots, owned, today))
    return [event] if event.lots or event.gone else []


def as_dated(made: Change, today: int) -> Change:
    """A change with the lots that follow from it, as one."""
    events = dated(made.state, today)
    if not events:
        return made
    return Change(replay(events, made.state), (*made.events, *events), made.wake, made.warnings)


def _prolonged(state: State, today: int) -> Iterator[AnyEvent]:
    """8.1: SSA go on by themselves while SSC are there, the oldest lot first; else they lapse when over.

    A master that was off past the end takes the term that would have followed: there is no gap.
    """
    for number in sorted(state.book.lots):
        while True:
            each = state.book.lots[number]
            if each.ssa is None or not each.ssa.auto or each.ssa.until_day - today > PROLONG_BEFORE:
                break
            until = each.ssa.next_until_day
            paid = payment(each, each.ssa.ssc, until, today, ACTOR)
            if paid is not None and paid.amount > state.book.ssc:
                if each.ssa.until_day < today:
                    yield SsaLapsed(number)
                break
            for event in (paid, SsaProlonged(number, until)):
                if event is not None:
                    state = evolve(state, event)
                    yield event


def _reminded(state: State, today: int) -> Iterator[AnyEvent]:
    for due in ending.due(state, today):
        yield Reminded(due.kind, due.ends_day, due.before, today, due.text)
