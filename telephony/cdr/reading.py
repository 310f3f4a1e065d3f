"""What a parser of call records gives: a record, a part of one, or what it could not read, with the bytes.

    parser = asterisk.csv_parser(origin, asterisk.SHIPPED)
    for reading in parser.feed(data, now_ms): ...

Bytes go in as they come and nothing is lost: each byte but empty lines comes out in the `raw` of a reading,
or is still counted by `unfinished`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from telephony.cdr.record import Cdr
from telephony.cdr.times import LAST_S, UTC, Zone

MAX_RECORD: Final = 65_536
"""Bytes of one record, or of one line; what is longer is quarantined in pieces of this size."""


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
    a reader made a mistake, which is not the fault of these bytes.
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
"""What a mistake of a reader raises. It costs one record, which waits in quarantine until it is mended."""


class UnreadableError(Exception):
    """A record cannot be read; caught in `Stream`, where it becomes a quarantine."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Piece:
    """What a framer cut out of a stream; `fault` says why it is no record (then `detail` too)."""

    raw: bytes
    fault: Reason | None = None
    detail: str = ""


class Framer(Protocol):
    """Cuts a stream into records; how the bytes were split on their way makes no difference."""

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
        self._framer = frame()
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
                readings.append(Quarantined(piece.raw, piece.fault, piece.detail))
                continue
            try:
                found = self._reader.read(piece.raw, now_ms)
            except UnreadableError as error:
                readings.append(Quarantined(piece.raw, error.reason, error.detail))
            except BUGS as error:
                bug = f"{type(error).__name__} at {_place(error)}"
                detail = f"a bug of this program: {bug}: {error}"
                readings.append(Quarantined(piece.raw, Reason.MALFORMED, detail, bug=bug))
            else:
                readings += [_forwards(reading) for reading in found]
        return readings


def _place(error: Exception) -> str:
    """File and line of the mistake: what a bug report needs."""
    step = error.__traceback__
    assert step is not None
    while step.tb_next is not None:
        step = step.tb_next
    return f"{step.tb_frame.f_code.co_filename.rpartition('/')[2]}:{step.tb_lineno}"


def _forwards(reading: Reading) -> Reading:
    """Time runs forwards in every record: one in which it does not is quarantined, whatever the dialect."""
    if not isinstance(reading, Cdr):
        return reading
    answer_ms = reading.setup_ms if reading.answer_ms is None else reading.answer_ms
    instants = (0, reading.setup_ms, answer_ms, reading.end_ms, LAST_S * 1_000)
    if list(instants) == sorted(instants) and reading.talk_s >= 0:
        return reading
    detail = f"set-up {reading.setup_ms}, answer {reading.answer_ms}, end {reading.end_ms} ms run backwards"
    return Quarantined(reading.raw, Reason.INVALID, detail, reading.call_ref)
