"""Assignments as a file: CSV with the columns object, pbx, kind, licence, uses, or YAML with the same keys.

The same file is read by `assign --file`, by the API and by master.yaml, and written by `assignments`; what
was written is read and written again byte for byte.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from licensing.named.assigning import Refused, Wish
from licensing.named.assignment import Assignment
from runtime.config import ConfigError, ConfigErrors, ConfigModel, parse, text_of
from runtime.yaml_values import read as read_yaml

MAX_BYTES: Final = 1_048_576
COLUMNS: Final = ("object", "pbx", "kind", "licence", "uses")


class _Row(ConfigModel):
    object: str
    licence: str
    pbx: str = ""
    kind: str = ""
    uses: tuple[str, ...] = ()


class _Document(ConfigModel):
    assignments: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class AssignmentFile:
    """One file as it was read: its rows, and the line and column of each."""

    name: str
    rows: tuple[Wish, ...]
    places: tuple[tuple[int, int], ...]

    def errors(self, refused: Iterable[Refused]) -> ConfigErrors:
        """What is wrong with the rows, each at its line."""
        return ConfigErrors([self._error(each) for each in refused])

    def _error(self, each: Refused) -> ConfigError:
        line, column = self.places[each.row] if self.places else (1, 1)
        message = f"{each.refusal.detail or each.refusal.sentence}; {each.refusal.hint}"
        return ConfigError(self.name, line, column, each.field, message)


def load(path: Path) -> AssignmentFile:
    """The file at this path; ConfigErrors also when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _wrong(str(path), 1, "", f"cannot be read: {error.strerror}") from error
    return read(str(path), content)


def read(name: str, content: bytes) -> AssignmentFile:
    """The assignments in these bytes; ConfigErrors names every line that does not fit."""
    text = text_of(name, content, MAX_BYTES)
    return _csv(name, text) if name.lower().endswith(".csv") else _yaml(name, text)


def as_csv(rows: Sequence[Assignment]) -> str:
    """The rows as CSV, in order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.object, row.pbx, row.kind, row.licence, " ".join(row.uses)) for row in rows)
    return text.getvalue()


def as_yaml(rows: Sequence[Assignment]) -> str:
    """The rows as YAML, in order; names are quoted, since 201 alone would be a number."""
    lines = []
    for row in rows:
        uses = f", uses: [{', '.join(row.uses)}]" if row.uses else ""
        name = json.dumps(row.object, ensure_ascii=False)
        lines.append(
            f"  - {{object: {name}, pbx: {row.pbx}, kind: {row.kind}, licence: {row.licence}{uses}}}\n"
        )
    return "assignments:\n" + "".join(lines) if lines else "assignments: []\n"


def _yaml(name: str, text: str) -> AssignmentFile:
    document = parse(text, name, _Document)
    root, _ = read_yaml(text)
    items = root.items["assignments"].items
    rows = tuple(Wish(row.object, row.licence, row.pbx, row.kind, row.uses) for row in document.assignments)
    return AssignmentFile(name, rows, tuple((items[n].line, items[n].column) for n in range(len(rows))))


def _csv(name: str, text: str) -> AssignmentFile:
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, restkey="", strict=True)
    known = set(reader.fieldnames or [])
    if known - set(COLUMNS) or not {"object", "licence"} <= known:
        raise _wrong(name, 1, "", f"the columns are {','.join(COLUMNS)} (pbx, kind and uses may be left out)")
    rows: list[Wish] = []
    places: list[tuple[int, int]] = []
    errors: list[ConfigError] = []
    try:
        for cells in reader:
            if "" in cells:
                errors.append(ConfigError(name, reader.line_num, 1, "", "more cells than columns"))
            values = {column: (cells.get(column) or "").strip() for column in COLUMNS}
            uses = tuple(values["uses"].split())
            rows.append(Wish(values["object"], values["licence"], values["pbx"], values["kind"], uses))
            places.append((reader.line_num, 1))
    except csv.Error as error:
        errors.append(ConfigError(name, reader.line_num, 1, "", f"not CSV: {error}"))
    if errors:
        raise ConfigErrors(errors)
    return AssignmentFile(name, tuple(rows), tuple(places))


def _wrong(name: str, line: int, field: str, message: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(name, line, 1, field, message)])
