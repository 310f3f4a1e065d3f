"""`pbx-agent`: the command line; `run` is the daemon, the other commands ask it or its files."""

import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from agent.config import AgentConfig
from agent.edges import use_commands
from agent.edges.cdr.commands import cdr_app
from agent.edges.firewall.commands import aside_app, redirect_app
from agent.edges.joining import Invitation, write_example
from agent.edges.joining import join as join_master
from agent.edges.local_client import NotRunningError, RefusedError, ask
from agent.edges.monitoring.command import Plugin, check
from agent.edges.status_table import alarm_table, observed_table, record_table, rejection_table, status_table
from agent.options import DEFAULT_CONFIG, ConfigOption, PbxOption
from agent.service.link import NoAnswerError
from agent.store import enrolment
from licensing import wire
from licensing.codes import Code
from runtime import daemon, logs
from runtime.activation import complaints
from runtime.cli import Exit, JsonFlag, application, fail, load_or_fail, print_json, table

DEFAULT_DATA = Path("/var/lib/pbx-agent")
DEFAULT_SOFTWARE = 13
DURATION = re.compile(r"(\d{1,6})([smhd])")
UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

app = application(
    "Stands in front of a PBX and lends its registrations the licences of the master.",
    {"hardware": "agent.edges.hardware:hardware"},
)

app.add_typer(redirect_app, name="redirect")
app.add_typer(aside_app, name="aside")


@app.command()
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


@app.command()
def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Serve the PBXs of agent.yaml until SIGTERM, which keeps the share.

    Example: pbx-agent run --config /etc/pbx-agent/agent.yaml
    """
    daemon.hasten()
    from agent.main import Main  # only here: no other command needs the daemon

    loaded = load_or_fail(config, AgentConfig, files=True)
    listeners = [endpoint.bound for entry in loaded.pbxs for endpoint in entry.sip.listen]
    amiss = [f"inherited socket {text}" for text in complaints(listeners)]
    if amiss:
        fail(Exit.USAGE, "\n".join([*amiss, "make pbx-agent.socket and sip.listen of agent.yaml agree"]))
    for entry in loaded.pbxs:
        try:
            enrolment.load(loaded.data / entry.name)
        except enrolment.NotEnrolledError as error:
            fail(Exit.USAGE, str(error))
    logs.configure()
    main = Main(loaded)
    daemon.run(main.run, reload=main.reload)


@app.command()
def status(config: ConfigOption = DEFAULT_CONFIG, pbx: PbxOption = None, as_json: JsonFlag = False) -> None:
    """Show the shares, what they are used for, and what is wrong.

    Example: pbx-agent status --json
    """
    answer = _ask(config, "/status")
    answer["pbxs"] = [entry for entry in answer["pbxs"] if pbx in (None, entry["name"])]
    if not answer["pbxs"]:
        fail(Exit.USAGE, f"no PBX named {pbx} in this agent")
    _show(answer, as_json)


@app.command("check-config")
def check_config(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonFlag = False) -> None:
    """Check agent.yaml: all its errors at once, with line and column; starts nothing.

    Example: pbx-agent check-config --config ./agent.yaml
    """
    loaded = load_or_fail(config, AgentConfig, files=True)
    if as_json:
        print_json({"ok": True, "pbxs": [entry.name for entry in loaded.pbxs]})
        return
    rows = [
        (e.name, e.software, " ".join(map(str, e.sip.listen)), str(e.sip.pbx), len(e.objects))
        for e in loaded.pbxs
    ]
    table(rows, ("pbx", "software", "listens", "forwards to", "object rows"))
    typer.echo(f"{config}: ok")


@app.command()
def doctor(
    config: ConfigOption = DEFAULT_CONFIG,
    dns: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Ask this DNS server.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Test what a file cannot tell: PBX, Path, master, pin, clock, disk, DNS, redirect, objects never seen.

    Example: pbx-agent doctor --dns 192.0.2.53
    """
    # Not for the daemon to carry: what looks names up.
    from agent.edges.doctor.examination import examine
    from agent.edges.names import Names, address_of

    try:
        names = Names(address_of(dns) if dns is not None else None)
    except ValueError as error:
        fail(Exit.USAGE, f"--dns: {error}")
    findings = list(examine(load_or_fail(config, AgentConfig), names))
    if as_json:
        print_json({"checks": [finding.as_json() for finding in findings]})
    else:
        table(
            [(f.state, f.pbx or "-", f.check, f.detail, f.hint) for f in findings],
            ("state", "pbx", "check", "found", "what would help"),
        )
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(Exit.REFUSED)


app.command(cls=Plugin)(check)
use_commands.add_to(app)
app.add_typer(cdr_app, name="cdr")


@app.command()
def bypass(
    for_: Annotated[str, typer.Option("--for", metavar="4h", help="How long: 30m, 4h, 1d.")] = "",
    off: Annotated[bool, typer.Option("--off", help="End the bypass now.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Let every registration through for a while, loudly; needs no master, and is reported to it.

    Example: pbx-agent bypass --for 4h
    """
    match = DURATION.fullmatch(for_)
    if bool(match) == off:
        fail(Exit.USAGE, "write either --for with a time such as 30m, 4h or 1d, or --off")
    seconds = int(match[1]) * UNIT_S[match[2]] if match else 0
    _show(_ask(config, "/bypass", {"for_s": seconds, "pbx": pbx}), as_json)


@app.command()
def stand_in(
    home: Annotated[str, typer.Argument(metavar="PBX", help="The PBX that failed.")],
    end: Annotated[bool, typer.Option("--end", help="It is in service again.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Let the phones of a failed PBX draw Standby here, when the master is lost with it; --end ends it.

    While the master can be reached, say it there: licence-master fail PBX.

    Example: pbx-agent stand-in hq
    """
    _show(_ask(config, "/stand-in", {"home": home, "end": end, "pbx": pbx}), as_json)


@app.command()
def bye(config: ConfigOption = DEFAULT_CONFIG, pbx: PbxOption = None, as_json: JsonFlag = False) -> None:
    """Give the whole share back to the master and stop the agent (SIGTERM would keep it).

    Example: pbx-agent bye
    """
    _show(_ask(config, "/bye", {"pbx": pbx}), as_json)


def _ask(config: Path, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = load_or_fail(config, AgentConfig).data
    try:
        return ask(data, path, body)
    except NotRunningError as error:
        fail(Exit.UNREACHABLE, str(error))
    except RefusedError as error:
        fail(Exit.REFUSED, str(error))


def _show(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    table(*status_table(answer))
    tables = (observed_table(answer), record_table(answer), rejection_table(answer), alarm_table(answer))
    for rows, columns in tables:
        if rows:
            typer.echo()
            table(rows, columns)
