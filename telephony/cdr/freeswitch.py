"""Call records of FreeSWITCH: cdr_csv by the names of its template, json_cdr and xml_cdr by their variables.

Source: design pbx-integrations.md 6 (vendor documentation, sample data only). The leg that came into the
switch (`direction` inbound) placed the call, the one it made for it (outbound) received it. Of a transferred
call only `variables` are read: the first profile of the call flow holds where it was transferred to.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from telephony.address import read_aor
from telephony.cdr.fields import Fields, q850
from telephony.cdr.framing import Elements, Lines, Objects
from telephony.cdr.json_text import inside, read_object, texts
from telephony.cdr.reading import Origin, Parser, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.tables import cells, named
from telephony.cdr.times import laid_out, whole_seconds
from telephony.cdr.xml_document import read_element

EXAMPLE: Final = (
    "caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp", "answer_stamp",
    "end_stamp", "duration", "billsec", "hangup_cause", "uuid", "bleg_uuid", "accountcode", "read_codec",
    "write_codec",
)  # fmt: skip
"""Columns of the template "example" of cdr_csv.conf."""

MAX_DOCUMENT: Final = 524_288
"""Bytes of one JSON or XML record: all variables and the whole call flow are in it."""

_CAUSES: Final = {
    "UNALLOCATED_NUMBER": 1, "NO_ROUTE_DESTINATION": 3, "NORMAL_CLEARING": 16, "USER_BUSY": 17,
    "NO_USER_RESPONSE": 18, "NO_ANSWER": 19, "SUBSCRIBER_ABSENT": 20, "CALL_REJECTED": 21,
    "NUMBER_CHANGED": 22, "DESTINATION_OUT_OF_ORDER": 27, "INVALID_NUMBER_FORMAT": 28,
    "NORMAL_UNSPECIFIED": 31, "NORMAL_CIRCUIT_CONGESTION": 34, "NETWORK_OUT_OF_ORDER": 38,
    "NORMAL_TEMPORARY_FAILURE": 41, "SWITCH_CONGESTION": 42, "OUTGOING_CALL_BARRED": 52,
    "INCOMING_CALL_BARRED": 54, "BEARERCAPABILITY_NOTAVAIL": 58, "INCOMPATIBLE_DESTINATION": 88,
    "RECOVERY_ON_TIMER_EXPIRE": 102, "INTERWORKING": 127,
}  # fmt: skip


def csv_parser(origin: Origin, columns: Sequence[str] = EXAMPLE, trunks: Sequence[str] = ()) -> Parser:
    """Reads a file of cdr_csv; `columns` are the variables of its template, `trunks` contexts of lines."""
    return Stream(Lines, _CsvReader(origin, tuple(columns), trunks))


def json_parser(origin: Origin, trunks: Sequence[str] = ()) -> Parser:
    """Reads what json_cdr posts or writes, one object after the other."""
    return Stream(lambda: Objects(MAX_DOCUMENT), _JsonReader(origin, trunks))


def xml_parser(origin: Origin, trunks: Sequence[str] = ()) -> Parser:
    """Reads what xml_cdr posts (its `cdr=` decoded) or writes, one document after the other."""
    return Stream(lambda: Elements(b"cdr", MAX_DOCUMENT), _XmlReader(origin, trunks))


class _CsvReader:
    def __init__(self, origin: Origin, columns: tuple[str, ...], trunks: Sequence[str]) -> None:
        self._origin = origin
        self._columns = columns
        self._trunks = frozenset(trunks)

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        values = named(self._columns, cells(raw))
        return [_cdr(Fields(values, self._origin.zone), self._origin, self._trunks, raw)]


class _JsonReader:
    def __init__(self, origin: Origin, trunks: Sequence[str]) -> None:
        self._origin = origin
        self._trunks = frozenset(trunks)

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        values = texts(inside(read_object(raw), "variables"))
        if not values:
            raise UnreadableError(Reason.MISSING, "no variables")
        return [_cdr(Fields(values, self._origin.zone), self._origin, self._trunks, raw)]


class _XmlReader:
    def __init__(self, origin: Origin, trunks: Sequence[str]) -> None:
        self._origin = origin
        self._trunks = frozenset(trunks)

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        variables = read_element(raw, "cdr").first("variables")
        if variables is None:
            raise UnreadableError(Reason.MISSING, "no <variables>")
        values: dict[str, str] = {}
        for element in variables.children:
            if element.name in values:
                raise UnreadableError(Reason.MALFORMED, f"<{element.name[:60]}> stands there twice")
            values[element.name] = unquote(element.text)
        return [_cdr(Fields(values, self._origin.zone), self._origin, self._trunks, raw)]


def _cdr(record: Fields, origin: Origin, trunks: frozenset[str], raw: bytes) -> Cdr:
    setups, answers, ends = (_instants(record, name) for name in ("start", "answer", "end"))
    if not setups or not ends:
        raise UnreadableError(Reason.MISSING, "no start_epoch or start_stamp, or none of the end")
    setup_ms, answer_ms, end_ms = laid_out(setups, answers, ends, record.milliseconds("duration"))
    received = record.get("direction") == "outbound"
    caller = record.get("sip_from_user", "caller_id_number")
    called = record.get("destination_number", "sip_to_user")
    forwarder, transferrer = _user(record.get("sip_h_Diversion")), _user(record.get("sip_h_Referred-By"))
    return Cdr(
        source=origin.source,
        call_ref=record.need("uuid"),
        leg="b" if received else "a",
        pbx=origin.pbx,
        direction=Direction.IN if received or record.get("context") in trunks else Direction.OUT,
        kind=Kind.VOICE,
        caller=caller,
        called=called,
        dialled=record.get("sip_to_user", "destination_number"),
        account=record.get("accountcode") or forwarder or transferrer or caller,
        setup_ms=setup_ms,
        answer_ms=answer_ms,
        end_ms=end_ms,
        talk_s=0 if answer_ms is None else _talk_s(record, end_ms - answer_ms),
        cause=_cause(record),
        forwarded_by=forwarder,
        transferred_by=transferrer,
        raw=raw,
    )


def _instants(record: Fields, name: str) -> tuple[int, ...]:
    """UTC epoch ms of `start`, `answer` or `end`: its epoch where there is one, else its local stamp."""
    at_ms = record.epoch_ms(f"{name}_epoch")
    if at_ms is not None:
        return (at_ms,)
    return () if record.get(f"{name}_epoch") else record.instants(f"{name}_stamp")


def _talk_s(record: Fields, difference_ms: int) -> int:
    """The switch's own count, in ms where it gives it."""
    billed_ms, billed_s = record.whole("billmsec"), record.seconds("billsec")
    if billed_ms is not None:
        return whole_seconds(billed_ms)
    return whole_seconds(difference_ms) if billed_s is None else billed_s


def _cause(record: Fields) -> int | None:
    number = record.get("hangup_cause_q850")
    if number.isascii() and number.isdigit() and len(number) < 4:
        return q850(int(number))
    return _CAUSES.get(record.get("hangup_cause"))


def _user(header: str) -> str:
    """User part of the URI in a header of SIP, `"Anna" <sip:201@host>;reason=unknown`."""
    uri = header.partition("<")[2].partition(">")[0] or header.partition(";")[0]
    aor = read_aor(uri.strip().encode())
    return "" if aor is None else aor.user
