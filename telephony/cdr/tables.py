"""Rows of text with separators: the columns of a line, by the names that a PBX or a person gave them."""

import csv
from collections.abc import Sequence
from typing import Final

from telephony.cdr.fields import text_of
from telephony.cdr.reading import Reason, UnreadableError

MAX_COLUMNS: Final = 500


def cells(raw: bytes, separator: str = ",") -> list[str]:
    """The columns of a line (RFC 4180: quotes, doubled within); one line is one record.

    UnreadableError `malformed`: an open quote, something behind a closing one, too many columns.
    """
    try:
        rows = list(csv.reader([text_of(raw)], delimiter=separator, strict=True))
    except csv.Error as error:
        raise UnreadableError(Reason.MALFORMED, f"no CSV: {error}") from error
    row = rows[0] if rows else []
    if len(row) > MAX_COLUMNS:
        raise UnreadableError(Reason.MALFORMED, f"{len(row)} columns; at most {MAX_COLUMNS}")
    return row


def named(columns: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    """The row by the names of its columns; UnreadableError `malformed` when their numbers differ."""
    if len(row) != len(columns):
        expected = f"expected {len(columns)} columns, found {len(row)}"
        raise UnreadableError(Reason.MALFORMED, f"{expected}; look at the columns configured for this source")
    return dict(zip(columns, row, strict=True))
