"""How a call record is written for others: its columns, and one record as a row of CSV or a line of JSON.

Agent and master export the same. Source: docs/contract.md "Call record"; RFC 4180 for CSV, which has no null:
an empty field. Documented in docs/call-records.md "Exports".
"""

import base64
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from telephony.cdr.record import Cdr

Form = Literal["csv", "jsonl"]


class Holds(StrEnum):
    """What stands in a column; bytes are base64 in CSV and JSON."""

    TEXT = "text"
    WHOLE = "whole"
    BYTES = "bytes"


class Column(NamedTuple):
    """One field of the record; `optional`: it may say nothing at all (null)."""

    name: str
    holds: Holds
    optional: bool = False


RAW: Final = "raw"
COLUMNS: Final = (
    Column("source", Holds.TEXT),
    Column("call_ref", Holds.TEXT),
    Column("leg", Holds.TEXT),
    Column("pbx", Holds.TEXT),
    Column("direction", Holds.TEXT),
    Column("kind", Holds.TEXT),
    Column("caller", Holds.TEXT),
    Column("called", Holds.TEXT),
    Column("dialled", Holds.TEXT),
    Column("account", Holds.TEXT),
    Column("setup_ms", Holds.WHOLE),
    Column("answer_ms", Holds.WHOLE, optional=True),
    Column("end_ms", Holds.WHOLE),
    Column("talk_s", Holds.WHOLE),
    Column("cause", Holds.WHOLE, optional=True),
    Column("forwarded_by", Holds.TEXT),
    Column("transferred_by", Holds.TEXT),
    Column(RAW, Holds.BYTES),
)
"""All of them in the order in which they are written; new ones come behind."""


def csv_header(*, raw: bool = True) -> str:
    """The first line of a CSV file, with its line end."""
    return ",".join(column.name for column in COLUMNS if raw or column.name != RAW) + "\r\n"


def csv_row(cdr: Cdr, *, raw: bool = True) -> str:
    """A record as a row of CSV with its line end; without `raw` the last column is left out.

    What a phone chose stands there as it is: a spreadsheet may take a text that begins with = for a formula.
    """
    return ",".join(_quoted(value) for value in values(cdr, raw=raw).values()) + "\r\n"


def json_line(cdr: Cdr, *, raw: bool = True) -> str:
    """A record as one line of JSON with its line end."""
    return json.dumps(values(cdr, raw=raw), ensure_ascii=False, separators=(",", ":")) + "\n"


def file_text(cdrs: Iterable[Cdr], form: Form, *, raw: bool = True) -> str:
    """A whole file of records."""
    write, head = (csv_row, csv_header(raw=raw)) if form == "csv" else (json_line, "")
    return head + "".join(write(cdr, raw=raw) for cdr in cdrs)


def values(cdr: Cdr, *, raw: bool = True) -> dict[str, str | int | None]:
    """The columns of a record by name, `raw` in base64."""
    found: dict[str, str | int | None] = {}
    for column in COLUMNS:
        if column.name != RAW:
            found[column.name] = getattr(cdr, column.name)
    if raw:
        found[RAW] = base64_of(cdr.raw)
    return found


def base64_of(data: bytes) -> str:
    """Bytes as they stand in CSV and JSON (RFC 4648, section 4)."""
    return base64.b64encode(data).decode()


def _quoted(value: str | int | None) -> str:
    text = "" if value is None else str(value)
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
