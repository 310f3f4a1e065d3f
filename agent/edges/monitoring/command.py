"""The command `pbx-agent check`."""

from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from agent.config import AgentConfig
from agent.edges.local_client import NotAllowedError, NotRunningError, RefusedError, ask
from agent.edges.monitoring.judgement import CRITICAL, WARNING, Report, State, judge, unjudged
from agent.edges.monitoring.threshold import thresholds
from agent.options import DEFAULT_CONFIG, ConfigOption, PbxOption
from runtime.cli import JsonFlag, print_json
from runtime.config import ConfigErrors, load


class Plugin(TyperCommand):
    """A command whose usage errors are no CRITICAL: 2 means that to monitoring systems."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave with UNKNOWN, said on stdout, when the words do not fit."""
        as_json = "--json" in args  # parsing takes them away
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            _leave(unjudged(State.UNKNOWN, error.format_message()), as_json)


plugin = typer.Typer(rich_markup_mode=None, add_completion=False)


@plugin.command("check", cls=Plugin)
def check(
    warning: Annotated[list[str], typer.Option("--warning", "-w", metavar="[METRIC=]RANGE")] = [],  # noqa: B006
    critical: Annotated[list[str], typer.Option("--critical", "-c", metavar="[METRIC=]RANGE")] = [],  # noqa: B006
    timeout_s: Annotated[float, typer.Option("--timeout", "-t", help="Seconds to wait.", min=0.1)] = 10.0,
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Say how the agent is, as a monitoring plug-in: exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

    A RANGE is what is right, as plug-ins write it. METRIC is free (units for newcomers, also in percent of
    the share), away (seconds without the master) or surplus (registrations without a unit); free if left out.
    Unless told otherwise: -w free=1: -w away=300 -w surplus=0 -c away=86400.

    Example: pbx-agent check -w 10%: -c 1: -c away=3600
    """
    try:
        ranges = thresholds(warning, WARNING), thresholds(critical, CRITICAL)
        status = ask(load(config, AgentConfig).data, "/status", timeout_s=timeout_s)
    except (ValueError, ConfigErrors, NotAllowedError, RefusedError) as error:
        _leave(unjudged(State.UNKNOWN, str(error)), as_json)
    except NotRunningError as error:
        _leave(unjudged(State.CRITICAL, str(error)), as_json)
    status["pbxs"] = [entry for entry in status["pbxs"] if pbx in (None, entry["name"])]
    if not status["pbxs"]:
        _leave(unjudged(State.UNKNOWN, f"no PBX named {pbx} in this agent"), as_json)
    _leave(judge(status, *ranges), as_json)


def _leave(report: Report, as_json: bool) -> NoReturn:
    """Say it on stdout, where monitoring systems read."""
    if as_json:
        print_json(report.as_json())
    else:
        typer.echo(str(report))
    raise typer.Exit(report.state)
