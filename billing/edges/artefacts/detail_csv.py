"""The call detail of an invoice as CSV: one level's prices, local times and offset, numbers masked or not."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from billing.core.detail import Detail
from billing.edges.pdf.figures import micro

COLUMNS = (
    "call", "start", "account", "number", "kind", "class",
    "seconds", "billed_seconds", "included_seconds", "price",
)  # fmt: skip
MASKED = 4
SHORT = 6
"""Numbers up to so many digits are services, and are nobody's."""
NUMBER = re.compile(r"\+?\d+x*")


def detail_csv(details: Iterable[Detail], zone: str, *, masked: bool) -> bytes:
    """UTF-8, comma, CRLF as in RFC 4180; prices with six decimals and a point, in every language.

    `zone` is the customer's, a name such as Europe/Paris. Rows are in order of start, then key.
    """
    place = ZoneInfo(zone)
    rows = sorted(details, key=lambda detail: (detail.start_ms, detail.key))
    return csv_of(COLUMNS, (row(detail, place, masked=masked) for detail in rows))


def row(detail: Detail, place: ZoneInfo, *, masked: bool) -> tuple[str, ...]:
    """One call."""
    return (
        detail.key,
        datetime.fromtimestamp(detail.start_ms // 1000, place).isoformat(),
        detail.account,
        mask(detail.number) if masked else detail.number,
        detail.kind,
        detail.class_,
        str(detail.seconds),
        str(detail.billed_seconds),
        str(detail.in_basket_seconds),
        micro(detail.price),
    )


def mask(number: str) -> str:
    """+3361234xxxx: the last four digits are not shown; short numbers are."""
    return number if len(number.lstrip("+")) <= SHORT else number[:-MASKED] + "x" * MASKED


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """The table as bytes, each cell made harmless."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([harmless(cell) for cell in each] for each in rows)
    return text.getvalue().encode()


def harmless(cell: str) -> str:
    """A phone chooses its Call-ID; a spreadsheet would run one that looks like a formula."""
    return f"'{cell}" if cell[:1] in "=+-@\t\r" and cell and not NUMBER.fullmatch(cell) else cell
