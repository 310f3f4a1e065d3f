"""What the command lines share: exit codes, tables, --json, and errors on stderr.

Source: contract.md "Programs".
"""

import json
import sys
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime.config import ConfigErrors, ConfigModel, load
from runtime.logs import escape

M = TypeVar("M", bound=ConfigModel)
Cell = str | int | bool | None

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class Exit(IntEnum):
    """The exit codes of every command but `pbx-agent check`."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    BAD_DATA = 4


def application(help_text: str) -> typer.Typer:
    """A command line with sub-commands, shell completion, and plain tracebacks for surprises."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def fail(code: Exit, message: str) -> NoReturn:
    """Write the message to stderr and leave with this code."""
    typer.echo("\n".join(escape(line) for line in message.splitlines()), err=True)
    raise typer.Exit(code)


def load_or_fail(path: Path, model: type[M], *, files: bool = False) -> M:
    """The configuration; or all its errors on stderr and exit code 2, with `files` of named files too."""
    try:
        return load(path, model, files=files)
    except ConfigErrors as errors:
        fail(Exit.USAGE, errors.report("nothing was started"))


def print_json(value: object) -> None:
    """Write a value of dicts, lists, texts and numbers to stdout as indented JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[Cell]], columns: Sequence[str]) -> None:
    """Write an aligned table to stdout: numbers right, everything else left, None empty.

    A column of whole numbers is aligned right. Cells are shown as they are, never as markup.
    """
    grid = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        number = any(_is_number(row[index]) for row in rows)
        grid.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(_text(cell)) for cell in row))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # a pipe has no width: never cut a cell
    console.print(grid)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool)


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return escape(str(cell))
