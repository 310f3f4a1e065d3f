"""`licence-master`: one module per kind of command."""

from licence_master.cli.commands import app

__all__ = ["app"]
