"""calls/: the call records once more as Parquet by UTC month, for DuckDB, Spark and whoever reads files.

Derived from calls.db and made again from it at any time. A part holds records that arrived one after the
other and ended in one month, so that late ones make another part of their month. `_manifest.json` says which
parts there are; it is replaced last, and what is not in it is not there.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import msgspec

from licence_master.store import parquet
from licence_master.store.call_reader import CallReader
from runtime.files import sync_directory
from telephony.cdr.columns import COLUMNS, json_line
from telephony.cdr.record import Cdr

VERSION: Final = 1
PART_ROWS: Final = 100_000
MANIFEST: Final = "_manifest.json"  # a name that Spark does not read


class Part(msgspec.Struct, frozen=True):
    """One Parquet file: its records arrived under the numbers `first_id` to `last_id`."""

    file: str
    rows: int
    bytes: int
    sha256: str
    first_id: int
    last_id: int
    first_ms: int
    last_ms: int


class Manifest(msgspec.Struct, frozen=True):
    """What the archive holds: all records of the index `generation` up to the number `upto`, by month."""

    generation: str
    upto: int = 0
    months: dict[str, tuple[Part, ...]] = {}
    v: int = VERSION
    columns: tuple[str, ...] = tuple(column.name for column in COLUMNS)


class CallArchive:
    """The archive of one installation; one call at a time, from a thread."""

    def __init__(self, directory: Path, reader: CallReader) -> None:
        self.directory = directory
        self._reader = reader

    def manifest(self) -> Manifest:
        """What there is; nothing where there is no manifest, or one of another index."""
        generation = self._reader.generation()
        try:
            found = msgspec.json.decode((self.directory / MANIFEST).read_bytes(), type=Manifest)
        except (FileNotFoundError, msgspec.MsgspecError):
            return Manifest(generation)
        fits = (found.v, found.generation) == (VERSION, generation) and found.upto <= self._reader.last()
        return found if fits else Manifest(generation)

    def tidy(self) -> Manifest:
        """Remove what no manifest knows: of a crash, of a month that is over, of another index."""
        manifest = self.manifest()
        known = {part.file for parts in manifest.months.values() for part in parts}
        for path in [*self.directory.glob("month=*/*"), *self.directory.glob(".*")]:
            if path.relative_to(self.directory).as_posix() not in known:
                path.unlink() if path.is_file() else shutil.rmtree(path)
        for month in self.directory.glob("month=*"):
            with contextlib.suppress(OSError):  # it is not empty
                month.rmdir()
        return manifest

    def extend(self, rows: int = PART_ROWS) -> int:
        """Write the next records that the archive has not, at most so many; how many they were.

        OSError, sqlite3.Error, UnwritableError; then the archive is as it was.
        """
        manifest = self.tidy()
        self.directory.mkdir(mode=0o750, exist_ok=True)
        with _Months(self.directory / ".lines") as months:
            for page in self._reader.arrived(manifest.upto, rows):
                for id_, cdr in page:
                    months.add(id_, cdr)
            if not months.rows:
                return 0
            added = {month: self._part(lines) for month, lines in months.each()}
        held = dict(manifest.months)
        for month, part in added.items():
            held[month] = (*held.get(month, ()), part)
        upto = max(part.last_id for part in added.values())
        self._put(msgspec.structs.replace(manifest, upto=upto, months=dict(sorted(held.items()))))
        return months.rows

    def drop_before(self, month: str) -> list[str]:
        """Take out the months before this one (`2026-10`); which they were."""
        manifest = self.manifest()
        gone = [each for each in manifest.months if each < month]
        if gone:
            left = {each: parts for each, parts in manifest.months.items() if each >= month}
            self._put(msgspec.structs.replace(manifest, months=left))
            self.tidy()
        return gone

    def clear(self) -> None:
        """Take out everything, so that all is written anew."""
        (self.directory / MANIFEST).unlink(missing_ok=True)
        if self.directory.exists():
            self.tidy()

    def _part(self, lines: "_Lines") -> Part:
        name = f"month={lines.month}/part-{lines.first_id:012}-{lines.last_id:012}.parquet"
        target = self.directory / name
        target.parent.mkdir(mode=0o750, exist_ok=True)
        rows = parquet.write(lines.path, target)
        assert rows == lines.rows, f"{name}: {rows} of {lines.rows} records"
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = target.stat().st_size
        ids, times = (lines.first_id, lines.last_id), (lines.first_ms, lines.last_ms)
        return Part(name, rows, size, digest, *ids, *times)

    def _put(self, manifest: Manifest) -> None:
        partial = self.directory / f".{MANIFEST}.partial"
        content = msgspec.json.format(msgspec.json.encode(manifest))
        with partial.open("wb") as file:
            file.write(content)
        parquet.sync_file(partial)
        partial.replace(self.directory / MANIFEST)
        sync_directory(self.directory)


class _Lines:
    """Records of one month as lines of JSON, on their way to a part."""

    def __init__(self, month: str, path: Path) -> None:
        self.month = month
        self.path = path
        self.rows = 0
        self.first_id = self.last_id = 0
        self.first_ms = self.last_ms = 0
        self.file: TextIO = path.open("x", encoding="utf-8")

    def add(self, id_: int, cdr: Cdr) -> None:
        """Append a record; they come in the order of their numbers."""
        self.file.write(json_line(cdr))
        if not self.rows:
            self.first_id, self.first_ms, self.last_ms = id_, cdr.end_ms, cdr.end_ms
        self.rows += 1
        self.last_id = id_
        self.first_ms, self.last_ms = min(self.first_ms, cdr.end_ms), max(self.last_ms, cdr.end_ms)


class _Months:
    """A file of lines for each month; gone at the end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lines: dict[str, _Lines] = {}

    @property
    def rows(self) -> int:
        """Of all months."""
        return sum(lines.rows for lines in self._lines.values())

    def add(self, id_: int, cdr: Cdr) -> None:
        """Append a record to its month."""
        month = month_of(cdr.end_ms)
        lines = self._lines.get(month)
        if lines is None:
            lines = self._lines[month] = _Lines(month, self._directory / month)
        lines.add(id_, cdr)

    def each(self) -> Iterator[tuple[str, _Lines]]:
        """The months, complete."""
        for month, lines in self._lines.items():
            lines.file.close()
            yield month, lines

    def __enter__(self) -> "_Months":
        self._directory.mkdir(mode=0o700)
        return self

    def __exit__(self, *_error: object) -> None:
        for lines in self._lines.values():
            lines.file.close()
        shutil.rmtree(self._directory)


def month_of(at_ms: int) -> str:
    """The UTC month of an instant: `2026-10`."""
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m}"
