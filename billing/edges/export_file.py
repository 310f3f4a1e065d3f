"""Exports of call records as a master or an agent writes them: CSV or JSON Lines (telephony.cdr.columns).

Columns may stand in any order and `raw` may be left out; a row that is no record does not hide the others.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from billing.service.taking import Unreadable
from runtime.config import ConfigError, ConfigErrors, text_of
from telephony.cdr.columns import COLUMNS, RAW, Column, Holds
from telephony.cdr.record import Cdr, Direction, Kind

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_INSTANT_MS: Final = 253_402_000_000_000
"""Of the year 9999."""
_NEEDED: Final = tuple(column for column in COLUMNS if column.name != RAW)
_NAMES: Final = tuple(column.name for column in COLUMNS)


def read(path: Path) -> Iterator[Cdr | Unreadable]:
    """The rows of a file; ConfigErrors where it is no export at all."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _error(path, "", f"cannot be read: {error.strerror}") from error
    text = text_of(str(path), content, MAX_BYTES)
    rows = _json_lines(path, text) if text.lstrip()[:1] == "{" else _csv(path, text)
    return map(_record, rows)


Row = tuple[str, str, Mapping[str, Any] | str]
"""Where it stands, its text, and its cells or why it has none."""


def _csv(path: Path, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, [])
    unknown = [name for name in header if name not in _NAMES]
    missing = [column.name for column in _NEEDED if column.name not in header]
    if unknown or missing or len(set(header)) != len(header):
        name = (unknown or missing or ["twice"])[0]
        what = "unknown column" if unknown else "missing column" if missing else "a column is there twice"
        raise _error(path, name, f"{what}; an export has {', '.join(_NAMES)}")
    return _csv_rows(path, reader, header)


def _csv_rows(path: Path, reader: Any, header: list[str]) -> Iterator[Row]:
    while True:
        place = f"{path}:{reader.line_num + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield place, "", f"not CSV: {error}"
            continue
        if cells is None:
            return
        if not cells:
            continue
        text = ",".join(cells)
        if len(cells) != len(header):
            yield place, text, f"expected {len(header)} cells, found {len(cells)}"
            continue
        yield place, text, dict(zip(header, cells, strict=True))


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            yield f"{path}:{number}", line, f"not JSON: {error.msg}"
            continue
        yield f"{path}:{number}", line, value if isinstance(value, dict) else "expected an object"


def _record(row: Row) -> Cdr | Unreadable:
    place, text, cells = row
    if isinstance(cells, str):
        return Unreadable(place, cells, text[:2_000])
    try:
        given = {column.name: _value(column, cells) for column in _NEEDED}
        given["direction"] = _one_of(Direction, "direction", given["direction"])
        given["kind"] = _one_of(Kind, "kind", given["kind"])
    except ValueError as error:
        return Unreadable(place, str(error), text[:2_000])
    return Cdr(**given, raw=b"")  # type: ignore[arg-type] # the columns are those of the record


def _value(column: Column, cells: Mapping[str, Any]) -> str | int | None:
    if column.name not in cells:
        raise ValueError(f"{column.name}: missing")
    value = cells[column.name]
    if column.holds is Holds.TEXT:
        if not isinstance(value, str):
            raise ValueError(f"{column.name}: expected a text, found {str(value)[:40]}")
        return value
    if column.optional and value in (None, ""):
        return None
    number = value if isinstance(value, int) and not isinstance(value, bool) else _digits(value)
    if number is None or not 0 <= number <= MAX_INSTANT_MS:
        raise ValueError(f'{column.name}: expected a whole number, found "{str(value)[:40]}"')
    return number


def _digits(value: object) -> int | None:
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16
    return int(str(value)) if is_number else None


def _one_of(known: Any, name: str, value: object) -> Any:
    words: list[Any] = [each.value for each in known]
    if value not in words:
        raise ValueError(f'{name}: expected {", ".join(words)}, found "{str(value)[:40]}"')
    return known(value)


def _error(path: Path, name: str, message: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(str(path), 1, 1, name, message)])
