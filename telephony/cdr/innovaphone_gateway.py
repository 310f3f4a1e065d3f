"""Call records of an innovaphone gateway: lines of `event=B:Disc&time=883&…`, several for each leg of a call.

Source: vendor documentation "Call Detail Record CDR" (deprecated there); pbx-integrations.md 5.3. Leg A
is the calling side, B the called one; the `Rel` of a leg ends it, and each line repeats what is known.
Values keep their `+`: it is no blank here. A line `event=syslog` carries a record of the PBX.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from telephony.cdr import innovaphone
from telephony.cdr.fields import Fields, invalid, q850, text_of
from telephony.cdr.framing import Lines
from telephony.cdr.innovaphone import CLOCK_SET_S, PbxReader
from telephony.cdr.pending import Open, Pending
from telephony.cdr.reading import Origin, Parser, Part, Quarantined, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.times import epoch_s

_LINE: Final = re.compile(rb"(?:^|.*?[ ?])(event=.*?)(?: HTTP/1\.[01])?")
_SYSLOG: Final = re.compile(rb"event=syslog&.*?msg=(.*)", re.DOTALL)
_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})-([0-9]{2})([0-9]{2})([0-9]{2})", re.ASCII)


def parser(origin: Origin) -> Parser:
    """Reads the lines of TCP or syslog, or each query of an HTTP GET with a line end behind it."""
    return Stream(Lines, GatewayReader(origin))


class RequestParser:
    """Reads what came by HTTP: XML in the body, or a line `event=…` in the query or the body."""

    def __init__(self, lines: Parser, elements: Parser) -> None:
        self._lines = lines
        self._elements = elements

    @property
    def unfinished(self) -> int:
        return self._lines.unfinished + self._elements.unfinished

    def feed(self, data: bytes, now_ms: int) -> list[Reading]:
        """A request from its beginning."""
        parser = self._elements if data.lstrip().startswith(b"<") else self._lines
        return parser.feed(data, now_ms)

    def end(self, now_ms: int) -> list[Reading]:
        return self._lines.end(now_ms) + self._elements.end(now_ms)

    def branch(self) -> "RequestParser":
        return RequestParser(self._lines.branch(), self._elements.branch())


def request_parser(origin: Origin) -> Parser:
    """Reads HTTP requests of a gateway or a PBX, each whole in one `feed`."""
    return RequestParser(parser(origin), innovaphone.parser(origin))


@dataclass(slots=True)
class _Legs:
    """What is known of the legs A and B: the last value of each field, and when each began (uptime s)."""

    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    began_s: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    transferred: bool = False


class GatewayReader:
    """Joins the lines of each leg; a record when it is released."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._pbx = PbxReader(origin)
        self._calls = Pending(_Legs)

    def read(self, raw: bytes, now_ms: int) -> list[Reading]:
        match = _LINE.fullmatch(raw)
        if match is None:
            raise UnreadableError(Reason.MALFORMED, "expected event=…&time=…, found no event")
        if syslog := _SYSLOG.fullmatch(match[1]):
            return self._of_pbx(syslog[1], now_ms)
        values = _values(text_of(match[1]))
        record = Fields(values, self._origin.zone)
        call_ref = f"{record.need('srv_id')}/{record.need('ref')}"
        leg, _, what = record.need("event").partition(":")
        if leg == "Media":
            return []
        if leg not in ("A", "B") or not what:
            raise invalid("event", record.get("event"), "A: or B: and what happened")
        time_s = record.whole("time")
        if time_s is None:
            raise UnreadableError(Reason.MISSING, "no time")
        call = self._calls.add(call_ref, raw, now_ms)
        legs = call.state
        legs.fields.setdefault(leg, {}).update({name: value for name, value in values.items() if value})
        legs.began_s.setdefault(leg, time_s)
        legs.transferred = legs.transferred or what == "X"
        if what == "Rel":
            return self._released(call, call_ref, leg, now_ms)
        return [Part(call_ref, raw), *self._calls.overdue(call_ref, now_ms)]

    def _of_pbx(self, message: bytes, now_ms: int) -> list[Reading]:
        """The record of a PBX inside, whose bytes are kept decoded; other messages are of no interest."""
        record = message if b"<cdr" in message else unquote_to_bytes(message)
        return self._pbx.read(record, now_ms) if b"<cdr" in record else []

    def _released(self, call: Open[_Legs], call_ref: str, leg: str, now_ms: int) -> list[Reading]:
        """The record of this leg; the other one may go on."""
        call.state.ended.add(leg)
        if call.state.ended >= set(call.state.fields):
            self._calls.close(call_ref)
        try:
            return [_cdr(call.state, call_ref, leg, self._origin, call.raw, now_ms)]
        except UnreadableError as error:
            return [Quarantined(call.raw, error.reason, error.detail, call_ref)]


def _values(query: str) -> dict[str, str]:
    """The fields of a line; a phone may have chosen a value, so a name that comes twice is refused."""
    values: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name in values:
            raise UnreadableError(Reason.MALFORMED, f'"{name[:60]}" stands there twice')
        values[name] = unquote(value)
    return values


def _cdr(legs: _Legs, call_ref: str, leg: str, origin: Origin, raw: bytes, now_ms: int) -> Cdr:
    record = Fields(legs.fields[leg], origin.zone)
    released_s = record.whole("time") or 0
    released_ms = _dated(record, origin, now_ms)
    answered_s, ended_s = record.whole("connect_time"), record.whole("disc_time") or released_s
    # Each line repeats alert_time: a line that comes twice gives the same record.
    began_s = record.whole("alert_time") or min(legs.began_s[leg], answered_s or released_s)
    if ended_s > released_s:
        raise invalid("disc_time", str(ended_s), f"at most its time {released_s}")

    def at_ms(uptime_s: int) -> int:
        return released_ms - (released_s - uptime_s) * 1_000

    called, caller = record.get("dst_cdpn", "src_cdpn", "dst_name"), record.get("src_cgpn", "src_name")
    diverted = record.get("div_url").removeprefix("sip:").partition("@")[0]
    return Cdr(
        source=origin.source,
        call_ref=call_ref,
        leg=leg,
        pbx=origin.pbx,
        direction=_direction(leg, record.get("dir")),
        kind=Kind.VOICE,
        caller=caller,
        called=called,
        dialled=record.get("src_cdpn") or called,
        account=diverted or caller,
        setup_ms=at_ms(began_s),
        answer_ms=at_ms(answered_s) if answered_s else None,
        end_ms=at_ms(ended_s),
        talk_s=ended_s - answered_s if answered_s else 0,
        cause=_cause(record.get("cause")),
        forwarded_by=diverted,
        transferred_by=caller if legs.transferred else "",
        raw=raw,
    )


def _direction(leg: str, dir_: str) -> Direction:
    """The called leg counts; the calling one is the same call seen from its other side."""
    if leg == "A":
        return Direction.RELATED
    return Direction.IN if dir_ == "in" else Direction.OUT


def _dated(record: Fields, origin: Origin, now_ms: int) -> int:
    """The instant of a line: its date in the box's zone; when it arrived, where no clock is set (1970)."""
    match = _DATE.fullmatch(record.get("date"))
    local_s = None if match is None else epoch_s(*(int(part) for part in match.groups()))
    if local_s is None:
        raise invalid("date", record.get("date"), "a date as in 20261123-175402")
    return now_ms if local_s < CLOCK_SET_S else origin.zone.instants(local_s)[0] * 1_000


def _cause(octets: str) -> int | None:
    """Q.931, 4.5.12: the cause is in the last octet, without its top bit; `02_80_90` is 16."""
    last = octets.rpartition("_")[2]
    try:
        return q850(int(last, 16) & 0x7F)
    except ValueError:
        return None
