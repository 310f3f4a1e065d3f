"""Call records of 3CX: the columns that its administrator chose, in his order and with his separator.

Source: design pbx-integrations.md 7 (vendor documentation; no authentic line was found). A number with `Ext.`
before it is an extension. Talk time is the difference of time-answered and time-end.
"""

from collections.abc import Sequence
from typing import Final

from telephony.cdr.fields import Fields
from telephony.cdr.framing import Lines
from telephony.cdr.reading import Origin, Parser, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.tables import cells, named
from telephony.cdr.times import laid_out, whole_seconds

FIELDS: Final = (
    "historyid", "callid", "duration", "time-start", "time-answered", "time-end", "reason-terminated",
    "from-no", "to-no", "from-dn", "to-dn", "dial-no", "reason-changed", "final-number", "final-dn",
    "bill-code", "bill-rate", "bill-cost", "bill-name", "chain", "from-type", "to-type", "final-type",
    "from-dispname", "to-dispname", "final-dispname", "missed-queue-calls",
)  # fmt: skip
"""All that 3CX can write, in the order of its documentation."""

NEEDED: Final = ("time-start", "time-answered", "time-end", "from-no", "to-no")
"""Without these, and one of historyid and callid, no record can be made."""

_EXTENSION: Final = "Ext."
_NORMAL: Final = (
    "TerminatedBySrc",
    "TerminatedByDst",
    "src_participant_terminated",
    "dst_participant_terminated",
)


def parser(origin: Origin, columns: Sequence[str], separator: str = ",") -> Parser:
    """Reads a line for each call; `columns` as configured in 3CX, never guessed."""
    return Stream(Lines, _Reader(origin, tuple(columns), separator))


def wrong_columns(columns: Sequence[str]) -> str | None:
    """What is wrong with such a list of columns and what would be right; None when it will do."""
    for name in columns:
        if name not in FIELDS:
            return f'3CX has no field "{name}"; it has {", ".join(FIELDS)}'
        if columns.count(name) > 1:
            return f"{name} stands there twice; each line has it once"
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        return f"without {', '.join(missing)} there is no record; add it in 3CX and here"
    if "historyid" not in columns and "callid" not in columns:
        return "without historyid or callid a record has no key; add one in 3CX and here"
    return None


class _Reader:
    def __init__(self, origin: Origin, columns: tuple[str, ...], separator: str) -> None:
        self._origin = origin
        self._columns = columns
        self._separator = separator

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        record = Fields(named(self._columns, cells(raw, self._separator)), self._origin.zone)
        return [_cdr(record, self._origin, raw)]


def _cdr(record: Fields, origin: Origin, raw: bytes) -> Cdr:
    starts, answers, ends = (record.instants(f"time-{what}") for what in ("start", "answered", "end"))
    if not starts or not ends:
        raise UnreadableError(Reason.MISSING, "no time-start or no time-end")
    setup_ms, answer_ms, end_ms = laid_out(starts, answers, ends, None)
    caller, to = record.get("from-no"), record.get("to-no")
    transferred = record.get("reason-changed").startswith("Replaced")
    history, call = record.get("historyid"), record.get("callid")
    return Cdr(
        source=origin.source,
        call_ref=call or record.need("historyid", "callid"),
        leg=history,
        pbx=origin.pbx,
        direction=Direction.OUT if caller.startswith(_EXTENSION) else Direction.IN,
        kind=Kind.VOICE,
        caller=_number(caller),
        called=_number(record.get("final-number") or to),
        dialled=_number(record.get("dial-no") or to),
        account=_number(record.get("from-dn") or caller),
        setup_ms=setup_ms,
        answer_ms=answer_ms,
        end_ms=end_ms,
        talk_s=0 if answer_ms is None else whole_seconds(end_ms - answer_ms),
        cause=16 if record.get("reason-terminated") in _NORMAL else None,
        forwarded_by="",
        transferred_by=_number(to) if transferred else "",
        raw=raw,
    )


def _number(text: str) -> str:
    return text.removeprefix(_EXTENSION)
