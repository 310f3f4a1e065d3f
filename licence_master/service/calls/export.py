"""Call records on their way out: text, some records at a time, for however many there are."""

from collections.abc import Iterator
from dataclasses import dataclass

from licence_master.store.call_reader import CallReader, Span
from telephony.cdr.columns import Form, csv_header, csv_row, json_line
from telephony.cdr.masking import masked


@dataclass(frozen=True, slots=True)
class Export:
    """How records are written: `mask` is how many digits of a number stay, None: all."""

    form: Form
    raw: bool
    mask: int | None


def lines(reader: CallReader, span: Span, export: Export) -> Iterator[bytes]:
    """The records of a span in the order in which they ended; CSV begins with the names of the columns."""
    if export.form == "csv":
        yield csv_header(raw=export.raw).encode()
    write = csv_row if export.form == "csv" else json_line
    for page in reader.pages(span):
        shown = page if export.mask is None else [masked(cdr, export.mask) for cdr in page]
        yield "".join(write(cdr, raw=export.raw) for cdr in shown).encode()
