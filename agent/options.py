"""Options that several commands of `pbx-agent` share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("/etc/pbx-agent/agent.yaml")

ConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The agent.yaml to use.")]
PbxOption = Annotated[str | None, typer.Option("--pbx", metavar="NAME", help="Only this PBX.")]
