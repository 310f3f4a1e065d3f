"""Channel events of Asterisk (CEL), joined to one record for each channel: rooms to the second.

Source: design pbx-integrations.md 3.2 and 3.3; the columns of cel_custom's sample; transfers and forwards as
Asterisk 22 tells them. A channel that began its call (uniqueid = linkedid) placed it, the others received it;
of a Local channel the half that runs the dial plan (";2") placed the leg, for who forwarded it (rdnis).
Seconds run from ANSWER to HANGUP; of a channel that was in a room, from each BRIDGE_ENTER to its BRIDGE_EXIT:
CDRs do not say how long that was. A blind transfer is a record more, of the leg that it led to. Who placed a
leg and leaves it by a transfer pays it to its end: his record waits for the channel at its other end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from telephony.cdr.fields import Fields, q850
from telephony.cdr.framing import Lines
from telephony.cdr.json_text import read_object, texts
from telephony.cdr.pending import Open, Pending
from telephony.cdr.reading import Origin, Parser, Part, Quarantined, Reading, Reason, Stream, UnreadableError
from telephony.cdr.record import Cdr, Direction, Kind
from telephony.cdr.tables import cells, named
from telephony.cdr.times import whole_seconds

SAMPLE: Final = (
    "eventtype", "eventtime", "cidname", "cidnum", "ani", "rdnis", "dnid", "exten", "context", "channame",
    "appname", "appdata", "amaflags", "accountcode", "uniqueid", "linkedid", "bridgepeer", "userfield",
    "userdeftype", "eventextra",
)  # fmt: skip
"""Columns of the mapping in the sample of cel_custom.conf."""

_ROOM: Final = "ConfBridge"
_BLIND: Final = "BLINDTRANSFER"
_ATTENDED: Final = "ATTENDEDTRANSFER"
_TRANSFERS: Final = (_BLIND, _ATTENDED)
_LOCAL: Final = "Local/"
_UNANSWERED: Final = "N/A"
"""The target of a transfer that has not answered yet: from there on it is as a blind one."""


def csv_parser(origin: Origin, columns: Sequence[str] = SAMPLE, trunks: Sequence[str] = ()) -> Parser:
    """Reads a file of cel_custom with these columns; `trunks` as for asterisk.master_parser."""
    return Stream(Lines, _CsvReader(tuple(columns), origin, trunks))


@dataclass(slots=True)
class _Led:
    """A leg into which somebody led a channel by a blind transfer: he pays it, from its answer on."""

    by: str
    account: str
    called: str
    at_ms: int
    raw: bytes
    enter_ms: int | None = None
    left_ms: int | None = None


@dataclass(slots=True)
class _Channel:
    """What its events said so far; instants in UTC epoch ms."""

    start_ms: int | None = None
    answer_ms: int | None = None
    hangup_ms: int | None = None
    end_ms: int = 0
    enter_ms: int | None = None
    entered_ms: int | None = None
    left_ms: int = 0
    room_ms: int = 0
    caller: str = ""
    dialled: str = ""
    account: str = ""
    own: str = ""
    inherited: str = ""
    linkedid: str = ""
    channel: str = ""
    transferred_by: str = ""
    forwarded_by: str = ""
    cause: int | None = None
    led: list[_Led] = field(default_factory=list)
    goes_on: str = ""
    """The channel at whose end this one's line is over, though who placed it has left."""
    left: list[str] = field(default_factory=list)
    """Channels whose lines go on with this one."""

    def placed(self, unique: str) -> bool:
        """Whether it was this channel that called."""
        if self.channel.startswith(_LOCAL):
            return self.channel.endswith(";2")
        return unique == self.linkedid

    def payer(self, unique: str) -> str:
        """Who answers for it: not the caller, whose account Asterisk hands on to the others."""
        if not self.placed(unique):
            return self.own or self.caller
        if self.forwarded_by and self.account == self.inherited:
            return self.forwarded_by
        return self.account or self.caller


class CelJoiner:
    """Takes the events of all channels; gives the record of each at its CHAN_END."""

    def __init__(self, origin: Origin, trunks: Sequence[str]) -> None:
        self._origin = origin
        self._trunks = tuple(trunks)
        self._channels = Pending(_Channel)

    def take(self, event: Fields, at_ms: int, raw: bytes, now_ms: int) -> list[Reading]:
        """One event; fields named as in SAMPLE."""
        what, unique = event.need("eventtype"), event.need("uniqueid")
        if what == "LINKEDID_END":
            return []
        linkedid = event.need("linkedid")
        if what in _TRANSFERS and (known := self._transferred(what, event, at_ms, raw, now_ms)):
            parts: list[Reading] = [Part(each, raw) for each in known]
            return [*parts, *(gone for each in known for gone in self._channels.overdue(each, now_ms))]
        channel = self._channels.add(unique, raw, now_ms)
        state = channel.state
        _learn(state, what, event, at_ms)
        state.linkedid = state.linkedid or linkedid
        if state.forwarded_by and (first := self._channels.get(state.linkedid)) is not None:
            state.inherited = first.state.account
        if what != "CHAN_END":
            return [Part(unique, raw), *self._channels.overdue(unique, now_ms)]
        state.end_ms = at_ms
        staying = self._channels.get(state.goes_on)
        if staying is not None and not staying.state.end_ms:
            return [Part(unique, raw), *self._channels.overdue(unique, now_ms)]
        return self._over(unique, channel)

    def _over(self, unique: str, channel: Open[_Channel]) -> list[Reading]:
        """The records of a channel that has ended, and of those whose lines end with it."""
        self._channels.close(unique)
        readings = self._ended(channel, unique)
        end_ms = channel.state.hangup_ms or channel.state.end_ms
        for left in channel.state.left:
            waiting = self._channels.get(left)
            if waiting is None:
                continue
            waiting.state.goes_on, waiting.state.hangup_ms = "", end_ms
            if waiting.state.end_ms:
                readings += self._over(left, waiting)
        return readings

    def _transferred(self, what: str, event: Fields, at_ms: int, raw: bytes, now_ms: int) -> list[str]:
        """The open channels to which this transfer means something: it is a part of each."""
        unique, extra = event.need("uniqueid"), _extra(event)
        transferee = extra.get("transferee_channel_uniqueid", "")
        called, second = extra.get("extension", ""), extra.get("channel2_uniqueid", "")
        target = extra.get("transfer_target_channel_uniqueid", "")
        lines = {unique: transferee}
        if what == _ATTENDED:
            lines[second] = target
        known = [leaving for leaving, staying in lines.items() if self._goes_on(what, leaving, staying)]
        if (called or target == _UNANSWERED) and self._led(transferee, called, event, at_ms, raw):
            known.append(transferee)
        for each in known:
            self._channels.add(each, raw, now_ms).state.transferred_by = event.get("cidnum")
        return known

    def _goes_on(self, what: str, leaving: str, staying: str) -> bool:
        """Whether the line that `leaving` placed goes on with `staying`; blindly only one to outside does.

        What a blind transfer leads to is a leg of its own, and between phones all else is over.
        """
        left, there = self._channels.get(leaving), self._channels.get(staying)
        if left is None or there is None or not left.state.placed(leaving):
            return False
        if left.state.channel.startswith(self._trunks) or not (
            what == _ATTENDED or there.state.channel.startswith(self._trunks)
        ):
            return False
        left.state.goes_on = staying
        if leaving not in there.state.left:
            there.state.left.append(leaving)
        return True

    def _led(self, transferee: str, called: str, event: Fields, at_ms: int, raw: bytes) -> bool:
        """Whether a channel of ours is led on there; "": to whom it is in a bridge with next."""
        channel = self._channels.get(transferee)
        if channel is None:
            return False
        by, led = event.get("cidnum"), channel.state.led
        if not led or led[-1].at_ms != at_ms:  # else it is read again, as a part of two channels
            led.append(_Led(by, by, called, at_ms, raw))
        return True

    def _ended(self, channel: Open[_Channel], unique: str) -> list[Reading]:
        state = channel.state
        at_ms = state.end_ms
        if state.start_ms is None:
            detail = "CHAN_END without its CHAN_START"
            return [Quarantined(channel.raw, Reason.NO_BEGINNING, detail, unique)]
        answer_ms, end_ms = state.answer_ms, state.hangup_ms or at_ms
        talk_ms = 0 if answer_ms is None else end_ms - answer_ms
        if state.entered_ms is not None:
            _move(state, "BRIDGE_EXIT", end_ms)  # where its own was lost
            answer_ms, end_ms, talk_ms = state.entered_ms, state.left_ms, state.room_ms
        received = not state.placed(unique) or state.channel.startswith(self._trunks)
        record = Cdr(
            source=self._origin.source,
            call_ref=unique,
            leg=state.linkedid,
            pbx=self._origin.pbx,
            direction=Direction.IN if received else Direction.OUT,
            kind=Kind.VOICE,
            caller=state.caller,
            called=state.dialled,
            dialled=state.dialled,
            account=state.payer(unique),
            setup_ms=state.start_ms,
            answer_ms=answer_ms,
            end_ms=end_ms,
            talk_s=whole_seconds(talk_ms),
            cause=state.cause,
            forwarded_by=state.forwarded_by,
            transferred_by=state.transferred_by,
            raw=channel.raw,
        )
        hangup_ms = state.hangup_ms or at_ms
        return [record, *(_onward(record, number, led, hangup_ms) for number, led in enumerate(state.led, 2))]


def _onward(record: Cdr, number: int, led: _Led, hangup_ms: int) -> Cdr:
    """The record of a leg into which the channel of `record` was led."""
    end_ms = led.left_ms or hangup_ms
    return replace(
        record,
        leg=f"{record.leg}/{number}",
        direction=Direction.OUT,
        called=led.called,
        dialled=led.called,
        account=led.account,
        setup_ms=led.at_ms,
        answer_ms=led.enter_ms,
        end_ms=end_ms,
        talk_s=0 if led.enter_ms is None else whole_seconds(end_ms - led.enter_ms),
        transferred_by=led.by,
        raw=led.raw,
    )


def _learn(state: _Channel, what: str, event: Fields, at_ms: int) -> None:
    state.caller = state.caller or event.get("cidnum")
    account = event.get("accountcode") or state.account
    if not state.led:
        state.account = account
    elif account != state.account:  # the dial plan says who transferred
        state.led[-1].account = account
    extension = event.get("exten")
    state.dialled = state.dialled or (extension if extension != "s" else "")
    if state.channel.startswith(_LOCAL) and state.channel.endswith(";2"):
        state.forwarded_by = state.forwarded_by or event.get("rdnis")
    if what == "CHAN_START":
        state.start_ms = at_ms
        state.channel = event.get("channame")
        state.own = state.account
    elif what == "ANSWER":
        state.answer_ms = at_ms if state.answer_ms is None else state.answer_ms
    elif what == "HANGUP":
        state.hangup_ms = at_ms
        state.cause = _cause(_extra(event).get("hangupcause", ""))
    elif what in _TRANSFERS:
        state.transferred_by = event.get("cidnum")
    elif state.led:
        _lead(state.led[-1], what, at_ms, extension)
    elif event.get("appname") == _ROOM:
        _move(state, what, at_ms)


def _lead(led: _Led, what: str, at_ms: int, extension: str) -> None:
    """In and out of the bridge with whom the transfer reached."""
    if what == "BRIDGE_ENTER":
        led.enter_ms = at_ms if led.enter_ms is None else led.enter_ms
        led.called = led.called or extension
    elif what == "BRIDGE_EXIT" and led.enter_ms is not None:
        led.left_ms = at_ms


def _move(state: _Channel, what: str, at_ms: int) -> None:
    """In and out of a room, perhaps several times."""
    if what == "BRIDGE_ENTER":
        state.enter_ms = at_ms
        state.entered_ms = at_ms if state.entered_ms is None else state.entered_ms
    elif what == "BRIDGE_EXIT" and state.enter_ms is not None:
        state.room_ms += at_ms - state.enter_ms
        state.enter_ms, state.left_ms = None, at_ms


def _extra(event: Fields) -> dict[str, str]:
    """The extra JSON of an event; a text that is none says nothing."""
    try:
        return texts(read_object(event.get("eventextra").encode()))
    except UnreadableError:
        return {}


def _cause(text: str) -> int | None:
    return q850(int(text)) if text.isascii() and text.isdigit() and len(text) < 4 else None


class _CsvReader:
    """Reads one line of cel_custom."""

    def __init__(self, columns: tuple[str, ...], origin: Origin, trunks: Sequence[str]) -> None:
        self._columns = columns
        self._zone = origin.zone
        self._joiner = CelJoiner(origin, trunks)

    def read(self, raw: bytes, now_ms: int) -> list[Reading]:
        event = Fields(named(self._columns, cells(raw)), self._zone)
        instants = event.instants("eventtime")
        if not instants:
            raise UnreadableError(Reason.MISSING, "no eventtime")
        return self._joiner.take(event, instants[0], raw, now_ms)
