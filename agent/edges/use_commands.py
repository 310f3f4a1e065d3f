"""`pbx-agent login`, `logout`, `monitor` and `unmonitor`: what Windows clients take, and give back."""

from pathlib import Path
from typing import Annotated, Any

import typer

from agent.config import AgentConfig
from agent.edges.local_client import NotRunningError, RefusedError, ask
from agent.options import DEFAULT_CONFIG, ConfigOption, PbxOption
from licensing.offers import QUEUE_MONITOR
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json

LicenceArgument = Annotated[
    str, typer.Argument(metavar="LICENCE", help="operator, or another licence that is taken per login.")
]
LicenceOption = Annotated[
    str, typer.Option("--licence", metavar="NAME", help="Another licence that is taken per watched queue.")
]
UserOption = Annotated[str, typer.Option(metavar="NAME", help="The user of the client.")]
OwnSoftware = Annotated[
    int, typer.Option("--software", metavar="N", min=1, max=999, help="Release of the client itself.")
]
DeviceOption = Annotated[
    str, typer.Option("--client", metavar="NAME", help="Tells two clients of one user apart.")
]
ClientOption = Annotated[str, typer.Option("--client", metavar="NAME", help="The PC of the client.")]
QueueArgument = Annotated[str, typer.Argument(metavar="QUEUE", help="The waiting queue.")]


def login(
    licence: LicenceArgument,
    user: UserOption,
    software: OwnSoftware,
    client: DeviceOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Log a client in, as Operator or otherwise: one licence until it logs out, also across a restart.

    Example: pbx-agent login operator --user anna --software 13
    """
    asked = {"licence": licence, "user": user, "software": software, "client": client, "pbx": pbx}
    _begin(config, "/login", asked, f"{user} is logged in", as_json)


def logout(
    licence: LicenceArgument,
    user: UserOption,
    client: DeviceOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Log a client out, or one that has vanished: its licence is free again.

    Example: pbx-agent logout operator --user anna
    """
    asked = {"licence": licence, "user": user, "client": client, "pbx": pbx}
    _end(config, "/logout", asked, f"{user} is logged out", f"{user} was not logged in", as_json)


def monitor(
    queue: QueueArgument,
    client: ClientOption,
    software: OwnSoftware,
    licence: LicenceOption = QUEUE_MONITOR,
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Let a client watch a queue: one licence for the queue, however many clients watch it.

    Example: pbx-agent monitor support --client pc7 --software 13
    """
    asked = {"licence": licence, "queue": queue, "client": client, "software": software, "pbx": pbx}
    _begin(config, "/monitor", asked, f"{client} watches {queue}", as_json)


def unmonitor(
    queue: QueueArgument,
    client: ClientOption,
    licence: LicenceOption = QUEUE_MONITOR,
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """End that a client watches a queue; with the last client the licence is free again.

    Example: pbx-agent unmonitor support --client pc7
    """
    asked = {"licence": licence, "queue": queue, "client": client, "pbx": pbx}
    done, nothing = f"{client} watches {queue} no more", f"{client} did not watch {queue}"
    _end(config, "/unmonitor", asked, done, nothing, as_json)


def _begin(config: Path, path: str, asked: dict[str, Any], done: str, as_json: bool) -> None:
    answer = _ask(config, path, asked, as_json)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{done} at {answer['pbx']}")


def _end(config: Path, path: str, asked: dict[str, Any], done: str, nothing: str, as_json: bool) -> None:
    answer = _ask(config, path, asked, as_json)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"{done if answer['ended'] else nothing} at {answer['pbx']}")


def _ask(config: Path, path: str, asked: dict[str, Any], as_json: bool) -> dict[str, Any]:
    data = load_or_fail(config, AgentConfig).data
    try:
        return ask(data, path, asked)
    except NotRunningError as error:
        fail(Exit.UNREACHABLE, str(error))
    except RefusedError as error:
        code = error.answer.get("code")
        if code is None:
            fail(Exit.USAGE, str(error))
        if as_json:
            print_json({key: value for key, value in error.answer.items() if key != "status"})
        fail(Exit.REFUSED, f"{code}: {error}. {error.answer['hint']}")
