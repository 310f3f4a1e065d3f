"""Assignments and rights as people see them."""

from licence_master.service.told.reports import AssignmentView, RightsView, RightView
from licensing.catalogue import Catalogue
from licensing.named.assignment import Subject
from licensing.named.kinds import USER_KINDS
from licensing.named.rights import Right, rights
from licensing.named.standing import Standing, standings
from licensing.state import State


def assignments(state: State) -> list[AssignmentView]:
    """Every assignment, in order."""
    return [_assignment(each) for each in standings(state)]


def of_numbers(state: State, numbers: set[int]) -> list[AssignmentView]:
    """These assignments, in order."""
    return [_assignment(each) for each in standings(state) if each.number in numbers]


def of_subject(state: State, catalogue: Catalogue, subject: Subject, kind: str) -> RightsView:
    """What a user or an object may use; the apps are for users only."""
    found = rights(state, catalogue, subject, kind)
    apps = found.apps.values() if found.kind in USER_KINDS else ()
    return RightsView(
        object=subject.object,
        pbx=subject.pbx,
        kind=found.kind,
        licences=tuple(_right(right) for right in found.licences.values()),
        apps=tuple(_right(right) for right in apps),
    )


def _assignment(each: Standing) -> AssignmentView:
    row = each.row
    state = "licensed" if each.licensed else "included" if each.has else "waiting"
    return AssignmentView(
        number=each.number,
        object=row.object,
        pbx=row.pbx,
        kind=row.kind,
        licence=row.licence,
        uses=row.uses,
        state=state,
        through=each.through,
        code=str(each.reason.code) if each.reason else None,
        sentence=each.reason.sentence if each.reason else "",
        hint=each.reason.hint if each.reason else "",
        ahead=each.ahead,
    )


def _right(right: Right) -> RightView:
    return RightView(
        id=right.id,
        name=right.name,
        has=right.has,
        through=right.through if right.has else "",
        code=str(right.reason.code) if right.reason else None,
        sentence=right.reason.sentence if right.reason else "",
        hint=right.reason.hint if right.reason else "",
        parts=tuple(_right(part) for part in right.parts),
    )
