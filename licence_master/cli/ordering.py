"""Commands that make a running master change something: licences, agents, sites, tokens."""

from pathlib import Path
from typing import Annotated

import typer

from licence_master.cli.asking import when
from licence_master.cli.client import Api, remote
from licence_master.edges.orders import (
    Failed,
    FileReport,
    InviteReport,
    NewTokenReport,
    Restocked,
    TokenReport,
)
from licensing.codes import Code
from licensing.files.armour import MAX_BYTES
from runtime import cli
from runtime.cli import Exit, table

PbxArgument = Annotated[str, typer.Argument(metavar="PBX")]
LEAVING = ("PBX", "CLASS", "UNITS", "OBJECTS")
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


@remote
def install(
    api: Api,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Signed files, vendor's XML, YAML or CSV.")
    ],
    dry_run: DryRun = False,
    again: Annotated[bool, typer.Option("--again", help="Install the same bytes a second time.")] = False,
) -> None:
    """Install the licences of these files: all or nothing, at once, without a restart.

    A signed licence file is checked (licence_roots of master.yaml) and takes the place of those that it
    supersedes; a revocation list takes the licences of revoked files out. The vendor's XML, YAML and CSV are
    your statement: the vendor's signature is not checked.

    Example: licence-master install acme-2.licence --dry-run
    """
    order = {"files": [inventory_file(path) for path in files], "again": again, "dry_run": dry_run}
    _tell_stock(api, api.post("/licences", order))


@remote
def remove(
    api: Api,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="As on the licence, such as PBX-Port13.")],
    count: Annotated[int, typer.Argument(min=1)],
    place: Annotated[str | None, typer.Option("--place", help="A PBX; default: the master.")] = None,
    mac: Annotated[str | None, typer.Option("--mac")] = None,
    dry_run: DryRun = False,
) -> None:
    """Remove units, newest first; no registration ends, what is in use becomes surplus.

    Example: licence-master remove PBX-Port11 100
    """
    order = {"type": type_, "count": count, "place": place, "mac": mac, "dry_run": dry_run}
    _tell_stock(api, api.post("/licences/remove", order))


@remote
def convert(
    api: Api,
    pool: Annotated[str, typer.Argument(metavar="POOL", help="What to convert: smb-port.")],
    dry_run: DryRun = False,
) -> None:
    """Make all SMB-Port licences Port licences, one upgrade (PBX-Port13$$) for each; registrations go on.

    Example: licence-master convert smb-port --dry-run
    """
    _tell_stock(api, api.post("/licences/convert", {"pool": pool, "dry_run": dry_run}))


@remote
def transfer(
    api: Api,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="As on the licence, such as PBX-Port13.")],
    count: Annotated[int, typer.Argument(min=1)],
    to: Annotated[str | None, typer.Option("--to", help="A PBX; default: the master.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="A PBX; default: the master.")] = None,
    mac: Annotated[str | None, typer.Option("--mac", help="Only those that name this MAC.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Move software licences to another place, newest first; no registration ends. `-` is no PBX.

    A PBX with a licence of its own uses none of the master's: see --dry-run first.

    Example: licence-master transfer PBX-Port13 4 --to lyon --dry-run
    """
    order = {"type": type_, "count": count, "from_place": from_, "to_place": to, "mac": mac}
    _tell_stock(api, api.post("/licences/transfer", {**order, "dry_run": dry_run}))


@remote
def fail(api: Api, pbx: PbxArgument) -> None:
    """Say that a PBX is out of service: its phones draw Standby at the PBX that stands by for it.

    Its own units stay reserved. The master never decides this itself: a silent PBX may only be cut off.

    Example: licence-master fail lyon
    """
    answer = api.post(f"/pbxs/{pbx}/fail", {})
    if api.show(answer):
        return
    typer.echo(f"{pbx}: failed; its phones draw Standby, its own units wait for it. When it is back:")
    typer.echo(f"licence-master recover {pbx}")
    for warning in Failed.model_validate(answer).warnings:
        typer.echo(f"warning: {warning.text} ({warning.code})", err=True)


@remote
def recover(api: Api, pbx: PbxArgument) -> None:
    """Say that a failed PBX is in service again; phones at the standby PBX keep their unit.

    Example: licence-master recover lyon
    """
    if not api.show(api.post(f"/pbxs/{pbx}/recover", {})):
        typer.echo(f"{pbx}: in service again")


@remote
def invite(api: Api, pbx: Annotated[str, typer.Option("--pbx", help="A PBX of the configuration.")]) -> None:
    """Print the one line that lets the agent of a PBX join: single use, 30 minutes.

    Example: licence-master invite --pbx lyon
    """
    answer = api.post("/invites", {"pbx": pbx})
    if not api.show(answer):
        typer.echo(InviteReport.model_validate(answer).command)


@remote
def revoke(api: Api, pbx: PbxArgument) -> None:
    """Refuse the key of an agent from now on; its share stays on record until release-site.

    Example: licence-master revoke lyon
    """
    if not api.show(api.post(f"/agents/{pbx}/revoke", {})):
        typer.echo(
            f"{pbx}: its key is refused from now on; its share stays until licence-master release-site {pbx}"
        )


@remote
def release_site(
    api: Api,
    pbx: PbxArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take a share back without asking its agent.

    Phones that still run there go on: until its agent has answered they are more than you own.

    Example: licence-master release-site lyon --yes
    """
    if not yes and not api.as_json:
        typer.confirm(f"Is nobody at {pbx} using its licences any more?", abort=True)
    if not api.show(api.post(f"/agents/{pbx}/release-site", {})):
        typer.echo(f"{pbx}: released; its agent starts again with share 0 when it comes back")


@remote
def confirm_site(api: Api, pbx: PbxArgument) -> None:
    """End a clone alarm: say that the one agent running at this PBX is the right one.

    Example: licence-master confirm-site lyon
    """
    if not api.show(api.post(f"/agents/{pbx}/confirm", {})):
        typer.echo(f"{pbx}: confirmed")


@remote
def make_token(
    api: Api,
    role: Annotated[str, typer.Option("--role", help="admin, operator, auditor or site:NAME.")],
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    days: Annotated[int, typer.Option("--days", min=1, max=3_650, help="How long it is valid.")] = 365,
) -> None:
    """Make a token for the admin API; it is shown once.

    Example: licence-master token make --role auditor --label grafana > grafana.token
    """
    answer = api.post("/tokens", {"role": role, "label": label, "days": days})
    if not api.show(answer):
        typer.echo(NewTokenReport.model_validate(answer).token)


@remote
def list_tokens(api: Api) -> None:
    """Tokens of the installation, without their secrets.

    Example: licence-master token list
    """
    answer = api.get("/tokens")
    if api.show(answer):
        return
    rows = [TokenReport.model_validate(row) for row in answer] if isinstance(answer, list) else []
    shown = [
        (r.id, r.role, r.label, *(when(at) for at in (r.created_ms, r.expires_ms, r.used_ms, r.revoked_ms)))
        for r in rows
    ]
    table(shown, ("ID", "ROLE", "LABEL", "MADE", "EXPIRES", "LAST USED", "ENDED"))


@remote
def end_token(api: Api, token: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a token now.

    Example: licence-master token end 0a1b2c3d4e
    """
    if not api.show(api.delete(f"/tokens/{token}")):
        typer.echo(f"{token}: ended")


def _described(file: FileReport) -> str:
    match file.source:
        case "signed":
            until = f", until {when(file.until_ms)}" if file.until_ms else ""
            return f"issue {file.issue_no} of {file.issuer} for {file.project}{until}; its signatures fit"
        case "revocations":
            return f"revocation list {file.issue_no}; its signature fits"
        case "vendor":
            return "the vendor's file; its signature is not checked"
        case _:
            return "your statement; it has no signature"


def inventory_file(path: Path) -> dict[str, str]:
    """A file as the API takes it: name and text."""
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            cli.fail(Exit.BAD_DATA, f"{path}: larger than {MAX_BYTES} bytes ({Code.TOO_LARGE})")
        return {"name": path.name, "content": content.decode()}
    except OSError as error:
        cli.fail(Exit.USAGE, f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        cli.fail(Exit.BAD_DATA, f"{path}: not UTF-8 text ({Code.FILE_MALFORMED})")


def _tell_stock(api: Api, answer: object) -> None:
    if api.show(answer):
        return
    report = Restocked.model_validate(answer)
    for name in report.skipped:
        typer.echo(f"{name}: installed already (already_installed); use --again if you mean a second set")
    for file in report.files:
        typer.echo(f"{file.name}: {_described(file)}")
    if report.pools:
        rows = [
            (c.pool, c.before.installed, c.after.installed, c.before.usable, c.after.usable, c.after.reason)
            for c in report.pools
        ]
        table(rows, ("POOL", "INSTALLED", "-> NEW", "USABLE", "-> NEW", "REASON"))
    if report.leaving:
        beyond = sum(row.units for row in report.leaving)
        typer.echo(
            f"\n{beyond} in use beyond what is left. Nobody is cut; these have to leave, newest first:"
        )
        table([(r.pbx, r.class_, r.units, ", ".join(r.objects)) for r in report.leaving], LEAVING)
    if report.lost:
        typer.echo(f"\n{len(report.lost)} assignments lose their unit:")
        rows_ = [(a.object, a.pbx, a.licence, a.code) for a in report.lost]
        table(rows_, ("OBJECT", "PBX", "LICENCE", "WHY"))
    if report.gained:
        typer.echo(f"{len(report.gained)} assignments get a unit; see licence-master assignments")
    for warning in report.warnings:
        typer.echo(f"warning: {warning.text} ({warning.code})", err=True)
    if not report.done:
        typer.echo("Nothing was changed (--dry-run).")
