"""The commands of `pbx-agent` by name; each one's module is imported when it is asked for."""

from runtime.cli import application

_ASKING = "agent.cli.asking"
_CALL_RECORDS = "agent.edges.cdr.commands"
_FIREWALL = "agent.edges.firewall.commands"
_SERVING = "agent.cli.serving"
_USING = "agent.edges.use_commands"

app = application(
    "Stands in front of a PBX and lends its registrations the licences of the master.",
    {
        "join": "agent.cli.joining:join",
        "run": f"{_SERVING}:run",
        "status": f"{_ASKING}:status",
        "check-config": f"{_SERVING}:check_config",
        "doctor": "agent.cli.examining:doctor",
        "check": "agent.edges.monitoring.command:plugin",
        "login": f"{_USING}:login",
        "logout": f"{_USING}:logout",
        "monitor": f"{_USING}:monitor",
        "unmonitor": f"{_USING}:unmonitor",
        "bypass": f"{_ASKING}:bypass",
        "stand-in": f"{_ASKING}:stand_in",
        "bye": f"{_ASKING}:bye",
        "hardware": "agent.edges.hardware:hardware",
    },
)
app.add_typer(
    application(
        "Brings phones that send to the PBX to the agent on the same host; needs root.",
        {
            "on": f"{_FIREWALL}:redirect_on",
            "off": f"{_FIREWALL}:redirect_off",
            "show": f"{_FIREWALL}:redirect_show",
        },
    ),
    name="redirect",
)
app.add_typer(
    application(
        "Brings phones that send to the agent past it to the PBX, even if it is dead; needs root.",
        {"on": f"{_FIREWALL}:aside_on", "off": f"{_FIREWALL}:aside_off", "show": f"{_FIREWALL}:aside_show"},
    ),
    name="aside",
)
app.add_typer(
    application(
        "Call records that are in the spool of a PBX.",
        {"export": f"{_CALL_RECORDS}:export", "replay": f"{_CALL_RECORDS}:replay"},
    ),
    name="cdr",
)
