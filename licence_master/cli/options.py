"""Options of commands that ask a master and of those that work on its files."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[Path, typer.Option("--config", help="The master's configuration.")]
InstallationOption = Annotated[
    str | None, typer.Option("--installation", help="May be left out when there is one.")
]
