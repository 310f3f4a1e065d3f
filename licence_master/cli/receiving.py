"""Files that come from a master: a progress bar, and a file that is there whole or not at all."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from runtime.files import sync_directory


@contextmanager
def bar(what: str, *, rows: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for whoever watches a terminal: call it with done and total, bytes or rows."""
    count = MofNCompleteColumn() if rows else DownloadColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that only its owner reads, durable at the end."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def arriving(path: Path) -> Iterator[Path]:
    """The name under which a file arrives; once all is done it is there as `path`, and replaces nothing.

    FileExistsError, NotADirectoryError before anything is asked for.
    """
    partial = path.with_name(f".{path.name}.partial")
    if path.exists():
        raise FileExistsError(0, "", str(path))
    if not path.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent))
    partial.unlink(missing_ok=True)
    try:
        yield partial
        os.link(partial, path)  # unlike a rename it replaces nothing
    finally:
        partial.unlink(missing_ok=True)
    sync_directory(path.parent)
