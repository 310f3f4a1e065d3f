"""Call records of an innovaphone PBX: one `<cdr>` for each call and each object in it.

Source: vendor documentation "Call Detail Record CDR PBX", 9 to 14r2; design pbx-integrations.md 5.4;
B.r34: records with dir from, cf and ct are billed; the destination is that of the first conn-to, transfer-to
or cf-to, for ct the `<to>` of the transfer-from; seconds run from the first conn-to to the first disc-* or
rel-* behind it. Elements and attributes that are not known are passed over.
"""

import hashlib
from typing import Final

from telephony.cdr.fields import Fields, invalid, q850
from telephony.cdr.framing import Elements
from telephony.cdr.reading import Origin, Parser, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.times import LAST_S
from telephony.cdr.xml_document import Element, read_element

_DIRECTIONS: Final = {
    "from": Direction.OUT,
    "cf": Direction.OUT,
    "ct": Direction.OUT,
    "to": Direction.IN,
}
_DESTINATION: Final = ("conn-to", "transfer-to", "cf-to")
_TRUNKS: Final = ("trunk", "gw")
_ENDS: Final = ("disc-", "rel-")


def parser(origin: Origin) -> Parser:
    """Reads `<cdr>` elements one behind the other, as TCP, syslog and the test command give them."""
    return Stream(lambda: Elements(b"cdr"), PbxReader(origin))


def seq(cdr: Cdr) -> int | None:
    """The number that the PBX gave this record, from 14r2 on: rises by one, 0 after a restart, else None."""
    number = read_element(cdr.raw, "cdr").attributes.get("seq", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 15 else None


class PbxReader:
    """Reads one `<cdr>`."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def read(self, raw: bytes, now_ms: int) -> list[Reading]:
        """The record; `now_ms` stands for the time of a PBX whose clock is not set (1970)."""
        root = read_element(raw, "cdr")
        record = Fields(root.attributes, self._origin.zone)
        dir_ = record.need("dir")
        if dir_ not in _DIRECTIONS:
            raise invalid("dir", dir_, "from, to, cf or ct")
        return [_cdr(_Call(root, record, dir_), self._origin, raw, now_ms)]


class _Event:
    """One `<event>`: what happened, when, with whom, and the `<to>` inside."""

    def __init__(self, element: Element) -> None:
        self.msg = element.attributes.get("msg", "")
        self.party = _party(element)
        self.cause = element.attributes.get("cause", "")
        self.more = element.attributes.get("more", "") == "true"
        to = element.first("to")
        self.to = "" if to is None else _party(to)
        self._time = element.attributes.get("time", "")

    @property
    def time_s(self) -> int:
        """Seconds from a beginning that is the same for all events of a record."""
        if not (self._time.isascii() and self._time.isdigit() and len(self._time) <= 12):
            raise invalid("time", self._time, "whole seconds")
        return int(self._time)


def _party(element: Element) -> str:
    return element.attributes.get("e164", "") or element.attributes.get("h323", "")


class _Call:
    """The events of a record in their order in the list, which counts, not their times."""

    def __init__(self, root: Element, record: Fields, dir_: str) -> None:
        self.record = record
        self.dir = dir_
        self.events = [_Event(element) for element in root.named("event")]
        self.pseudo = next((user.attributes.get("pseudo", "") for user in root.named("user")), "")
        self.conf = next((e.attributes["conf"] for e in root.named("event") if e.attributes.get("conf")), "")
        self.own = record.get("e164", "h323", "cn")
        if not self.events:
            raise UnreadableError(Reason.MISSING, "no <event>")

    def first(self, *msgs: str) -> _Event | None:
        """The first of these events."""
        return next((event for event in self.events if event.msg in msgs), None)

    def party(self, *msgs: str) -> str:
        """The other party of the first of these events that names one."""
        return next((event.party for event in self.events if event.msg in msgs and event.party), "")

    @property
    def direction(self) -> Direction:
        """A call that comes in from a line (`pseudo`) was placed by nobody here."""
        if any(event.more for event in self.events):
            return Direction.RELATED
        if self.dir == "from" and self.pseudo in _TRUNKS:
            return Direction.IN
        return _DIRECTIONS[self.dir]

    @property
    def destination(self) -> str:
        """B.r34; where nobody answered, whom it was sent to."""
        if self.dir == "to":
            return self.own
        transferred = self.first("transfer-from") if self.dir == "ct" else None
        if transferred is not None and transferred.to:
            return transferred.to
        forwarded = self.first("cf-from") if self.dir == "cf" else None
        return (
            self.party(*_DESTINATION)
            or ("" if forwarded is None else forwarded.to)
            or self.party("alert-to", "setup-from", "rel-to", "disc-to", "rel-from")
        )

    def talk(self) -> tuple[_Event, _Event] | None:
        """The event that answered and the one that ended it; None when there is no such pair."""
        answers = ("conn-from", "conn-to") if self.dir == "to" else ("conn-to",)
        begin = next((i for i, event in enumerate(self.events) if event.msg in answers), None)
        if begin is None:
            return None
        end = next((event for event in self.events[begin:] if event.msg.startswith(_ENDS)), None)
        return None if end is None else (self.events[begin], end)


def _cdr(call: _Call, origin: Origin, raw: bytes, now_ms: int) -> Cdr:
    setup_ms, began_s = _began_ms(call.record, now_ms), call.events[0].time_s
    talk, last = call.talk(), call.events[-1]
    answer, end = (None, last) if talk is None else talk
    talk_s = 0 if answer is None else end.time_s - answer.time_s
    called = call.destination
    cause = next((event.cause for event in reversed(call.events) if event.cause), "")
    call_ref, leg = _key(call, raw)
    return Cdr(
        source=origin.source,
        call_ref=call_ref,
        leg=leg,
        pbx=origin.pbx,
        direction=call.direction,
        kind=Kind.VOICE,
        caller=call.own if call.dir == "from" else call.party("setup-to"),
        called=called,
        dialled=next((e.party for e in reversed(call.events) if e.msg == "info-from" and e.party), called),
        account=call.own,
        setup_ms=setup_ms,
        answer_ms=None if answer is None else setup_ms + (answer.time_s - began_s) * 1_000,
        end_ms=setup_ms + (end.time_s - began_s) * 1_000,
        talk_s=talk_s,
        cause=q850(int(cause) if cause.isascii() and cause.isdigit() and len(cause) < 4 else None),
        forwarded_by=call.own if call.dir == "cf" else call.party("cf-to"),
        transferred_by=call.own if call.dir == "ct" else call.party("transfer-to"),
        raw=raw,
    )


def _began_ms(record: Fields, now_ms: int) -> int:
    utc_s = record.whole("utc")
    if utc_s is None:
        raise UnreadableError(Reason.MISSING, "no utc")
    if utc_s > LAST_S:
        raise invalid("utc", str(utc_s), "seconds after 1970")
    return utc_s * 1_000 if utc_s >= CLOCK_SET_S else now_ms


CLOCK_SET_S: Final = 365 * 86_400
"""A box without a clock counts from 1970; what it says of that year is the time since its start."""


def _key(call: _Call, raw: bytes) -> tuple[str, str]:
    """Call reference and leg (B.K6, B.K7): the record's `id`; else what it has, and a hash of its bytes.

    Without an id two records may say the same of themselves: only byte-equal ones are one.
    """
    record = call.record
    leg = f"{record.get('h323', 'cn', 'e164')}/{call.dir}"
    if id_ := record.get("id"):
        return id_, leg
    parts = (record.get("sys"), record.get("pbx"), record.get("guid"), call.conf, call.dir, record.get("utc"))
    digest = hashlib.sha256(raw[raw.find(b"<cdr") :]).hexdigest()[
        :16
    ]  # not of what a transport put before it
    return "/".join(parts), f"{leg}/{digest}"
