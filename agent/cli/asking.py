"""Commands that ask the running agent, or tell it: status, bypass, stand-in, bye."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.config import AgentConfig
from agent.edges.local_client import MAX_BYPASS_S, NotRunningError, RefusedError, ask
from agent.edges.status_table import alarm_table, observed_table, record_table, rejection_table, status_table
from agent.options import DEFAULT_CONFIG, ConfigOption, PbxOption
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json, table

DURATION = re.compile(r"(\d{1,6})([smhd])")
UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def status(config: ConfigOption = DEFAULT_CONFIG, pbx: PbxOption = None, as_json: JsonFlag = False) -> None:
    """Show the shares, what they are used for, and what is wrong.

    Example: pbx-agent status --json
    """
    answer = _ask(config, "/status")
    answer["pbxs"] = [entry for entry in answer["pbxs"] if pbx in (None, entry["name"])]
    if not answer["pbxs"]:
        fail(Exit.USAGE, f"no PBX named {pbx} in this agent")
    _show(answer, as_json)


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
    if seconds > MAX_BYPASS_S:
        fail(Exit.USAGE, f"--for: found {for_}; write at most {MAX_BYPASS_S // UNIT_S['d']}d")
    _show(_ask(config, "/bypass", {"for_s": seconds, "pbx": pbx}), as_json)


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
        if error.answer.get("status") == HTTPStatus.NOT_FOUND:
            fail(Exit.USAGE, f"no PBX named {(body or {}).get('pbx')} in this agent")
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
