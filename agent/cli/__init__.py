"""`pbx-agent`: one module per kind of command."""

from agent.cli.commands import app

__all__ = ["app"]
