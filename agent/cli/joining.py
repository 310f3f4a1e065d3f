"""`pbx-agent join`: the line that the master printed makes an enrolled agent, and its first agent.yaml."""

import re
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from agent.config import AgentConfig
from agent.edges.joining import Invitation, write_example
from agent.edges.joining import join as join_master
from agent.options import DEFAULT_CONFIG, ConfigOption
from agent.service.link import NoAnswerError
from licensing import wire
from licensing.codes import Code
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json, table

DEFAULT_DATA = Path("/var/lib/pbx-agent")
DEFAULT_SOFTWARE = 13


def join(
    url: Annotated[str, typer.Argument(help="Address of the master, https://HOST:PORT.")],
    token: Annotated[str, typer.Option(help="The token of the invitation.")],
    pin: Annotated[str, typer.Option(help="The pin of the invitation, sha256:HEX.")],
    config: ConfigOption = DEFAULT_CONFIG,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data directory.")] = None,
    pbx: Annotated[str | None, typer.Option(metavar="NAME", help="The PBX you expect to join.")] = None,
    software: Annotated[int | None, typer.Option(help="Release of the PBX.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Join a licence master: paste the line that `licence-master invite --pbx NAME` printed.

    Example: pbx-agent join https://master:8443 --token 7f3a.5c… --pin sha256:9b2e…
    """
    if not url.startswith("https://") or not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", pin):
        fail(Exit.USAGE, "write https://HOST:PORT, and the pin as sha256: and 64 hex digits")
    known = load_or_fail(config, AgentConfig) if config.exists() else None
    place = data or (known.data if known else DEFAULT_DATA)
    software = software or _configured_software(known, pbx) or DEFAULT_SOFTWARE
    try:
        answer = join_master(Invitation(url.rstrip("/"), token, pin), place, software)
    except NoAnswerError as error:
        fail(Exit.REFUSED if error.code is Code.PIN_MISMATCH else Exit.UNREACHABLE, f"{error.code}: {error}")
    except OSError as error:
        fail(Exit.BAD_DATA, f"{place}: {error}")
    if isinstance(answer, wire.Problem):
        fail(Exit.REFUSED, f"{answer.code}: {answer.title}. {answer.detail} {answer.hint}".rstrip())
    written = write_example(config, answer.agent, place.absolute(), software)
    _report_joined(answer, config, written, known, as_json)


def _configured_software(known: AgentConfig | None, pbx: str | None) -> int | None:
    entries = [entry for entry in known.pbxs if pbx in (None, entry.name)] if known else []
    return entries[0].software if len(entries) == 1 else None


def _report_joined(
    answer: wire.Enrolled, config: Path, written: bool, known: AgentConfig | None, as_json: bool
) -> None:
    missing = known is not None and all(entry.name != answer.agent for entry in known.pbxs)
    if as_json:
        facts = {"pbx": answer.agent, "installation": answer.installation, "epoch": answer.epoch}
        policy = msgspec.to_builtins(answer.policy)
        print_json(
            {**facts, "config": str(config), "config_written": written, "shares": {}, "policy": policy}
        )
    else:
        typer.echo(f"{answer.agent} has joined {answer.installation} (epoch {answer.epoch}).")
        rows = [(kind, class_ or "nothing", 0) for kind, class_ in sorted(answer.policy.kinds.items())]
        table(rows, ("kind", "draws", "share"))
        verb = "wrote" if written else "kept"
        typer.echo(f"{verb} {config}; edit it, then: pbx-agent check-config, pbx-agent run")
    if missing:
        typer.echo(f"{config}: add an entry named {answer.agent} to pbxs", err=True)
