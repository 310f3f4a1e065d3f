"""Call records of Cisco Unified Communications Manager: files whose first line names the columns.

Source: design pbx-integrations.md 8 and the vendor's "CDR field descriptions". Columns are read by name, for
versions differ; the second line tells their types. Each leg of a call has a record of its own. A forwarded or
transferred call has the last one who did it in lastRedirectDn; he answers for it.
"""

import re
from collections.abc import Sequence
from typing import Final

from telephony.cdr.fields import Fields, q850
from telephony.cdr.framing import Lines
from telephony.cdr.reading import Origin, Parser, Part, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.tables import cells, named

_FIRST: Final = "cdrRecordType"
_TYPE: Final = re.compile(r"(INTEGER|UNIQUEIDENTIFIER|VARCHAR\([0-9]+\)|BIGINT)", re.IGNORECASE)
_QUALITY: Final = "2"
"""cdrRecordType of a CMR, which tells the quality of a call and nothing that is billed."""
_TRANSFER, _CONFERENCE = "10", "4"
"""lastRedirectRedirectOnBehalfOf: what led the call on, if it was not forwarded."""


def parser(origin: Origin, trunks: Sequence[str] = ()) -> Parser:
    """Reads files one behind the other; `trunks`: beginnings of the device names of lines."""
    return Stream(Lines, _Reader(origin, tuple(trunks)))


class _Reader:
    def __init__(self, origin: Origin, trunks: tuple[str, ...]) -> None:
        self._origin = origin
        self._trunks = trunks
        self._columns: tuple[str, ...] = ()

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        row = cells(raw.removeprefix(b"\xef\xbb\xbf"))
        if row[:1] == [_FIRST]:
            if len(set(row)) != len(row):
                raise UnreadableError(Reason.MALFORMED, "a name of a column stands there twice")
            self._columns = tuple(row)
            return [Part("", raw)]
        if all(_TYPE.fullmatch(cell.strip()) for cell in row):
            return []
        if not self._columns:
            raise UnreadableError(Reason.MALFORMED, f"expected a first line of names, {_FIRST},…")
        record = Fields(named(self._columns, row), self._origin.zone)
        if record.need(_FIRST) == _QUALITY:
            return []
        return [_cdr(record, self._origin, self._trunks, raw)]


def _cdr(record: Fields, origin: Origin, trunks: tuple[str, ...], raw: bytes) -> Cdr:
    setup_ms, answer_ms = record.epoch_ms("dateTimeOrigination"), record.epoch_ms("dateTimeConnect")
    end_ms = record.epoch_ms("dateTimeDisconnect")
    if setup_ms is None or end_ms is None:
        raise UnreadableError(Reason.MISSING, "no dateTimeOrigination or no dateTimeDisconnect")
    talk_s = record.seconds("duration")
    if talk_s is None or answer_ms is None:
        talk_s = 0 if answer_ms is None else (end_ms - answer_ms) // 1_000
    caller, called = record.get("callingPartyNumber"), record.get("finalCalledPartyNumber")
    dialled = record.get("originalCalledPartyNumber")
    forwarder, transferrer = _redirected(record, called, dialled)
    return Cdr(
        source=origin.source,
        call_ref="/".join(
            (
                record.get("globalCallId_ClusterID"),
                record.need("globalCallID_callManagerId"),
                record.need("globalCallID_callId"),
            )
        ),
        leg="/".join((record.need("origLegCallIdentifier"), record.get("destLegIdentifier"))),
        pbx=origin.pbx,
        direction=Direction.IN if record.get("origDeviceName").startswith(trunks) else Direction.OUT,
        kind=Kind.VOICE,
        caller=caller,
        called=called or dialled,
        dialled=dialled or called,
        account=forwarder or transferrer or caller,
        setup_ms=setup_ms,
        answer_ms=answer_ms,
        end_ms=end_ms,
        talk_s=talk_s,
        cause=q850(record.whole("destCause_value")) or q850(record.whole("origCause_value")),
        forwarded_by=forwarder,
        transferred_by=transferrer,
        raw=raw,
    )


def _redirected(record: Fields, called: str, dialled: str) -> tuple[str, str]:
    """Who forwarded, who transferred; at most one of them is not ""."""
    last, why = record.get("lastRedirectDn"), record.get("lastRedirectRedirectOnBehalfOf")
    if called == dialled or last in ("", called) or why == _CONFERENCE:
        return "", ""
    return ("", last) if why == _TRANSFER else (last, "")
