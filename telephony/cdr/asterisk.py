"""Call records of Asterisk: the files of cdr_csv and cdr_custom, and what they share with the AMI event.

Source: design pbx-integrations.md 3.3 (recorded with Asterisk 22). One record for each pair of channels that
were bridged; several of one channel may overlap (rooms), and telephony.cdr.payer counts no second twice.
A channel that was called and whose caller has left by a transfer has a record without dst: src is who was
called, and accountcode that of who called.
"""

from collections.abc import Sequence
from typing import Final

from telephony.cdr.fields import Fields, invalid
from telephony.cdr.framing import Lines
from telephony.cdr.reading import Origin, Parser, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.tables import cells, named
from telephony.cdr.times import laid_out, whole_seconds

MASTER: Final = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
    "start", "answer", "end", "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield",
)  # fmt: skip
"""Columns of Master.csv; userfield and uniqueid are there with `loguserfield` and `loguniqueid`."""

SHIPPED: Final = (
    "accountcode", "clid", "src", "dst", "channel", "dstchannel", "start", "answer", "end",
    "duration", "billsec", "disposition", "uniqueid", "linkedid", "sequence",
)  # fmt: skip
"""Columns of the cdr_custom mapping that we recommend (docs/call-records.md)."""

_MASTER_WIDTHS: Final = (16, 17, 18)
_CAUSES: Final = {"BUSY": 17, "NO ANSWER": 19, "CONGESTION": 34}
_ANSWERED: Final = "ANSWERED"
_DISPOSITIONS: Final = frozenset((_ANSWERED, "FAILED", *_CAUSES))


def master_parser(origin: Origin, trunks: Sequence[str] = ()) -> Parser:
    """Reads Master.csv. `trunks`: beginnings of channel names of lines, as in `PJSIP/carrier-`."""
    return Stream(Lines, CsvReader(origin, None, trunks))


def custom_parser(origin: Origin, columns: Sequence[str] = SHIPPED, trunks: Sequence[str] = ()) -> Parser:
    """Reads a file of cdr_custom with these columns, named as `CDR(name)` in its mapping."""
    return Stream(Lines, CsvReader(origin, tuple(columns), trunks))


class CsvReader:
    """Reads one line; without `columns` those of Master.csv."""

    def __init__(self, origin: Origin, columns: tuple[str, ...] | None, trunks: Sequence[str]) -> None:
        self._origin = origin
        self._columns = columns
        self._trunks = tuple(trunks)

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        row = cells(raw)
        columns = self._columns
        if columns is None:
            if len(row) not in _MASTER_WIDTHS:
                detail = f"expected 16, 17 or 18 columns, found {len(row)}; is this Master.csv?"
                raise UnreadableError(Reason.MALFORMED, detail)
            columns = _master(row)
        values = named(columns, row)
        return [cdr(Fields(values, self._origin.zone), self._origin, raw, self._trunks)]


def _master(row: Sequence[str]) -> tuple[str, ...]:
    """The columns of a line; the 17th alone may be either of the two that have a switch."""
    if len(row) == 17 and not _looks_unique(row[16]):
        return (*MASTER[:16], "userfield")
    return MASTER[: len(row)]


def _looks_unique(text: str) -> bool:
    """Whether it has the form of a uniqueid: [name-]seconds.number."""
    seconds, point, number = text.rpartition("-")[2].partition(".")
    return bool(point) and seconds.isdigit() and number.isdigit()


def cdr(record: Fields, origin: Origin, raw: bytes, trunks: tuple[str, ...]) -> Cdr:
    """The Cdr of fields named as in `CDR(name)`; UnreadableError says which of them is missing or wrong."""
    disposition = record.need("disposition")
    if disposition not in _DISPOSITIONS:
        raise invalid("disposition", disposition, "ANSWERED, NO ANSWER, BUSY, FAILED or CONGESTION")
    answered = disposition == _ANSWERED
    duration_ms = record.milliseconds("duration")
    starts, ends = record.instants("start"), record.instants("end")
    if not starts or not ends:
        raise UnreadableError(Reason.MISSING, "no start or no end")
    answers = record.instants("answer") if answered else ()
    setup_ms, answer_ms, end_ms = laid_out(starts, answers, ends, duration_ms)
    talk_s = record.seconds("billsec")
    if talk_s is None:
        talk_s = 0 if answer_ms is None else whole_seconds(end_ms - answer_ms)
    account, caller, called = (record.get(name) for name in ("accountcode", "src", "dst"))
    if _goes_on(record):
        caller, called = "", caller
    call_ref, leg = _key(record)
    return Cdr(
        source=origin.source,
        call_ref=call_ref,
        leg=leg,
        pbx=origin.pbx,
        direction=_direction(record, trunks),
        kind=Kind.VOICE,
        caller=caller,
        called=called,
        dialled=called,
        account=account or caller,
        setup_ms=setup_ms,
        answer_ms=answer_ms,
        end_ms=end_ms,
        talk_s=talk_s if answer_ms is not None else 0,
        cause=16 if answered else _CAUSES.get(disposition),
        forwarded_by="",
        transferred_by="",
        raw=raw,
    )


def _goes_on(record: Fields) -> bool:
    """Whether it is the rest of a line whose caller has left it by a transfer (attended, so without dst)."""
    return bool(record.get("dstchannel") and record.get("src") and not record.get("dst"))


def _direction(record: Fields, trunks: tuple[str, ...]) -> Direction:
    """What comes in from a line was placed by nobody here; where an account led it on to a line, by him."""
    lines = (record.get("channel").startswith(trunks), record.get("dstchannel").startswith(trunks))
    if not lines[0] and not _goes_on(record):
        return Direction.OUT
    led = bool(record.get("accountcode")) and (lines[1] or _goes_on(record))
    return Direction.OUT if led else Direction.IN


def _key(record: Fields) -> tuple[str, str]:
    """linkedid and uniqueid, then sequence; where the file lacks them, what tells two records apart.

    Without sequence one channel has several records in a room, with another channel or another start each.
    """
    linked, unique = record.get("linkedid"), record.get("uniqueid")
    sequence = record.get("sequence")
    if sequence and (linked or unique):
        return "/".join(part for part in (linked, unique) if part), sequence
    parts = [record.get(name) for name in ("channel", "dstchannel", "start", "answer", "end", "dst")]
    if linked or unique:
        return "/".join(part for part in (linked, unique) if part), "/".join(parts[1:3])
    if not any(parts[:2]):
        raise UnreadableError(Reason.MISSING, "no uniqueid, no linkedid and no channel: records have no key")
    return "/".join((parts[0], parts[2])), "/".join(parts[1:2] + parts[3:])
