"""Tariff files, and what is wrong with them as errors of a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from billing.core import tariff_text
from billing.core.tariff import Problem, Row
from billing.core.tariff_text import TariffProblems
from runtime.config import ConfigError, ConfigErrors, text_of

MAX_BYTES: Final = 64 * 1024 * 1024

Read = Callable[[Path], bytes]
"""How the content of a named file is had: from the disk, or as it once stood there. OSError."""


def read(path: Path, read_bytes: Read = Path.read_bytes) -> tuple[Row, ...]:
    """The rows of a CSV file; ConfigErrors names all lines that do not fit, and nothing is loaded."""
    try:
        content = read_bytes(path)
    except OSError as error:
        raise ConfigErrors([ConfigError(str(path), 1, 1, "", f"cannot be read: {error.strerror}")]) from error
    try:
        return tariff_text.rows_of_csv(text_of(str(path), content, MAX_BYTES), str(path))
    except TariffProblems as wrong:
        raise ConfigErrors([error_of(problem) for problem in wrong.problems]) from wrong


def error_of(problem: Problem) -> ConfigError:
    """A problem of a row at its place."""
    file, _, line = problem.place.rpartition(":")
    return ConfigError(file, int(line), 1, problem.column, problem.message)
