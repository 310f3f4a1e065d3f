"""Tariff rows as they are written: cells by column name to rows, or every problem of them at once.

The columns are those of design billing.md 2, in CSV and in the rows of a case file alike.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Final

from billing.core import money
from billing.core.number import COUNTRIES
from billing.core.tariff import KINDS, MAX_INCREMENT, MAX_ROWS, Problem, Row, check

_PRICES: Final = ("per_minute", "setup", "service_per_call", "service_per_min", "max_price")
_ASKED: Final = _PRICES[:-1]
"""Of a row without any of them nobody knows whether its calls are free or a cell was forgotten."""
_SECONDS: Final = ("first", "next", "grace")
_DAYS: Final = ("from", "to")
COLUMNS: Final = ("prefix", "kind", "class", *_PRICES, *_SECONDS, *_DAYS, "label")
REQUIRED: Final = ("prefix", "class")

_PREFIX: Final = re.compile(rf"\+[1-9][0-9]{{0,14}}|({'|'.join(COUNTRIES)}):[0-9]{{1,6}}", re.ASCII)
_BARE: Final = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_CLASS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)

Refuse = Callable[[str, str], None]
"""Called with a column and what would be right in it."""


class TariffProblems(Exception):  # noqa: N818 - one exception, many problems
    """All that is wrong with a tariff; nothing of it is loaded."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def rows_of(written: Iterable[tuple[str, Mapping[str, str]]]) -> tuple[Row, ...]:
    """The rows of (place, cells); TariffProblems names all that is wrong with any of them."""
    rows: list[Row] = []
    problems: list[Problem] = []
    for place, cells in written:
        row, wrong = _row(place, cells)
        problems.extend(wrong)
        rows.append(row)
        if len(rows) > MAX_ROWS:
            raise TariffProblems([Problem(place, "", f"more than {MAX_ROWS} rows; split the tariff")])
    if problems := problems or check(rows):
        raise TariffProblems(problems)
    return tuple(rows)


def rows_of_csv(text: str, file: str) -> tuple[Row, ...]:
    """The rows of a CSV text with a header, separated by `;` or `,`; TariffProblems as above."""
    lines = text.splitlines()
    delimiter = ";" if lines and ";" in lines[0] else ","
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if wrong := _header_problems(header, f"{file}:1"):
            raise TariffProblems(wrong)
        return rows_of(_cells(reader, header, file))
    except csv.Error as error:
        raise TariffProblems([Problem(f"{file}:{reader.line_num}", "", f"not CSV: {error}")]) from error


def _header_problems(header: list[str], place: str) -> list[Problem]:
    known = ", ".join(COLUMNS)
    found = [
        Problem(place, name, f"unknown column; the columns are {known}")
        for name in header
        if name not in COLUMNS
    ]
    found += [Problem(place, name, "missing column; add it") for name in REQUIRED if name not in header]
    twice = sorted({name for name in header if header.count(name) > 1})
    return found + [Problem(place, name, "the column is there twice") for name in twice]


def _cells(
    reader: Iterable[list[str]], header: list[str], file: str
) -> Iterable[tuple[str, Mapping[str, str]]]:
    for line, cells in enumerate(reader, 2):
        if any(cells):
            surplus = {"": "".join(cells[len(header) :])} if len(cells) > len(header) else {}
            yield f"{file}:{line}", {**dict(zip(header, cells, strict=False)), **surplus}


def _row(place: str, cells: Mapping[str, str]) -> tuple[Row, list[Problem]]:
    """The row, and what is wrong with its cells: a wrong cell is read as if it were empty."""
    wrong: list[Problem] = []
    given = {name: cells.get(name, "").strip() for name in COLUMNS}

    def refuse(column: str, right: str) -> None:
        wrong.append(Problem(place, column, f'expected {right}, found "{given[column][:40]}"'))

    prices = {name: _price(given, name, refuse) for name in _PRICES}
    seconds = {name: _seconds(given, name, refuse) for name in _SECONDS}
    days = {name: _day(given, name, refuse) for name in _DAYS}
    if "" in cells:
        wrong.append(Problem(place, "", "more cells than columns; is a decimal comma among them?"))
    if not _CLASS.fullmatch(given["class"]):
        refuse("class", "a class such as FR_MOBILE")
    if given["kind"] not in ("", *KINDS):
        refuse("kind", f"{', '.join(KINDS)} or nothing")
    prefix = _prefix(given["prefix"])
    if prefix is None:
        refuse("prefix", "a prefix such as +336 or FR:3615")
    if not any(given[name] for name in _ASKED):
        refuse("per_minute", "a price, 0 where calls are free")
    row = Row(
        prefix=prefix or "",
        class_=given["class"],
        kind=given["kind"] or "voice",
        per_minute=prices["per_minute"] or 0,
        first=seconds["first"] or 1,
        next=seconds["next"] or 1,
        setup=prices["setup"] or 0,
        service_per_call=prices["service_per_call"] or 0,
        service_per_min=prices["service_per_min"] or 0,
        max_price=prices["max_price"],
        grace=seconds["grace"] or 0,
        from_=days["from"] or date.min,
        to=days["to"] or date.max,
        label=given["label"],
        place=place,
    )
    return row, wrong


def _prefix(text: str) -> str | None:
    text = f"+{text}" if _BARE.fullmatch(text) else text
    return text if _PREFIX.fullmatch(text) else None


def _price(given: Mapping[str, str], column: str, refuse: Refuse) -> int | None:
    text = given[column]
    value = money.read(text, money.NANO_PLACES) if text else None
    if text and (value is None or value < 0):
        comma = "," in text and money.read(text.replace(",", "."), money.NANO_PLACES) is not None
        refuse(
            column,
            "a decimal with a dot, not a comma" if comma else "a decimal such as 0.015, at most 9 places",
        )
        return None
    return value


def _seconds(given: Mapping[str, str], column: str, refuse: Refuse) -> int | None:
    text = given[column]
    if not text:
        return None
    least = 0 if column == "grace" else 1
    if not (text.isascii() and text.isdigit() and len(text) < 8 and least <= int(text) <= MAX_INCREMENT):
        refuse(column, f"whole seconds from {least} to {MAX_INCREMENT}")
        return None
    return int(text)


def _day(given: Mapping[str, str], column: str, refuse: Refuse) -> date | None:
    text = given[column]
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        refuse(column, "a day such as 2026-11-01")
        return None
