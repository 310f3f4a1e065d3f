"""`pbx-agent join`: the line that the master printed makes an enrolled agent, and its first agent.yaml."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from agent.config import AgentConfig
from agent.edges.joining import Invitation, OtherPbxError, try_place, write_example
from agent.edges.joining import join as join_master
from agent.options import DEFAULT_CONFIG, ConfigOption
from agent.service.link import NoAnswerError
from licensing import wire
from licensing.codes import Code
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json, table

DEFAULT_DATA = Path("/var/lib/pbx-agent")
DEFAULT_SOFTWARE = 13

MISMATCH_ADVICE = (
    "Compare both with the line that `licence-master invite` prints now; "
    "if nobody changed the key on purpose, do not join: somebody else answers at this address."
)


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
    known = _known(config)
    place = data or (known.data if known else DEFAULT_DATA)
    software = software or _configured_software(known, pbx) or DEFAULT_SOFTWARE
    try:
        answer = join_master(Invitation(url.rstrip("/"), token, pin), place, software, pbx)
    except NoAnswerError as error:
        _fail_unanswered(error)
    except OtherPbxError as error:
        _fail_as_another(error.invited, pbx)
    except OSError as error:
        fail(Exit.BAD_DATA, f"{place}: {error}")
    if isinstance(answer, wire.Problem):
        fail(Exit.REFUSED, f"{answer.code}: {answer.title}. {answer.detail} {answer.hint}".rstrip())
    written = _written(config, answer.agent, place.absolute(), software)
    missing = known is not None and all(entry.name != answer.agent for entry in known.pbxs)
    notes = [f"{config}: add an entry named {answer.agent} to pbxs"] if missing else []
    _report_joined(answer, config, written, notes, as_json)


def _known(config: Path) -> AgentConfig | None:
    """The configuration that is there; where there is none it must be possible to write one."""
    try:
        if config.exists():
            return load_or_fail(config, AgentConfig)
        try_place(config)
    except OSError as error:
        trouble = f"{config}: {error.strerror}: it is not there and cannot be written; nothing was sent"
        fail(Exit.BAD_DATA, f"{trouble}. Let root put one there, or name another place with --config")
    return None


def _written(config: Path, pbx: str, data: Path, software: int) -> bool:
    """Whether there was none yet; one that cannot be written any more does not undo that this PBX joined."""
    try:
        return write_example(config, pbx, data, software)
    except OSError as error:
        trouble = f"{pbx} has joined; {config} could not be written: {error.strerror}"
        fail(
            Exit.BAD_DATA,
            f"{trouble}; write it by hand (data: {data}, an entry named {pbx} in pbxs; docs/contract.md)",
        )


def _fail_unanswered(error: NoAnswerError) -> NoReturn:
    if error.code is Code.PIN_MISMATCH:
        fail(Exit.REFUSED, f"{error.code}: {error}. {MISMATCH_ADVICE}")
    fail(Exit.UNREACHABLE, f"{error.code}: {error}")


def _fail_as_another(invited: str, expected: str | None) -> NoReturn:
    """The token is spent: the master counts a PBX as joined whose key is gone."""
    fail(
        Exit.REFUSED,
        f"this was the invitation of {invited}, not of {expected}: nothing was kept here, and it is used up. "
        f"At the master: licence-master revoke {invited}, and licence-master invite --pbx {invited} "
        f"for its own agent; then paste here what licence-master invite --pbx {expected} prints",
    )


def _configured_software(known: AgentConfig | None, pbx: str | None) -> int | None:
    entries = [entry for entry in known.pbxs if pbx in (None, entry.name)] if known else []
    return entries[0].software if len(entries) == 1 else None


def _report_joined(
    answer: wire.Enrolled, config: Path, written: bool, notes: Sequence[str], as_json: bool
) -> None:
    if as_json:
        facts = {"pbx": answer.agent, "installation": answer.installation, "epoch": answer.epoch}
        policy = msgspec.to_builtins(answer.policy)
        place = {"config": str(config), "config_written": written}
        print_json({**facts, **place, "shares": {}, "policy": policy, "notes": list(notes)})
    else:
        typer.echo(f"{answer.agent} has joined {answer.installation} (epoch {answer.epoch}).")
        rows = [(kind, class_ or "nothing", 0) for kind, class_ in sorted(answer.policy.kinds.items())]
        table(rows, ("kind", "draws", "share"))
        verb = "wrote" if written else "kept"
        typer.echo(f"{verb} {config}; edit it, then: pbx-agent check-config, pbx-agent run")
        typer.echo("an agent that runs already does not know of this: restart it")
    for note in notes:
        typer.echo(note, err=True)
