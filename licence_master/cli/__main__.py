"""`python -m licence_master.cli` is `licence-master`."""

from licence_master.cli.commands import app

app(prog_name="licence-master")
