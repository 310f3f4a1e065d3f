"""An administrator's own mapping: which column of a CSV or JSON record is which field of a Cdr.

So a PBX is added without code. `faults` says all that is wrong with a mapping, each at its place;
agent/call_mapping.py reads it from a file.
"""

from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from telephony.cdr.fields import Fields, invalid, q850
from telephony.cdr.framing import Lines, Objects
from telephony.cdr.json_text import read_object
from telephony.cdr.reading import Origin, Parser, Part, Reader, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.tables import cells, named
from telephony.cdr.time_format import TimeFormat
from telephony.cdr.times import laid_out, read_clock_ms, read_whole_seconds, whole_seconds

E = TypeVar("E", bound=StrEnum)


class Form(StrEnum):
    """How records are written."""

    CSV = "csv"
    JSON = "json"


TEXTS: Final = (
    "call_ref", "leg", "caller", "called", "dialled", "account", "cause", "forwarded_by", "transferred_by",
)  # fmt: skip
TIMES: Final = ("setup", "answer", "end")
NAMES: Final = (*TEXTS, *TIMES, "talk", "direction", "kind")
"""Fields of a Cdr that a column may fill; the names of times without their unit."""
TRANSLATED: Final[dict[str, tuple[str, ...]]] = {"direction": tuple(Direction), "kind": tuple(Kind)}
"""Fields whose words must be translated, and into what."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """`columns` of a CSV in their order, or None when the first line names them; unused for JSON.

    `fields`: name of a field to a column, or for JSON to keys with points between them. `values`: field, then
    word of the PBX to ours.
    """

    form: Form
    fields: AnyMapping[str, str]
    time: TimeFormat
    columns: tuple[str, ...] | None = None
    separator: str = ","
    values: AnyMapping[str, AnyMapping[str, str]] = field(default_factory=dict)


class Fault(NamedTuple):
    """What is wrong at a place of the mapping, and what would be right."""

    at: tuple[str, ...]
    message: str


def faults(mapping: Mapping) -> list[Fault]:
    """All that is wrong with a mapping; none: `parser` may have it."""
    found = [
        Fault(("fields", name), f"not a field of a call record; expected one of {', '.join(NAMES)}")
        for name in mapping.fields
        if name not in NAMES
    ]
    for names, what in _NEEDED:
        if not any(name in mapping.fields for name in names):
            found.append(Fault(("fields",), f"no column for {' or '.join(names)}, {what}"))
    if mapping.form is Form.CSV and mapping.columns is not None:
        found += _wrong_columns(mapping.fields, mapping.columns)
    return found + _untranslated(mapping)


_NEEDED: Final = (
    (("call_ref",), "by which a record is known when it comes twice"),
    (("caller",), "the number that calls"),
    (("called",), "the number that is reached"),
    (("setup", "answer"), "when the call was"),
    (("talk", "end"), "how long it was"),
)


def _wrong_columns(fields: AnyMapping[str, str], columns: Sequence[str]) -> list[Fault]:
    """Fields whose column is not there, and columns of one name."""
    twice = sorted({column for column in columns if columns.count(column) > 1})
    return [Fault(("columns",), f'"{column}" stands there twice; give each its name') for column in twice] + [
        Fault(("fields", name), f'no column "{column}"; there are {", ".join(columns)}')
        for name, column in fields.items()
        if column not in columns
    ]


def _untranslated(mapping: Mapping) -> list[Fault]:
    found = []
    for name, words in TRANSLATED.items():
        given = mapping.values.get(name, {})
        if name in mapping.fields and not given:
            found.append(Fault(("values",), f"no {name}: say which word means {', '.join(words)}"))
        for word, meaning in given.items():
            if meaning not in words:
                found.append(Fault(("values", name, word), f'expected {", ".join(words)}, found "{meaning}"'))
    foreign = [name for name in mapping.values if name not in TRANSLATED]
    return found + [Fault(("values", n), f"only {' and '.join(TRANSLATED)} are translated") for n in foreign]


def parser(origin: Origin, mapping: Mapping) -> Parser:
    """Reads what this mapping describes: a CSV record a line, or JSON objects one after the other."""
    assert not faults(mapping)
    if mapping.form is Form.JSON:
        return Stream(Objects, _JsonReader(origin, mapping))
    reader: Reader = _CsvReader(origin, mapping)
    return Stream(Lines, reader)


class _CsvReader:
    def __init__(self, origin: Origin, mapping: Mapping) -> None:
        self._origin = origin
        self._mapping = mapping
        self._columns = mapping.columns

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        row = cells(raw.removeprefix(b"\xef\xbb\xbf"), self._mapping.separator)
        if self._mapping.columns is None and (self._columns is None or tuple(row) == self._columns):
            return [self._header(row, raw)]
        assert self._columns is not None
        return [_cdr(named(self._columns, row), self._origin, self._mapping, raw)]

    def _header(self, row: list[str], raw: bytes) -> Part:
        wrong = _wrong_columns(self._mapping.fields, row)
        if wrong:
            raise UnreadableError(Reason.MALFORMED, f"the first line names the columns: {wrong[0].message}")
        self._columns = tuple(row)
        return Part("", raw)


class _JsonReader:
    def __init__(self, origin: Origin, mapping: Mapping) -> None:
        self._origin = origin
        self._mapping = mapping

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        values = read_object(raw)
        paths = set(self._mapping.fields.values())
        flat = {path: text for path in paths if (text := _at(values, path.split("."))) is not None}
        return [_cdr(flat, self._origin, self._mapping, raw)]


def _at(values: dict[str, object], path: Sequence[str]) -> str | None:
    value: object = values
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _cdr(columns: dict[str, str], origin: Origin, mapping: Mapping, raw: bytes) -> Cdr:
    record = Fields({name: columns.get(column, "") for name, column in mapping.fields.items()}, origin.zone)
    talk_s = _talk_s(record)
    setup_ms, answer_ms, end_ms = _times(record, origin, mapping, talk_s)
    caller, called = record.get("caller"), record.get("called")
    if talk_s is None:
        talk_s = 0 if answer_ms is None else whole_seconds(end_ms - answer_ms)
    cause = record.get("cause")
    return Cdr(
        source=origin.source,
        call_ref=record.need("call_ref"),
        leg=record.get("leg"),
        pbx=origin.pbx,
        direction=_translated(record, mapping, "direction", Direction.OUT),
        kind=_translated(record, mapping, "kind", Kind.VOICE),
        caller=caller,
        called=called,
        dialled=record.get("dialled") or called,
        account=record.get("account", "forwarded_by", "transferred_by", "caller"),
        setup_ms=setup_ms,
        answer_ms=answer_ms,
        end_ms=end_ms,
        talk_s=0 if answer_ms is None else talk_s,
        cause=q850(int(cause)) if cause.isascii() and cause.isdigit() and len(cause) < 4 else None,
        forwarded_by=record.get("forwarded_by"),
        transferred_by=record.get("transferred_by"),
        raw=raw,
    )


def _talk_s(record: Fields) -> int | None:
    """Seconds, with or without fraction, or a clock such as 00:01:22; None when there is no such column."""
    value = record.get("talk")
    if not value:
        return None
    clock_ms = read_clock_ms(value)
    seconds = read_whole_seconds(value) if clock_ms is None else whole_seconds(clock_ms)
    if seconds is None:
        raise invalid("talk", value, "seconds, or hours, minutes and seconds as in 00:01:22")
    return seconds


def _times(
    record: Fields, origin: Origin, mapping: Mapping, talk_s: int | None
) -> tuple[int, int | None, int]:
    """Set-up, answer and end; what is not there follows from the others.

    Without a column for the answer a call was answered when there was talk: so many seconds before the end,
    or without an end at the set-up.
    """
    setups, answers, ends = (_instants(record, name, origin, mapping) for name in TIMES)
    talk_ms = None if talk_s is None else talk_s * 1_000
    if "answer" not in mapping.fields and talk_ms and setups:
        answers = tuple(end - talk_ms for end in ends) or setups
    begins = answers or setups
    if not begins:
        raise UnreadableError(Reason.MISSING, "no time of set-up and no time of answer")
    begin_ms, _, end_ms = laid_out(begins, (), ends or [at + (talk_ms or 0) for at in begins], talk_ms)
    if not answers:
        return begin_ms, None, end_ms
    setup_ms = max((at for at in setups if at <= begin_ms), default=begin_ms if not setups else setups[0])
    return setup_ms, begin_ms, end_ms


def _instants(record: Fields, name: str, origin: Origin, mapping: Mapping) -> tuple[int, ...]:
    value = record.get(name)
    if not value:
        return ()
    found = mapping.time.read(value, origin.zone)
    if found is None:
        raise invalid(name, value, f"a time as in {mapping.time.text}")
    return found


def _translated(record: Fields, mapping: Mapping, name: str, default: E) -> E:
    word = record.get(name)
    if not word:
        return default
    meaning = mapping.values.get(name, {}).get(word)
    if meaning is None:
        raise invalid(name, word, f"one of {', '.join(mapping.values.get(name, {}))}")
    return type(default)(meaning)
