"""Assignments in a scenario, by the live orders (L.r26 to L.r30)."""

from licensing.codes import Refusal
from licensing.named import assigning
from licensing.named.assigning import Wish
from licensing.named.assignment import Subject
from licensing.named.standing import standings
from licensing.scenario.house import House
from licensing.scenario.scenario import Member


def assign(house: House, member: Member, licence: str) -> Refusal | None:
    """Assign a licence; the refusal also says why an assigned one gives no right yet."""
    id_ = assigning.licence_id(house.catalogue, licence)
    if isinstance(id_, Refusal):
        return id_
    waiving = house.state.named[id_].waived_for
    uses = tuple(use for use in member.uses if use in waiving)
    wish = Wish(member.name, id_, member.pbx, member.kind, uses)
    change = assigning.assign(house.state, house.catalogue, [wish])
    if isinstance(change, tuple):
        return change[0].refusal
    house.commit(change)
    return _reason(house, Subject(member.pbx, member.name), id_)


def unassign(house: House, member: Member, licence: str | None) -> Refusal | None:
    """End one assignment or all; the refusal where there is none."""
    change = assigning.unassign(house.state, house.catalogue, member.name, licence, member.pbx)
    if isinstance(change, Refusal):
        return change
    house.commit(change)
    return None


def _reason(house: House, subject: Subject, licence: str) -> Refusal | None:
    """Why an assignment gives no right, or None."""
    if house.state.rolls[licence].holds(subject):
        return None
    found = (each for each in standings(house.state) if each.row.licence == licence)
    return next(each.reason for each in found if each.row.subject == subject)
