"""Licence inventories: YAML with a `licences:` list, or CSV with the columns type, count, place, mac.

An inventory is unsigned and is recorded as the administrator's statement (contract "Licence inventory").
"""

import csv
import hashlib
import io
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from runtime.config import ConfigError, ConfigErrors, ConfigModel, parse

MAX_BYTES = 1_048_576
MAX_COUNT = 1_000_000
COLUMNS = ("type", "count", "place", "mac")


class LicenceRow(ConfigModel):
    """`count` units of a licence type, at a place (none: the master), bound to a MAC or not."""

    type: str
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    place: str | None = None
    mac: str | None = None


class _Inventory(ConfigModel):
    licences: Annotated[tuple[LicenceRow, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Inventory:
    """One file as it was read; `digest` (SHA-256, hex) tells the same bytes apart from new ones."""

    name: str
    digest: str
    rows: tuple[LicenceRow, ...]


def read(name: str, content: bytes) -> Inventory:
    """The inventory in these bytes; ConfigErrors names every line that does not fit."""
    if len(content) > MAX_BYTES:
        raise _wrong(name, 1, "", f"larger than {MAX_BYTES} bytes; split the file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(name, 1 + content.count(b"\n", 0, error.start), "", "not UTF-8 text") from error
    rows = _csv(name, text) if name.lower().endswith(".csv") else parse(text, name, _Inventory).licences
    return Inventory(name, hashlib.sha256(content).hexdigest(), rows)


def _csv(name: str, text: str) -> tuple[LicenceRow, ...]:
    first = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text), delimiter=";" if ";" in first else ",", restkey="", strict=True
    )
    unknown = [column for column in reader.fieldnames or [] if column not in COLUMNS]
    if unknown or not {"type", "count"} <= set(reader.fieldnames or []):
        raise _wrong(name, 1, "", f"the columns are {','.join(COLUMNS)} (place and mac may be left out)")
    rows, errors = [], []
    try:
        for cells in reader:
            line = reader.line_num
            row = _row(cells)
            if isinstance(row, LicenceRow):
                rows.append(row)
            else:
                errors.append(ConfigError(name, line, 1, row[0], row[1]))
    except csv.Error as error:
        errors.append(ConfigError(name, reader.line_num, 1, "", f"not CSV: {error}"))
    if not rows and not errors:
        errors.append(ConfigError(name, 1, 1, "", "no licence rows"))
    if errors:
        raise ConfigErrors(errors)
    return tuple(rows)


def _row(cells: dict[str, str | None]) -> LicenceRow | tuple[str, str]:
    """The row, or (column, what is wrong with it)."""
    if "" in cells:
        return "", "more cells than columns"
    values = {column: (cells.get(column) or "").strip() for column in COLUMNS}
    if not values["type"]:
        return "type", "expected a licence type, for example PBX-Port13"
    count = values["count"]
    if not (count.isascii() and count.isdigit() and 0 < int(count) <= MAX_COUNT):
        return "count", f'expected a whole number from 1 to {MAX_COUNT}, found "{count}"'
    return LicenceRow(
        type=values["type"],
        count=int(count),
        place=values["place"] or None,
        mac=values["mac"] or None,
    )


def _wrong(name: str, line: int, field: str, message: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(name, line, 1, field, message)])
