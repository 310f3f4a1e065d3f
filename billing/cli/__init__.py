"""`pbx-billing`: one module per kind of command."""

from billing.cli.commands import app

__all__ = ["app"]
