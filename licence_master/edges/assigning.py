"""Routes of assignments: list, file, assign, unassign."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from licence_master.edges.doorkeeper import Access
from licence_master.edges.orders import AssignOrder, InventoryFile, Reassignment, UnassignOrder
from licence_master.edges.problems import ProblemError
from licence_master.service import assignment_file
from licence_master.service.assignment_file import AssignmentFile
from licence_master.service.assignments import Reassigned
from licence_master.service.told import rights
from licence_master.service.told.reports import AssignmentView
from licensing.codes import Code, Refusal
from licensing.named.assigning import Refused, Wish
from licensing.named.assignment import listed, moved
from runtime.config import ConfigErrors

CSV, YAML = "text/csv", "application/yaml"
FILES: dict[int | str, dict[str, object]] = {
    200: {
        "description": "What POST /assignments reads as a file",
        "content": {
            CSV: {"schema": {"type": "string"}},
            YAML: {"schema": {"type": "object", "properties": {"assignments": {"type": "array"}}}},
        },
    }
}

Named = Annotated[str | None, Query(max_length=512)]


def assignment_lists(routes: APIRouter, auditor: Access, site: Access) -> None:
    """What is assigned; a site sees its own."""

    @routes.get("/assignments", summary="Assigned licences: who has one, who waits and why")
    async def assignments(
        access: Annotated[Access, site],
        object: Named = None,  # noqa: A002 - the name of the field
        licence: Named = None,
        state: Literal["licensed", "included", "waiting"] | None = None,
    ) -> list[AssignmentView]:
        return [
            row
            for row in rights.assignments(access.installation.writer.state)
            if access.sees(row.pbx)
            and object in (None, row.object)
            and licence in (None, row.licence)
            and state in (None, row.state)
        ]

    @routes.get(
        "/assignments/file",
        summary="All assignments as CSV or YAML",
        response_class=Response,
        responses=FILES,
    )
    async def as_file(
        access: Annotated[Access, auditor],
        format: Literal["csv", "yaml"] = "csv",  # noqa: A002
    ) -> Response:
        rows = [row for _, row in listed(access.installation.writer.state.rolls)]
        if format == "csv":
            return Response(assignment_file.as_csv(rows), media_type=CSV)
        return Response(assignment_file.as_yaml(rows), media_type=YAML)


def assignment_orders(routes: APIRouter, operator: Access) -> None:
    """Assign and unassign."""

    @routes.post("/assignments", summary="Assign licences to users and objects: all or nothing")
    async def assign(access: Annotated[Access, operator], order: AssignOrder) -> Reassignment:
        file = _file(order.file) if order.file is not None else None
        wishes = [Wish(row.object, row.licence, row.pbx, row.kind, row.uses) for row in order.rows]
        if (file is None) == (not wishes):
            raise ProblemError(Refusal(Code.INVALID_REQUEST, "send either rows or a file"))
        done = await access.installation.assignments.assign(
            file.rows if file is not None else wishes,
            replace=order.replace,
            dry_run=order.dry_run,
            actor=access.caller.actor,
        )
        if not isinstance(done, Reassigned):
            raise _refused(done, file)
        return _report(done, order.dry_run)

    @routes.post("/assignments/remove", summary="End one assignment of an object, or all")
    async def unassign(access: Annotated[Access, operator], order: UnassignOrder) -> Reassignment:
        done = await access.installation.assignments.unassign(
            order.object, order.licence, order.pbx, dry_run=order.dry_run, actor=access.caller.actor
        )
        if isinstance(done, Refusal):
            raise ProblemError(done)
        return _report(done, order.dry_run)


def moved_views(done: Reassigned) -> tuple[tuple[AssignmentView, ...], tuple[AssignmentView, ...]]:
    """Who got a unit and who lost one and is still assigned: as they stand afterwards."""
    gained, lost = moved(done.before.rolls, done.after.rolls)
    left = {number for number, _ in listed(done.after.rolls)} & {number for number, _ in lost}
    return (
        tuple(rights.of_numbers(done.after, {number for number, _ in gained})),
        tuple(rights.of_numbers(done.after, left)),
    )


def _report(done: Reassigned, dry_run: bool) -> Reassignment:
    old = {number for number, _ in listed(done.before.rolls)}
    new = {number for number, _ in listed(done.after.rolls)}
    gained, lost = moved_views(done)
    return Reassignment(
        done=not dry_run,
        assigned=tuple(rights.of_numbers(done.after, new - old)),
        ended=tuple(rights.of_numbers(done.before, old - new)),
        gained=gained,
        lost=lost,
    )


def _file(file: InventoryFile) -> AssignmentFile:
    try:
        return assignment_file.read(file.name, file.content.encode())
    except ConfigErrors as errors:
        found = [Refusal(Code.INVALID_REQUEST, str(error)) for error in errors.errors]
        raise ProblemError(*found, bad_data=True) from errors


def _refused(refused: tuple[Refused, ...], file: AssignmentFile | None) -> ProblemError:
    """Every row that does not fit; of a file each with its line."""
    if file is None:
        return ProblemError(*(each.refusal for each in refused))
    errors = [file.errors([each]).errors[0] for each in refused]
    found = zip(refused, errors, strict=True)
    return ProblemError(
        *(Refusal(each.refusal.code, str(error), each.refusal.advice) for each, error in found)
    )
