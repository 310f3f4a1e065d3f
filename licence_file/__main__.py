"""`python -m licence_file` is `licence-file`."""

from licence_file.cli import app

app(prog_name="licence-file")
