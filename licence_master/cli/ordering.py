"""Commands that make a running master change something: licences, agents, sites, tokens."""

from pathlib import Path
from typing import Annotated

import typer

from licence_master.cli.asking import when
from licence_master.cli.client import Api, remote
from licence_master.edges.orders import InviteReport, NewTokenReport, Restocked, TokenReport
from runtime.cli import Exit, fail, table

PbxArgument = Annotated[str, typer.Argument(metavar="PBX")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


@remote
def install(
    api: Api,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML or CSV inventories.")],
    dry_run: DryRun = False,
    again: Annotated[bool, typer.Option("--again", help="Install the same bytes a second time.")] = False,
) -> None:
    """Install the licences of these inventories: all or nothing.

    Example: licence-master install licences.csv --dry-run
    """
    order = {"files": [_read(path) for path in files], "again": again, "dry_run": dry_run}
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
        (r.id, r.role, r.label, when(r.created_ms), when(r.expires_ms), when(r.revoked_ms)) for r in rows
    ]
    table(shown, ("ID", "ROLE", "LABEL", "MADE", "EXPIRES", "ENDED"))


@remote
def end_token(api: Api, token: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a token now.

    Example: licence-master token end 0a1b2c3d4e
    """
    if not api.show(api.delete(f"/tokens/{token}")):
        typer.echo(f"{token}: ended")


def _read(path: Path) -> dict[str, str]:
    try:
        return {"name": path.name, "content": path.read_text(encoding="utf-8")}
    except OSError as error:
        fail(Exit.USAGE, f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        fail(Exit.BAD_DATA, f"{path}: not UTF-8 text")


def _tell_stock(api: Api, answer: object) -> None:
    if api.show(answer):
        return
    report = Restocked.model_validate(answer)
    for name in report.skipped:
        typer.echo(f"{name}: installed already (already_installed); use --again if you mean a second set")
    if report.pools:
        rows = [
            (c.pool, c.before.installed, c.after.installed, c.before.usable, c.after.usable, c.after.reason)
            for c in report.pools
        ]
        table(rows, ("POOL", "INSTALLED", "-> NEW", "USABLE", "-> NEW", "REASON"))
    for warning in report.warnings:
        typer.echo(f"warning: {warning.text} ({warning.code})", err=True)
    if not report.done:
        typer.echo("Nothing was changed (--dry-run).")
