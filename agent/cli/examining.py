"""`pbx-agent doctor`: what a configuration file cannot show."""

from typing import Annotated

import typer

from agent.config import AgentConfig
from agent.edges.doctor.examination import examine
from agent.edges.names import Names, address_of
from agent.options import DEFAULT_CONFIG, ConfigOption
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json, table


def doctor(
    config: ConfigOption = DEFAULT_CONFIG,
    dns: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Ask this DNS server.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Test what a file cannot tell: PBX, Path, master, pin, clock, disk, DNS, redirect, objects never seen.

    Example: pbx-agent doctor --dns 192.0.2.53
    """
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
