"""What a parser of call records gives: a record, a part of one, or what it could not read, with the bytes.

    parser = asterisk.csv_parser(origin, asterisk.SHIPPED)
    for reading in parser.feed(data, now_ms): ...

Bytes go in as they come and nothing is lost: each byte but empty lines comes out in the `raw` of a reading,
or is still counted by `unfinished`.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from telephony.cdr.record import TEXTS, Cdr
from telephony.cdr.times import LAST_S, UTC, Zone

MAX_RECORD: Final = 65_536
"""Bytes of one record, or of one line; what is longer is quarantined in pieces of this size."""
MAX_TEXT: Final = 1_000
"""Characters of a number, a name or a reference: a record with longer ones would fit into no batch."""


class Reason(StrEnum):
    """Why bytes could not be read."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    """Not the form of this dialect: no CSV, XML or JSON, other columns, the same key twice."""
    MISSING = "missing"
    """A field that a record cannot do without is not there."""
    INVALID = "invalid"
    """A field holds what it cannot: no number, no date, an end before the beginning."""
    NO_BEGINNING = "no_beginning"
    """The end of a call that was never seen to begin."""
    NO_END = "no_end"
    """A call that began and never ended: too old, or pushed out by too many others."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose records they are: `source` and `pbx` of each Cdr, and the zone of times that name none."""

    source: str
    pbx: str
    zone: Zone = UTC


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a call whose rest must still come; on disk before it is acknowledged.

    After a restart the intake makes a new parser, gives it the raw bytes of all parts that it has, in their
    order and each with an `end` behind it, drops what that says, and is where it was. It may forget the parts
    of a `call_ref` once a Cdr or a quarantine with this `call_ref` is on disk. `call_ref` "" are names of
    columns: they stay until the next ones come.
    """

    call_ref: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Bytes that could not be read, for a person to decide; `detail` says what was found and expected.

    With a `call_ref` it ends that call, and `raw` has all of its parts; "": it ends none. `bug` is where
    a framer or a reader made a mistake, which is not the fault of these bytes.
    """

    raw: bytes
    reason: Reason
    detail: str
    call_ref: str = ""
    bug: str = ""


Reading = Cdr | Part | Quarantined


BUGS: Final = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What a mistake of ours raises. It costs one record, which waits in quarantine until it is mended."""


class UnreadableError(Exception):
    """A record cannot be read; caught in `Stream`, where it becomes a quarantine."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Piece:
    """What a framer cut out of a stream; `fault` says why it is no record (then `detail` and `bug` too)."""

    raw: bytes
    fault: Reason | None = None
    detail: str = ""
    bug: str = ""


class Framer(Protocol):
    """Cuts a stream into records; how the bytes were split on their way makes no difference."""

    @property
    def begins(self) -> re.Pattern[bytes]:
        """At the end of what it finds a record may begin, whatever stands before."""
        ...

    @property
    def unfinished(self) -> int:
        """Bytes that wait for the rest of their record, at most a little more than MAX_RECORD."""
        ...

    def feed(self, data: bytes) -> list[Piece]:
        """Take what arrived."""
        ...

    def end(self) -> list[Piece]:
        """Nothing more comes: what still waits, as far as it may be a record."""
        ...


class Reader(Protocol):
    """Reads one record of a dialect; UnreadableError says why not."""

    def read(self, raw: bytes, now_ms: int) -> list[Reading]:
        """What this record says, perhaps with earlier ones; none: it is of no interest here."""
        ...


class Parser(Protocol):
    """What an intake needs to know of a dialect: one parser for each source, a branch for each connection."""

    @property
    def unfinished(self) -> int:
        """Bytes at the end of the stream that are in no reading yet: a file is read again from there."""
        ...

    def feed(self, data: bytes, now_ms: int) -> list[Reading]:
        """Take what arrived at this UTC epoch ms; a record without a clock of its own is dated by it."""
        ...

    def end(self, now_ms: int) -> list[Reading]:
        """The file, connection or request ended: its last record needs no line end. Parts of calls stay."""
        ...

    def branch(self) -> "Parser":
        """A parser for another connection of the same source: bytes apart, calls that go on together."""
        ...


class Stream:
    """A parser made of a framer and a reader."""

    def __init__(self, frame: Callable[[], Framer], reader: Reader) -> None:
        self._frame = frame
        self._framer = Contained(frame)
        self._reader = reader

    @property
    def unfinished(self) -> int:
        return self._framer.unfinished

    def feed(self, data: bytes, now_ms: int) -> list[Reading]:
        return self._read(self._framer.feed(data), now_ms)

    def end(self, now_ms: int) -> list[Reading]:
        return self._read(self._framer.end(), now_ms)

    def branch(self) -> "Stream":
        return Stream(self._frame, self._reader)

    def _read(self, pieces: list[Piece], now_ms: int) -> list[Reading]:
        readings: list[Reading] = []
        for piece in pieces:
            if piece.fault is not None:
                readings.append(put_aside(piece))
                continue
            try:
                readings += [_checked(reading) for reading in self._reader.read(piece.raw, now_ms)]
            except UnreadableError as error:
                readings.append(Quarantined(piece.raw, error.reason, error.detail))
            except BUGS as error:
                readings.append(put_aside(_mistake(piece.raw, error)))
        return readings


class Contained:
    """A framer whose mistakes cost one record: a new one begins behind it."""

    def __init__(self, frame: Callable[[], Framer]) -> None:
        self._frame = frame
        self._framer = frame()
        self._waiting = b""
        """Bytes in no piece yet."""
        self._fails = False
        """Whether the framer fails at them, and no other record begins there."""

    @property
    def begins(self) -> re.Pattern[bytes]:
        return self._framer.begins

    @property
    def unfinished(self) -> int:
        return len(self._waiting)

    def feed(self, data: bytes) -> list[Piece]:
        """As a framer."""
        self._waiting += data
        if self._fails:
            return self._around(last=False)
        try:
            pieces = self._framer.feed(data)
        except BUGS:
            return self._around(last=False)
        self._waiting = self._waiting[len(self._waiting) - self._framer.unfinished :]
        return pieces

    def end(self) -> list[Piece]:
        """As a framer."""
        pieces = self._around(last=True) if self._fails else []
        try:
            pieces += self._framer.end()
        except BUGS as error:
            pieces.append(_mistake(self._waiting, error))
            self._framer = self._frame()
        self._waiting = b""
        return pieces

    def _around(self, *, last: bool) -> list[Piece]:
        """What can be cut out of what waits, before and behind each record at which a new framer fails."""
        pieces: list[Piece] = []
        while True:
            self._framer, data = self._frame(), self._waiting
            good = self._sound(data)
            pieces += self._framer.feed(data[:good]) if good else []
            begin = good - self._framer.unfinished
            self._waiting = data[begin:]
            error = None if good == len(data) else self._failure(data[: good + 1])
            self._fails = error is not None
            if error is None:
                return pieces
            found = self._framer.begins.search(self._waiting, 1)
            if found is None and not last and len(self._waiting) <= MAX_RECORD:
                return pieces
            end = len(self._waiting) if found is None else found.end()
            pieces.append(_mistake(self._waiting[:end], error))
            self._waiting = self._waiting[end:]

    def _sound(self, data: bytes) -> int:
        """How many of these bytes a new framer takes; looked for from the beginning, where most fail."""
        size = 1
        while size < len(data) and self._failure(data[:size]) is None:
            size *= 2
        sizes = range(min(size, len(data)) + 1)
        first = bisect_left(
            sizes, True, lo=max(1, size // 2), key=lambda at: self._failure(data[:at]) is not None
        )
        return first - 1

    def _failure(self, data: bytes) -> Exception | None:
        try:
            self._frame().feed(data)
        except BUGS as error:
            return error
        return None


def put_aside(piece: Piece) -> Quarantined:
    """A piece that is no record."""
    assert piece.fault is not None
    return Quarantined(piece.raw, piece.fault, piece.detail, bug=piece.bug)


def _mistake(raw: bytes, error: Exception) -> Piece:
    bug = f"{type(error).__name__} at {_place(error)}"
    return Piece(raw, Reason.MALFORMED, f"a bug of this program: {bug}: {error}"[:MAX_TEXT], bug)


def _place(error: Exception) -> str:
    """File and line of the mistake: what a bug report needs."""
    step = error.__traceback__
    assert step is not None
    while step.tb_next is not None:
        step = step.tb_next
    return f"{step.tb_frame.f_code.co_filename.rpartition('/')[2]}:{step.tb_lineno}"


def _checked(reading: Reading) -> Reading:
    """Time runs forwards in every record and no text is endless; one where it is not so is quarantined."""
    if not isinstance(reading, Cdr):
        return reading
    for name in TEXTS:
        if len(getattr(reading, name)) > MAX_TEXT:
            detail = f"{name}: expected at most {MAX_TEXT} characters, found {len(getattr(reading, name))}"
            return Quarantined(reading.raw, Reason.INVALID, detail, reading.call_ref)
    answer_ms = reading.setup_ms if reading.answer_ms is None else reading.answer_ms
    instants = (0, reading.setup_ms, answer_ms, reading.end_ms, LAST_S * 1_000)
    if list(instants) == sorted(instants) and reading.talk_s >= 0:
        return reading
    detail = f"set-up {reading.setup_ms}, answer {reading.answer_ms}, end {reading.end_ms} ms run backwards"
    return Quarantined(reading.raw, Reason.INVALID, detail, reading.call_ref)
