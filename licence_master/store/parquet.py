"""Call records as Parquet, written by DuckDB where it is installed (extra `parquet`): from lines of JSON.

DuckDB and Spark read it as it is: texts, 64-bit integers that may be null, and `raw` as bytes.
"""

import importlib.util
import os
from pathlib import Path
from typing import Final

from runtime.files import sync_directory
from telephony.cdr.columns import COLUMNS, RAW, Holds

MEMORY: Final = "256MB"
MAX_LINE: Final = 4 << 20
"""Bytes of one record as JSON: MAX_BATCH in base64, with room."""

_TYPES: Final = {Holds.TEXT: "VARCHAR", Holds.WHOLE: "BIGINT", Holds.BYTES: "VARCHAR"}


class UnwritableError(Exception):
    """DuckDB did not write the file; the text says why."""


def available() -> bool:
    """Is the extra installed?"""
    return importlib.util.find_spec("duckdb") is not None


def write(lines: Path, target: Path, *, raw: bool = True) -> int:
    """Make a Parquet file (0600) of these lines of JSON, there whole and durable or not at all; its rows.

    Takes bounded memory and as long as it takes: call it from a thread. OSError, UnwritableError.
    """
    import duckdb  # an extra, and slow to import

    chosen = [column for column in COLUMNS if raw or column.name != RAW]
    types = ", ".join(f"{column.name}: '{_TYPES[column.holds]}'" for column in chosen)
    names = ", ".join(
        f"from_base64({column.name}) AS {column.name}" if column.holds is Holds.BYTES else column.name
        for column in chosen
    )
    partial = target.with_name(f".{target.name}.partial")
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": 1,
        "temp_directory": "",
        "autoinstall_known_extensions": False,
    }
    form = f"format = 'newline_delimited', columns = {{{types}}}, maximum_object_size = {MAX_LINE}"
    lines_as_rows = " ".join(("SELECT", names, "FROM read_json(", _text(lines), ",", form, ")"))
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with duckdb.connect(":memory:", config=options) as connection:
            how = "(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
            copy = f"COPY ({lines_as_rows}) TO {_text(partial)} {how}"
            (rows,) = connection.execute(copy).fetchall()[0]
        sync_file(partial)
        partial.replace(target)
        sync_directory(target.parent)
    except duckdb.Error as error:
        raise UnwritableError(f"{target}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return int(rows)


def _text(path: Path) -> str:
    """A path as a text of SQL, which takes no parameters here."""
    return "'" + str(path).replace("'", "''") + "'"


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
