"""Commands about who is assigned which licence: assign, unassign, assignments."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from licence_master.cli.client import Api, remote
from licence_master.cli.ordering import DryRun, inventory_file
from licence_master.edges.orders import Reassignment
from licence_master.service.told.reports import AssignmentView
from runtime.cli import Exit, fail, table

UserArgument = Annotated[str | None, typer.Argument(metavar="USER", help="Or another object, with --kind.")]
LicenceArgument = Annotated[
    str | None, typer.Argument(metavar="LICENCE", help="Such as uc, app-phone or PBX-UC13.")
]
PbxOption = Annotated[str | None, typer.Option("--pbx", help="Its PBX; may be left out when it is clear.")]


@remote
def assign(
    api: Api,
    user: UserArgument = None,
    licence: LicenceArgument = None,
    pbx: PbxOption = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="user (default), executive, waiting_queue, trunk ...")
    ] = None,
    uses: Annotated[
        list[str] | None, typer.Option("--uses", help="Such as external_videophone: video without Phone App.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="CSV or YAML, all or nothing.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="With --file: end every assignment that it does not list.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Assign a licence to a user or another object, or all of a file.

    Whoever has no unit waits for one: the licence master says why, and what would help.

    Example: licence-master assign anna uc --pbx hq
    """
    order: dict[str, object] = {"replace": replace, "dry_run": dry_run}
    if file is not None and user is None:
        order["file"] = inventory_file(file)
    elif user is not None and licence is not None and file is None and not replace:
        row = {"object": user, "licence": licence, "pbx": pbx or "", "kind": kind or "", "uses": uses or []}
        order["rows"] = [row]
    else:
        fail(Exit.USAGE, "say USER and LICENCE, or --file FILE (with --replace or without)")
    _tell(api, api.post("/assignments", order))


@remote
def unassign(
    api: Api,
    user: Annotated[str, typer.Argument(metavar="USER", help="Or another object.")],
    licence: LicenceArgument = None,
    pbx: PbxOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is assigned to it.")] = False,
    dry_run: DryRun = False,
) -> None:
    """End an assignment; its unit goes to whoever has waited longest and can use it.

    Example: licence-master unassign anna uc
    """
    if (licence is None) != everything:
        fail(Exit.USAGE, "say which LICENCE, or --all")
    order = {"object": user, "licence": licence, "pbx": pbx or "", "dry_run": dry_run}
    _tell(api, api.post("/assignments/remove", order))


@remote
def assignments(
    api: Api,
    user: Annotated[str | None, typer.Option("--user", help="Of this user or object only.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Of this licence only, by its id.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only who has no licence, and why.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="All, as a file that assign --file reads.")] = False,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="The same as YAML.")] = False,
) -> None:
    """Who is assigned which licence, in order of assignment: who has one, and who waits for what.

    Example: licence-master assignments --csv > assignments.csv
    """
    if as_csv or as_yaml:
        if user or licence or waiting or (as_csv and as_yaml):
            fail(Exit.USAGE, "--csv and --yaml write all assignments; leave the other options out")
        typer.echo(api.text("/assignments/file", format="csv" if as_csv else "yaml"), nl=False)
        return
    state = "waiting" if waiting else None
    answer = api.get("/assignments", object=user, licence=licence, state=state)
    if not api.show(answer):
        _table(msgspec.convert(answer, list[AssignmentView]))


def _tell(api: Api, answer: object) -> None:
    """What was done, then who lost a unit and who waits, each with the reason."""
    if api.show(answer):
        return
    report = Reassignment.model_validate(answer)
    typer.echo(f"{len(report.assigned)} assigned, {len(report.ended)} ended")
    new = {row.number for row in report.assigned}
    lists = (
        ("Licensed now:", [row for row in report.gained if row.number in new]),
        ("Needs no unit:", [row for row in report.assigned if row.state == "included"]),
        ("Waits for one:", [row for row in report.assigned if row.state == "waiting"]),
        ("Licensed by this, waited before:", [row for row in report.gained if row.number not in new]),
        (f"{len(report.lost)} lose their unit:", report.lost),
    )
    for head, rows in lists:
        if rows:
            typer.echo(f"\n{head}")
            _table(rows)
    if not report.done:
        typer.echo("Nothing was changed (--dry-run).")


def _table(rows: Sequence[AssignmentView]) -> None:
    shown = [
        (r.number, r.object, r.pbx, r.kind, r.licence, r.state, r.through or r.code, r.sentence) for r in rows
    ]
    table(shown, ("NO", "OBJECT", "PBX", "KIND", "LICENCE", "STATE", "BY", "WHY"))
    for hint in dict.fromkeys(row.hint for row in rows if row.hint):
        typer.echo(f"What helps: {hint}")
