"""`licence-master cdr`: call records out of a running master, what was put aside, and what is missing."""

import calendar
import datetime
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from licence_master.cli.asking import PbxOption, when
from licence_master.cli.client import PATIENCE_S, Api, remote
from licence_master.cli.receiving import arriving, bar, new_file
from licence_master.service.calls.reports import AsideView, SourceView
from licence_master.service.calls.upkeep import Archived
from licence_master.store import parquet
from licence_master.store.parquet import UnwritableError
from runtime.cli import Exit, fail, table
from telephony.cdr.verdict import Verdict

DAY_MS = 24 * 3_600_000
SHOWN_GAPS = 3
AT_ONCE = 100_000
"""Records of the archive between two looks at the progress: some seconds."""


class Form(StrEnum):
    """How records are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


FromOption = Annotated[str, typer.Option("--from", help="First day or month, UTC: 2026-10-01 or 2026-10.")]
ToOption = Annotated[str, typer.Option("--to", help="Last day or month, UTC, included.")]
FormOption = Annotated[Form, typer.Option("--format", help="Parquet needs the extra parquet, and a file.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", metavar="FILE", help="A new file; without it standard output.")
]
MaskOption = Annotated[
    int | None, typer.Option("--mask", min=0, max=15, help="So many digits of each number stay.")
]
RawFlag = Annotated[bool, typer.Option("--raw/--no-raw", help="With the PBX's own bytes, in base64.")]
VerdictOption = Annotated[Verdict | None, typer.Option("--verdict", help="Of this verdict only.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many, newest first.")]
RebuildFlag = Annotated[bool, typer.Option("--rebuild", help="All of it anew from calls.db.")]


@remote
def export(
    api: Api,
    first: FromOption,
    last: ToOption,
    format_: FormOption = Form.CSV,
    output: OutputOption = None,
    mask: MaskOption = None,
    raw: RawFlag = True,
    pbx: PbxOption = None,
) -> None:
    """Call records that ended from the first day to the last, both included, in UTC.

    A file is there whole or not at all (mode 0600). With --json a summary is printed, which needs --output.

    Example: licence-master cdr export --from 2026-10 --to 2026-10 --format csv --output october.csv
    """
    from_ms, to_ms = _begin(first), _end(last)
    if from_ms >= to_ms:
        fail(Exit.USAGE, f"--from {first} is behind --to {last}")
    if output is None and (format_ is Form.PARQUET or api.as_json):
        fail(Exit.USAGE, "--output FILE is needed: standard output takes csv and jsonl, without --json")
    if format_ is Form.PARQUET and not parquet.available():
        fail(Exit.USAGE, "--format parquet needs the extra: pip install 'pbx-licences[parquet]'")
    query = {"from_ms": from_ms, "to_ms": to_ms, "mask": mask, "pbx": pbx, "raw": str(raw).lower()}
    if output is None:
        _receive(api, format_, sys.stdout.buffer, query)
        return
    try:
        rows = _into(api, output, format_, query, raw=raw)
    except FileExistsError:
        fail(Exit.USAGE, f"{output} is there already; name another file")
    except (OSError, UnwritableError) as error:
        fail(Exit.REFUSED, str(error))
    if not api.show({"file": str(output), "rows": rows, "format": format_}):
        typer.echo(f"{output}: {rows:,} call records")


@remote
def quarantine(api: Api, verdict: VerdictOption = None, limit: LimitOption = 100) -> None:
    """What was put aside for a person to decide: conflicts, records of another time, bytes nobody can read.

    With --json both records of a conflict, and the bytes.

    Example: licence-master cdr quarantine --verdict conflict
    """
    answer = api.get("/calls/quarantine", verdict=verdict, limit=limit)
    if api.show(answer):
        return
    rows = msgspec.convert(answer, list[AsideView])
    shown = [(r.id, when(r.at_ms), r.source, r.verdict, r.call_ref, r.leg, _about(r)) for r in rows]
    table(shown, ("ID", "WHEN", "SOURCE", "VERDICT", "CALL", "LEG", "WHAT"))


@remote
def gaps(api: Api) -> None:
    """What is missing: numbers that a counting PBX never sent, what was lost with a disk, quiet sources.

    Exit code 1 when anything is. Beside it what became of all records that were received of each source.

    Example: licence-master cdr gaps
    """
    answer = api.get("/calls/sources")
    rows = msgspec.convert(answer, list[SourceView])
    if not api.show(answer):
        shown = [_source_row(row) for row in rows]
        names = ("RECEIVED", "KEPT", "DUPLICATE", "QUARANTINE")
        table(shown, ("SOURCE", "LAST RECORD", "STATE", "MISSING", "NUMBERS", "LOST", *names))
    if any(_state(row) != "ok" or row.missing_numbers or row.lost for row in rows):
        raise typer.Exit(Exit.REFUSED)


@remote
def archive(api: Api, rebuild: RebuildFlag = False) -> None:
    """Write what is new to the Parquet archive now; the master does it by itself once a day.

    A rebuild that is broken off is gone on with by the master, or by the next `cdr archive`.

    Example: licence-master cdr archive --rebuild
    """
    added, order = 0, {"rebuild": rebuild, "most": AT_ONCE}
    with bar(f"archive of {api.installation}", rows=True) as advance:
        while True:
            done = msgspec.convert(api.post("/calls/archive", order, PATIENCE_S), Archived)
            added += done.added
            advance(done.rows, done.rows + done.left)
            if not done.added or not done.left:
                break
            order["rebuild"] = False
    if not api.show({"rows": done.rows, "added": added, "parts": done.parts}):
        typer.echo(f"{done.rows:,} call records in {done.parts:,} files, {added:,} new")


def _into(api: Api, output: Path, form: Form, query: dict[str, str | int | None], *, raw: bool) -> int:
    """The rows that are now in this file."""
    with arriving(output) as partial:
        if form is not Form.PARQUET:
            with new_file(partial) as file:
                return _receive(api, form, file, query)
        lines = partial.with_suffix(".jsonl")
        lines.unlink(missing_ok=True)
        try:
            with new_file(lines) as file:
                _receive(api, Form.JSONL, file, query)
            return parquet.write(lines, partial, raw=raw)
        finally:
            lines.unlink(missing_ok=True)


def _receive(api: Api, form: Form, file: BinaryIO, query: dict[str, str | int | None]) -> int:
    """The body of an export, as it comes; how many rows the master says that it has."""
    with api.stream("GET", "/calls", format=form, **query) as coming:
        rows, lines = int(coming.header("X-Rows")), 0
        with bar(f"call records of {api.installation}", rows=True) as advance:
            for _, chunk in coming.chunks():
                file.write(chunk)
                lines += chunk.count(b"\n")
                advance(min(lines, rows), rows)
    file.flush()
    return rows


def _begin(text: str) -> int:
    """The UTC instant at which a day or month begins, in ms; anything else ends the command."""
    year, month, day = _date(text)
    return int(datetime.datetime(year, month, day or 1, tzinfo=datetime.UTC).timestamp()) * 1_000


def _end(text: str) -> int:
    """The UTC instant at which a day or month is over, in ms."""
    year, month, day = _date(text)
    return _begin(text) + (1 if day else calendar.monthrange(year, month)[1]) * DAY_MS


def _date(text: str) -> tuple[int, int, int]:
    """Year, month and day (0: none)."""
    found = re.fullmatch(r"(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01]))?", text)
    year, month, day = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    if found is None or day > calendar.monthrange(year, month)[1]:
        fail(Exit.USAGE, f'expected a day or month such as 2026-10-01 or 2026-10, found "{text}"')
    return year, month, day


def _about(row: AsideView) -> str:
    if row.record is not None and row.first is not None:
        other = [name for name, value in row.record.items() if row.first.get(name) != value and name != "raw"]
        return "other " + ", ".join(other)
    return f"{row.reason}: {row.detail}" if row.reason else ""


def _state(row: SourceView) -> str:
    if row.away:
        return "agent away"
    if not row.connected:
        return "not connected"
    return "silent" if row.silent else "ok"


def _source_row(row: SourceView) -> tuple[str | int | None, ...]:
    numbers = [
        str(g.first) if g.first == g.last else f"{g.first}-{g.last}" for g in row.missing[-SHOWN_GAPS:]
    ]
    kept, duplicate = row.arrived.get(Verdict.KEPT, 0), row.arrived.get(Verdict.DUPLICATE, 0)
    received = sum(row.arrived.values())
    counts = (row.lost, received, kept, duplicate, received - kept - duplicate)
    return (row.source, when(row.last_ms), _state(row), row.missing_numbers, ", ".join(numbers), *counts)
