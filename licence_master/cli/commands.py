"""The commands of `licence-master` by name; each one's module is imported when it is asked for."""

from runtime.cli import application

_ASKING = "licence_master.cli.asking"
_CALLS = "licence_master.cli.calls"
_ASSIGNING = "licence_master.cli.assigning"
_FILES = "licence_master.cli.files"
_ORDERING = "licence_master.cli.ordering"
_PAYING = "licence_master.cli.paying"
_PEOPLE = "licence_master.cli.people"
_SAFEKEEPING = "licence_master.cli.safekeeping"
_SIMULATING = "licence_master.cli.simulating"
_USING = "licence_master.cli.using"
_TERMS = "licence_master.cli.terms"

app = application(
    "Owns the licences of an installation, lends them to the agents, and says why not.",
    {
        "init": f"{_FILES}:init",
        "serve": f"{_FILES}:serve",
        "check-config": f"{_FILES}:check_config",
        "doctor": "licence_master.cli.doctor:doctor",
        "invite": f"{_ORDERING}:invite",
        "agents": f"{_ASKING}:agents",
        "revoke": f"{_ORDERING}:revoke",
        "confirm-site": f"{_ORDERING}:confirm_site",
        "release-site": f"{_ORDERING}:release_site",
        "install": f"{_ORDERING}:install",
        "remove": f"{_ORDERING}:remove",
        "convert": f"{_ORDERING}:convert",
        "transfer": f"{_ORDERING}:transfer",
        "fail": f"{_ORDERING}:fail",
        "recover": f"{_ORDERING}:recover",
        "assign": f"{_ASSIGNING}:assign",
        "unassign": f"{_ASSIGNING}:unassign",
        "assignments": f"{_ASSIGNING}:assignments",
        "licences": f"{_ASKING}:licences",
        "pools": f"{_ASKING}:pools",
        "shares": f"{_ASKING}:shares",
        "holders": f"{_ASKING}:holders",
        "denials": f"{_ASKING}:denials",
        "why": f"{_ASKING}:why",
        "history": f"{_ASKING}:history",
        "simulate": f"{_SIMULATING}:simulate",
        "what-if": f"{_SIMULATING}:what_if",
        "usage": f"{_USING}:usage",
        "terms": f"{_TERMS}:terms",
        "backup": f"{_SAFEKEEPING}:backup",
        "restore": f"{_SAFEKEEPING}:restore",
    },
)
app.add_typer(
    application(
        "Tokens for the admin API.",
        {
            "make": f"{_ORDERING}:make_token",
            "list": f"{_ORDERING}:list_tokens",
            "end": f"{_ORDERING}:end_token",
        },
    ),
    name="token",
)
app.add_typer(
    application(
        "People who sign in at the admin API with a password.",
        {
            "add": f"{_PEOPLE}:add",
            "password": f"{_PEOPLE}:password",
            "remove": f"{_PEOPLE}:remove",
            "list": f"{_PEOPLE}:list_users",
        },
    ),
    name="user",
)
app.add_typer(
    application(
        "Software service agreements: what is under one, until when, and what it entitles to.",
        {
            "list": f"{_TERMS}:list_lots",
            "start": f"{_TERMS}:start",
            "prolong": f"{_TERMS}:prolong",
            "auto": f"{_TERMS}:set_auto",
            "end": f"{_TERMS}:end",
            "rights": f"{_TERMS}:rights",
            "upgrade": f"{_TERMS}:upgrade",
            "offers": f"{_TERMS}:offers",
            "confirm": f"{_TERMS}:confirm",
        },
    ),
    name="ssa",
)
app.add_typer(
    application(
        "SSC, which pay SSA, and iSC, which pay rent.",
        {
            "list": f"{_PAYING}:list_credits",
            "add": f"{_PAYING}:add_credits",
            "take": f"{_PAYING}:take_credits",
            "set": f"{_PAYING}:set_credits",
        },
    ),
    name="credits",
)
app.add_typer(
    application(
        "Rented software licences.",
        {
            "list": f"{_PAYING}:list_rent",
            "start": f"{_PAYING}:start_rent",
            "end": f"{_PAYING}:end_rent",
        },
    ),
    name="rent",
)
app.add_typer(
    application(
        "The device register and its warranties.",
        {
            "list": f"{_PAYING}:list_devices",
            "add": f"{_PAYING}:add_device",
            "extend": f"{_PAYING}:extend_device",
            "remove": f"{_PAYING}:remove_device",
        },
    ),
    name="devices",
)
app.add_typer(
    application(
        "Call records: exports, what was put aside, what is missing, the archive.",
        {
            "export": f"{_CALLS}:export",
            "quarantine": f"{_CALLS}:quarantine",
            "gaps": f"{_CALLS}:gaps",
            "archive": f"{_CALLS}:archive",
        },
    ),
    name="cdr",
)
app.add_typer(application("The ledger's own integrity.", {"verify": f"{_FILES}:verify"}), name="audit")
