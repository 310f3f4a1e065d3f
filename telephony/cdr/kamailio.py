"""Call records of Kamailio's acc module: transactions by syslog or JSON, INVITE joined to BYE; dialog CDRs.

Source: design pbx-integrations.md 4.3 (recorded with Kamailio 5.6). A proxy sees no set-up apart from the
answer. Tags are swapped in a BYE of the callee; call id and both tags name a call. A challenge (401, 407) is
no call. Lines of a log that are no accounting are passed over.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from telephony.address import read_aor
from telephony.cdr.fields import Fields, invalid, text_of
from telephony.cdr.framing import Lines
from telephony.cdr.json_text import inside, read_object, texts
from telephony.cdr.pending import Pending
from telephony.cdr.reading import Origin, Parser, Part, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.sip_causes import cause_of
from telephony.cdr.times import whole_seconds

_ACC: Final = b"ACC: "
_TRANSACTION: Final = re.compile(rb"[a-z ]{1,40}: (timestamp=.*)", re.DOTALL)
_DIALOG: Final = re.compile(rb"(?:^|[ :])(start_time=.*)", re.DOTALL)
_CHALLENGES: Final = (401, 407)
_GONE: Final = (408, 481)
"""A BYE that finds nobody there ends the call as well."""


class Counted(Enum):
    """What an answered call is taken from; both would count it twice."""

    TRANSACTIONS = "transactions"
    """INVITE and BYE, joined."""
    DIALOGS = "dialogs"
    """The CDR lines of `cdr_enable` and `cdr_log_enable`, with `cdr_start_on_confirmed`."""


def log_parser(origin: Origin, counted: Counted = Counted.TRANSACTIONS) -> Parser:
    """Reads the log, as syslog or stderr have it; refused calls come from its transactions in either case."""
    return Stream(Lines, _LogReader(origin, counted))


def json_parser(origin: Origin) -> Parser:
    """Reads a JSON object a line: what acc_json wrote, alone or as `data` of an evapi line `"ev":"acc"`."""
    return Stream(Lines, _JsonReader(origin))


@dataclass(slots=True)
class _Call:
    """An answered INVITE that waits for its BYE."""

    answer_ms: int | None = None
    caller: str = ""
    called: str = ""


class _Joiner:
    """Takes accounted transactions; gives a record for each BYE and for each INVITE that was refused."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._calls = Pending(_Call)

    def take(self, record: Fields, raw: bytes, now_ms: int, counted: Counted) -> list[Reading]:
        method, at_ms = record.need("method"), _at_ms(record)
        status = record.whole("sip_code")
        if status is None or not 200 <= status < 700:
            raise invalid("code", record.get("sip_code"), "a final SIP status")
        tags = sorted((record.get("from_tag"), record.get("to_tag")))
        call_ref = "/".join((record.need("callid"), *tags))
        if method == "BYE" and (status < 300 or status in _GONE):
            return [] if counted is Counted.DIALOGS else self._ended(call_ref, at_ms, raw, now_ms)
        if method != "INVITE" or status in _CHALLENGES:
            return []
        if status >= 300:
            return [self._refused(record, call_ref, at_ms, status, raw)]
        if counted is Counted.DIALOGS:
            return []
        call = self._calls.add(call_ref, raw, now_ms)
        if call.state.answer_ms is None:  # a re-INVITE changes nothing
            call.state = _Call(at_ms, _user(record, "src_user", "from"), _user(record, "dst_user", "to"))
        return [Part(call_ref, raw), *self._calls.overdue(call_ref, now_ms)]

    def _ended(self, call_ref: str, at_ms: int, raw: bytes, now_ms: int) -> list[Reading]:
        if self._calls.get(call_ref) is None:
            raise UnreadableError(Reason.NO_BEGINNING, "a BYE whose INVITE was not seen")
        call = self._calls.add(call_ref, raw, now_ms)
        self._calls.close(call_ref)
        state = call.state
        assert state.answer_ms is not None
        return [_cdr(self._origin, call_ref, state.caller, state.called, (state.answer_ms, at_ms), call.raw)]

    def _refused(self, record: Fields, call_ref: str, at_ms: int, status: int, raw: bytes) -> Cdr:
        caller, called = _user(record, "src_user", "from"), _user(record, "dst_user", "to")
        return _cdr(self._origin, call_ref, caller, called, (None, at_ms), raw, cause_of(status))


class _LogReader:
    def __init__(self, origin: Origin, counted: Counted) -> None:
        self._origin = origin
        self._counted = counted
        self._joiner = _Joiner(origin)

    def read(self, raw: bytes, now_ms: int) -> list[Reading]:
        _, found, accounted = raw.partition(_ACC)
        if found:
            match = _TRANSACTION.fullmatch(accounted)
            if match is None:
                raise UnreadableError(Reason.MALFORMED, "expected ACC: transaction answered: timestamp=…")
            values = _pairs(text_of(match[1]), ";")
            renamed = {_NAMES.get(name, name): value for name, value in values.items()}
            record = Fields(renamed, self._origin.zone)
            return self._joiner.take(record, raw, now_ms, self._counted)
        if self._counted is Counted.DIALOGS and (match := _DIALOG.search(raw)):
            return [self._dialog(Fields(_pairs(text_of(match[1]), "; "), self._origin.zone), raw)]
        return []

    def _dialog(self, record: Fields, raw: bytes) -> Cdr:
        begin_ms, end_ms = record.epoch_ms("start_time"), record.epoch_ms("end_time")
        if begin_ms is None or end_ms is None:
            raise UnreadableError(Reason.MISSING, "no start_time or no end_time")
        caller, called = _user(record, "src_user", "from"), _user(record, "dst_user", "to")
        return _cdr(
            self._origin,
            record.need("ci", "callid", "call_id"),
            caller,
            called,
            (begin_ms, end_ms),
            raw,
            talk_s=record.seconds("duration"),
        )


_NAMES: Final = {"timestamp": "time", "call_id": "callid", "code": "sip_code", "reason": "sip_reason"}


class _JsonReader:
    def __init__(self, origin: Origin) -> None:
        self._zone = origin.zone
        self._joiner = _Joiner(origin)

    def read(self, raw: bytes, now_ms: int) -> list[Reading]:
        values = read_object(raw)
        if "ev" in values:
            if values["ev"] != "acc":
                return []
            values = inside(values, "data")
        return self._joiner.take(Fields(texts(values), self._zone), raw, now_ms, Counted.TRANSACTIONS)


def _pairs(text: str, separator: str) -> dict[str, str]:
    """`name=value` and so on; a phone may have chosen a value, so a name that comes twice is refused."""
    values: dict[str, str] = {}
    for part in text.split(separator):
        name, equals, value = part.strip().partition("=")
        if not equals and not name:
            continue
        if not equals or name in values:
            what = "stands there twice" if equals else "is no name=value"
            raise UnreadableError(Reason.MALFORMED, f'"{name[:60]}" {what}')
        values[name] = value
    return values


def _at_ms(record: Fields) -> int:
    instants = record.instants("time")
    if not instants:
        raise UnreadableError(Reason.MISSING, "no time")
    return instants[0]


def _user(record: Fields, user: str, uri: str) -> str:
    """A user part, or that of a URI; "" where the accounting was not told to say it."""
    value = record.get(user)
    if value or not (value := record.get(uri)):
        return value
    aor = read_aor(value.encode())
    return value if aor is None else aor.user


def _cdr(
    origin: Origin,
    call_ref: str,
    caller: str,
    called: str,
    times: tuple[int | None, int],
    raw: bytes,
    cause: int | None = 16,
    talk_s: int | None = None,
) -> Cdr:
    """`times`: answer or None, and end."""
    answer_ms, end_ms = times
    if talk_s is None:
        talk_s = 0 if answer_ms is None else whole_seconds(end_ms - answer_ms)
    return Cdr(
        source=origin.source,
        call_ref=call_ref,
        leg="",
        pbx=origin.pbx,
        direction=Direction.OUT,
        kind=Kind.VOICE,
        caller=caller,
        called=called,
        dialled=called,
        account=caller,
        setup_ms=end_ms if answer_ms is None else answer_ms,
        answer_ms=answer_ms,
        end_ms=end_ms,
        talk_s=talk_s,
        cause=cause,
        forwarded_by="",
        transferred_by="",
        raw=raw,
    )
