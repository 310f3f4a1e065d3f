"""What the command lines share: exit codes, tables, --json, and errors on stderr.

Source: contract.md "Programs".
"""

import gc
import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import typer.main
from typer.core import TyperGroup

from runtime.config import ConfigErrors, ConfigModel, load
from runtime.escaping import escape

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


def application(help_text: str, commands: Mapping[str, str] | None = None, extra: str = "") -> typer.Typer:
    """A command line with sub-commands, shell completion, and plain tracebacks for surprises.

    `commands`: name to "module:function" (or an application of one command); a module is imported when its
    command is asked for. `extra`: what to install where a library of theirs is missing.
    """
    return typer.Typer(
        cls=_late(commands, extra) if commands else None,
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _late(commands: Mapping[str, str], extra: str) -> type[TyperGroup]:
    class Late(TyperGroup):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            named: dict[str, Any] = dict.fromkeys(commands)
            self.commands = {**named, **self.commands}

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if self.commands.get(cmd_name) is None and cmd_name in commands:
                self.commands[cmd_name] = _command(cmd_name, _imported(commands[cmd_name], extra))
            return super().get_command(ctx, cmd_name)

    return Late


def _command(name: str, found: Callable[..., None] | typer.Typer) -> Any:
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


def _imported(place: str, extra: str) -> Callable[..., None] | typer.Typer:
    module, _, name = place.partition(":")
    gc.disable()  # nothing of an import is garbage, and looking for it is a tenth of the time
    try:
        command: Callable[..., None] | typer.Typer = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not extra or missing == module.partition(".")[0]:
            raise
        fail(Exit.USAGE, f"{missing} is not installed; run: pip install 'pbx-licences[{extra}]'")
    finally:
        gc.enable()
    return command


def warn(message: str) -> None:
    """Write the message to stderr and go on."""
    typer.echo("\n".join(escape(line) for line in message.splitlines()), err=True)


def fail(code: Exit, message: str) -> NoReturn:
    """Write the message to stderr and leave with this code."""
    warn(message)
    raise typer.Exit(code)


def load_or_fail(path: Path, model: type[M], *, files: bool = False) -> M:
    """The configuration; or all its errors on stderr and exit code 2, with `files` of named files too."""
    try:
        return load(path, model, files=files)
    except ConfigErrors as errors:
        fail(Exit.USAGE, errors.report("nothing was started"))


def is_there(path: Path, code: Exit, advice: str) -> bool:
    """Whether a file is there; who may not look hears the advice, and the command ends with this code."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        fail(code, f"{path}: {error.strerror}; {advice}")
    return True


def print_json(value: object) -> None:
    """Write a value of dicts, lists, texts and numbers to stdout as indented JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[Cell]], columns: Sequence[str]) -> None:
    """Write an aligned table to stdout: numbers right, everything else left, None empty.

    A column of whole numbers is aligned right. Cells are shown as they are, never as markup.
    """
    from rich.console import Console  # a tenth of a command that shows no table
    from rich.table import Table
    from rich.text import Text

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
