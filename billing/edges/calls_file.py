"""Calls of a CSV file beside a case: its columns are the fields of a call there, empty cells are left out."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from billing.edges.call_fields import CallFields, calls_columns
from runtime.config import ConfigError, ConfigErrors, text_of

MAX_BYTES: Final = 256 * 1024 * 1024


def read(path: Path) -> Sequence[CallFields]:
    """All calls of the file, or ConfigErrors with all lines that do not fit; nothing is taken then."""
    try:
        text = text_of(str(path), path.read_bytes(), MAX_BYTES)
    except OSError as error:
        raise ConfigErrors([_error(path, 1, "", f"cannot be read: {error.strerror}")]) from error
    found: list[CallFields] = []
    errors: list[ConfigError] = []
    for line, header, cells in _rows(path, text):
        if len(cells) > len(header):
            more = f"{len(cells)} cells for {len(header)} columns; is a decimal comma among them?"
            errors.append(_error(path, line, "", more))
            continue
        given = {name: cell for name, cell in zip(header, cells, strict=False) if cell}
        try:
            found.append(CallFields.model_validate(given))
        except ValidationError as wrong:
            for detail in wrong.errors():
                column = ".".join(map(str, detail["loc"]))
                errors.append(_error(path, line, column, detail["msg"].removeprefix("Value error, ")))
    if errors:
        raise ConfigErrors(errors)
    return found


def _rows(path: Path, text: str) -> Iterator[tuple[int, Sequence[str], Sequence[str]]]:
    """(line, columns, cells); a file that is no CSV or has other columns is refused as a whole."""
    lines = text.splitlines(keepends=True)
    delimiter = ";" if lines and ";" in lines[0] else ","
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    known = calls_columns()
    try:
        header = next(reader, [])
        if unknown := [name for name in header if name not in known or header.count(name) > 1]:
            right = f"expected each of these columns once at most: {', '.join(known)}"
            raise ConfigErrors([_error(path, 1, unknown[0], right)])
        for cells in reader:
            if any(cells):
                yield reader.line_num, header, cells
    except csv.Error as error:
        raise ConfigErrors([_error(path, reader.line_num, "", f"not CSV: {error}")]) from error


def _error(path: Path, line: int, column: str, message: str) -> ConfigError:
    return ConfigError(str(path), line, 1, column, message)
