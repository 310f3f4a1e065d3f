"""`pbx-agent run`, which is the daemon, and `check-config`, which starts nothing."""

from pathlib import Path

import typer

from agent.config import AgentConfig
from agent.edges import belongings
from agent.options import DEFAULT_CONFIG, ConfigOption
from agent.store.enrolment import NotEnrolledError
from runtime import daemon, logs
from runtime.activation import complaints
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json, table


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
        _check_belongings(loaded.data / entry.name)
    logs.configure()
    main = Main(loaded)
    daemon.run(main.run, reload=main.reload)


def _check_belongings(directory: Path) -> None:
    """What only an administrator can mend is said in one line, not in the log."""
    try:
        belongings.enrolled(directory)
        belongings.examine(directory)
    except (NotEnrolledError, belongings.OutOfReachError) as error:
        fail(Exit.USAGE, str(error))
    except belongings.UnusableError as error:
        fail(Exit.BAD_DATA, str(error))


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
