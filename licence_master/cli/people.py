"""Commands about people: who signs in with a password, typed at a prompt or read from a file."""

from pathlib import Path
from typing import Annotated

import typer

from licence_master.cli.asking import when
from licence_master.cli.client import Api, remote
from licence_master.edges.orders import UserReport
from runtime.cli import Exit, fail, table

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
RoleOption = Annotated[str, typer.Option("--role", help="admin, operator, auditor or site:NAME.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="Its first line; without it you are asked."),
]


@remote
def add(api: Api, name: NameArgument, role: RoleOption, password_file: PasswordFile = None) -> None:
    """Let somebody sign in; the password has 12 characters or more.

    Example: licence-master user add anna --role operator
    """
    order = {"name": name, "role": role, "password": _password(password_file)}
    if not api.show(api.post("/users", order)):
        typer.echo(f"{name}: may sign in as {role}")


@remote
def password(api: Api, name: NameArgument, password_file: PasswordFile = None) -> None:
    """Give somebody another password; their sessions end.

    Example: licence-master user password anna
    """
    if not api.show(api.post(f"/users/{name}/password", {"password": _password(password_file)})):
        typer.echo(f"{name}: has another password; all sessions have ended")


@remote
def remove(api: Api, name: NameArgument) -> None:
    """Let somebody in no more; their sessions end.

    Example: licence-master user remove anna
    """
    if not api.show(api.delete(f"/users/{name}")):
        typer.echo(f"{name}: removed; all sessions have ended")


@remote
def list_users(api: Api) -> None:
    """Who may sign in, and when they last did.

    Example: licence-master user list
    """
    answer = api.get("/users")
    if api.show(answer):
        return
    rows = [UserReport.model_validate(row) for row in answer] if isinstance(answer, list) else []
    shown = [(r.name, r.role, when(r.created_ms), when(r.changed_ms), when(r.seen_ms)) for r in rows]
    table(shown, ("NAME", "ROLE", "MADE", "PASSWORD SET", "LAST SIGN-IN"))


def _password(file: Path | None) -> str:
    """Never an argument: those are seen by everybody on this host, and kept in the shell's history."""
    if file is None:
        given: str = typer.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
        return given
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        fail(Exit.USAGE, f"{file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(Exit.BAD_DATA, f"{file}: not UTF-8 text")
    return lines[0] if lines else ""
