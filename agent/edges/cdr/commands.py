"""`pbx-agent cdr export` and `cdr replay`: what the spool still has, for others and for the master again."""

import re
import sys
from calendar import monthrange
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer
from rich.console import Console
from rich.progress import track

from agent.config import AgentConfig
from agent.edges.local_client import NotRunningError, RefusedError, ask
from agent.options import DEFAULT_CONFIG, ConfigOption, PbxOption
from agent.store.enrolment import SPOOL_FILE
from agent.store.spool_reader import SpoolReader, UnreadableSpoolError
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json, table
from telephony.cdr.columns import csv_header, csv_row, json_line

FOREVER_MS: Final = 2**53
DAY_MS: Final = 86_400_000
MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")
REPLAY_TIMEOUT_S: Final = 600.0


class Format(StrEnum):
    """How records are written."""

    CSV = "csv"
    JSONL = "jsonl"


FromOption = Annotated[
    str,
    typer.Option("--from", metavar="TIME", help="First month, day or time, UTC: 2026-10, 2026-10-01T14:00."),
]
ToOption = Annotated[
    str, typer.Option("--to", metavar="TIME", help="Last month or day, included; or the time where it ends.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="CSV with a head, or one JSON object a line.")]
OutputOption = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Else to stdout.")]


def export(
    from_: FromOption = "",
    to: ToOption = "",
    format_: FormatOption = Format.CSV,
    output: OutputOption = None,
    raw: Annotated[bool, typer.Option("--raw/--no-raw", help="With the PBX's own bytes, base64.")] = True,
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the call records that are still here, also while the agent runs, as they ended.

    What the master has is kept for keep_days; `licence-master cdr export` has all.

    Example: pbx-agent cdr export --from 2026-11 --to 2026-11 --format csv --output november.csv
    """
    from_ms, to_ms = _times(from_, to)
    if as_json and output is None:
        fail(Exit.USAGE, "--json tells what was written; name a file with --output")
    data, names = _named(config, pbx)
    written = 0
    try:
        with _opened(output) as file:
            if format_ is Format.CSV:
                file.write(csv_header(raw=raw))
            for name in names:
                written += _write(data / name / SPOOL_FILE, file, (from_ms, to_ms), format_, raw)
    except UnreadableSpoolError as error:
        fail(Exit.BAD_DATA, str(error))
    except OSError as error:
        fail(Exit.BAD_DATA, f"{output or 'stdout'}: {error.strerror}")
    if as_json:
        print_json({"records": written, "file": str(output)})
    elif output is not None:
        typer.echo(f"{output}: {written} records")


def _write(path: Path, file: TextIO, times: tuple[int, int], form: Format, raw: bool) -> int:
    """The records of one spool; how many."""
    write = csv_row if form is Format.CSV else json_line
    console = Console(file=sys.stderr)
    written = 0
    with closing(SpoolReader.open(path)) as reader:
        records = track(
            reader.records(*times),
            path.parent.name,
            total=reader.count(*times),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        for record in records:
            file.write(write(record, raw=raw))
            written += 1
    return written


def replay(
    from_: FromOption = "",
    to: ToOption = "",
    unread: Annotated[
        bool, typer.Option("--unread", help="Read again what could not be read, by the mappings as they are.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    pbx: PbxOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Send a range to the master again, or read again what was put in quarantine there.

    None counts twice: the master knows a record that it has.

    Example: pbx-agent cdr replay --from 2026-11-30 --unread
    """
    from_ms, to_ms = _times(from_, to)
    asked = {"from_ms": from_ms, "to_ms": to_ms, "unread": unread, "pbx": pbx}
    data, _ = _named(config, pbx)
    try:
        answer = ask(data, "/cdr/replay", asked, REPLAY_TIMEOUT_S)
    except NotRunningError as error:
        fail(Exit.UNREACHABLE, str(error))
    except RefusedError as error:
        fail(Exit.REFUSED, str(error))
    if as_json:
        print_json(answer)
        return
    columns = ("name", "sent_again", "read", "still_unread")
    rows = [tuple(done[column] for column in columns) for done in answer["pbxs"]]
    table(rows, ("pbx", "sent again", "read now", "still unreadable"))


def _named(config: Path, pbx: str | None) -> tuple[Path, list[str]]:
    """The data directory, and the PBXs that have sources of call records."""
    loaded = load_or_fail(config, AgentConfig)
    names = [entry.name for entry in loaded.pbxs if entry.cdrs.sources and pbx in (None, entry.name)]
    if not names:
        fail(Exit.USAGE, "no PBX of that name has sources of call records: see cdrs in agent.yaml")
    return loaded.data, names


def _times(from_: str, to: str) -> tuple[int, int]:
    from_ms = _span_ms("--from", from_)[0] if from_ else 0
    to_ms = _span_ms("--to", to)[1] if to else FOREVER_MS
    if from_ms >= to_ms:
        fail(Exit.USAGE, f"--from {from_} is not before --to {to}")
    return from_ms, to_ms


def _span_ms(option: str, text: str) -> tuple[int, int]:
    """Beginning and end of a month or a day; of a time itself, twice."""
    month = MONTH.fullmatch(text) is not None
    try:
        read = datetime.fromisoformat(f"{text}-01" if month else text)
    except ValueError:
        right = "a month, a day or a time as 2026-11, 2026-11-30 or 2026-11-30T14:00+01:00"
        fail(Exit.USAGE, f'{option}: found "{text}"; write {right}')
    begin = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
    begin_ms, days = int(begin.timestamp() * 1_000), 0
    if month:
        days = monthrange(begin.year, begin.month)[1]
    elif len(text) == len("2026-11-30"):
        days = 1
    return begin_ms, begin_ms + days * DAY_MS


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """The file, which is whole or not there; stdout without one."""
    if output is None:
        yield sys.stdout
        return
    fresh = output.with_name(f"{output.name}.new")
    try:
        with fresh.open("w", encoding="utf-8", newline="") as file:
            yield file
        fresh.replace(output)
    finally:
        fresh.unlink(missing_ok=True)
