"""The commands of `licence-master` by name."""

from collections.abc import Callable

from licence_master.cli import asking, files, ordering
from licence_master.cli.doctor import doctor
from runtime.cli import application

app = application("Owns the licences of an installation, lends them to the agents, and says why not.")
tokens = application("Tokens for the admin API.")
audit = application("The ledger's own integrity.")

_COMMANDS: dict[str, Callable[..., None]] = {
    "init": files.init,
    "serve": files.serve,
    "check-config": files.check_config,
    "doctor": doctor,
    "invite": ordering.invite,
    "agents": asking.agents,
    "revoke": ordering.revoke,
    "confirm-site": ordering.confirm_site,
    "release-site": ordering.release_site,
    "install": ordering.install,
    "remove": ordering.remove,
    "licences": asking.licences,
    "pools": asking.pools,
    "shares": asking.shares,
    "holders": asking.holders,
    "denials": asking.denials,
    "why": asking.why,
    "history": asking.history,
}
for name, command in _COMMANDS.items():
    app.command(name)(command)

tokens.command("make")(ordering.make_token)
tokens.command("list")(ordering.list_tokens)
tokens.command("end")(ordering.end_token)
app.add_typer(tokens, name="token")

audit.command("verify")(files.verify)
app.add_typer(audit, name="audit")
