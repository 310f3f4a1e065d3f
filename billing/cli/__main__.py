"""`python -m billing.cli` is `pbx-billing`."""

from billing.cli.commands import app

app(prog_name="pbx-billing")
