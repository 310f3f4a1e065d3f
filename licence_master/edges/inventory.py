"""Licence inventories: YAML with a `licences:` list, CSV, or the vendor's XML.

An inventory is recorded as the administrator's statement (contract "Licence inventory"): YAML and CSV are
unsigned, and the vendor's signature cannot be checked here.
"""

import csv
import hashlib
import io
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from licence_master.edges import vendor_xml
from licence_master.edges.rows import MAX_COUNT, LicenceRow
from runtime.config import ConfigError, ConfigErrors, ConfigModel, parse, text_of

MAX_BYTES = 1_048_576
COLUMNS = ("type", "count", "place", "mac", "project")


class _Inventory(ConfigModel):
    licences: Annotated[tuple[LicenceRow, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Inventory:
    """One file as it was read; `digest` (SHA-256, hex) tells the same bytes apart from new ones."""

    name: str
    digest: str
    rows: tuple[LicenceRow, ...]
    vendor: bool = False


def read(name: str, content: bytes) -> Inventory:
    """The inventory in these bytes; ConfigErrors names every line that does not fit."""
    text = text_of(name, content, MAX_BYTES)
    digest = hashlib.sha256(content).hexdigest()
    if text.lstrip().startswith("<"):
        return Inventory(name, digest, vendor_xml.read(name, content), vendor=True)
    rows = _csv(name, text) if name.lower().endswith(".csv") else parse(text, name, _Inventory).licences
    return Inventory(name, digest, rows)


def is_signed(name: str, content: bytes) -> bool:
    """Whether a file is, or was meant to be, one of our signed ones."""
    return name.lower().endswith(".licence") or b"PBX LICENCE" in content


def _csv(name: str, text: str) -> tuple[LicenceRow, ...]:
    first = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text), delimiter=";" if ";" in first else ",", restkey="", strict=True
    )
    unknown = [column for column in reader.fieldnames or [] if column not in COLUMNS]
    if unknown or not {"type", "count"} <= set(reader.fieldnames or []):
        raise _wrong(
            name, 1, "", f"the columns are {','.join(COLUMNS)} (all but type and count may be left out)"
        )
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
        project=values["project"][:100],
    )


def _wrong(name: str, line: int, field: str, message: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(name, line, 1, field, message)])
