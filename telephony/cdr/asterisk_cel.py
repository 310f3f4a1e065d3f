"""Channel events of Asterisk (CEL), joined to one record for each channel: rooms to the second.

Source: design pbx-integrations.md 3.2 and 3.3; the columns of cel_custom's sample. A channel that
began its call (uniqueid = linkedid) placed it, the others received it. Seconds run from ANSWER to HANGUP; of
a channel that was in a room, from each BRIDGE_ENTER to its BRIDGE_EXIT: CDRs do not say how long that was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
_TRANSFERS: Final = ("BLINDTRANSFER", "ATTENDEDTRANSFER")


def csv_parser(origin: Origin, columns: Sequence[str] = SAMPLE, trunks: Sequence[str] = ()) -> Parser:
    """Reads a file of cel_custom with these columns; `trunks` as for asterisk.master_parser."""
    return Stream(Lines, _CsvReader(tuple(columns), origin, trunks))


@dataclass(slots=True)
class _Channel:
    """What its events said so far; instants in UTC epoch ms."""

    start_ms: int | None = None
    answer_ms: int | None = None
    hangup_ms: int | None = None
    enter_ms: int | None = None
    entered_ms: int | None = None
    left_ms: int = 0
    room_ms: int = 0
    caller: str = ""
    dialled: str = ""
    account: str = ""
    linkedid: str = ""
    channel: str = ""
    transferred_by: str = ""
    cause: int | None = None


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
        channel = self._channels.add(unique, raw, now_ms)
        _learn(channel.state, what, event, at_ms)
        channel.state.linkedid = channel.state.linkedid or linkedid
        if what != "CHAN_END":
            return [Part(unique, raw), *self._channels.overdue(unique, now_ms)]
        self._channels.close(unique)
        return [self._ended(channel, unique, at_ms)]

    def _ended(self, channel: Open[_Channel], unique: str, at_ms: int) -> Reading:
        state = channel.state
        if state.start_ms is None:
            return Quarantined(channel.raw, Reason.NO_BEGINNING, "CHAN_END without its CHAN_START", unique)
        answer_ms, end_ms = state.answer_ms, state.hangup_ms or at_ms
        talk_ms = 0 if answer_ms is None else end_ms - answer_ms
        if state.entered_ms is not None:
            _move(state, "BRIDGE_EXIT", end_ms)  # where its own was lost
            answer_ms, end_ms, talk_ms = state.entered_ms, state.left_ms, state.room_ms
        placed = unique == state.linkedid and not state.channel.startswith(self._trunks)
        return Cdr(
            source=self._origin.source,
            call_ref=unique,
            leg=state.linkedid,
            pbx=self._origin.pbx,
            direction=Direction.OUT if placed else Direction.IN,
            kind=Kind.VOICE,
            caller=state.caller,
            called=state.dialled,
            dialled=state.dialled,
            account=state.account or state.caller,
            setup_ms=state.start_ms,
            answer_ms=answer_ms,
            end_ms=end_ms,
            talk_s=whole_seconds(talk_ms),
            cause=state.cause,
            forwarded_by="",
            transferred_by=state.transferred_by,
            raw=channel.raw,
        )


def _learn(state: _Channel, what: str, event: Fields, at_ms: int) -> None:
    state.caller = state.caller or event.get("cidnum")
    state.account = state.account or event.get("accountcode")
    extension = event.get("exten")
    state.dialled = state.dialled or (extension if extension != "s" else "")
    if what == "CHAN_START":
        state.start_ms = at_ms
        state.channel = event.get("channame")
    elif what == "ANSWER":
        state.answer_ms = at_ms if state.answer_ms is None else state.answer_ms
    elif what == "HANGUP":
        state.hangup_ms = at_ms
        state.cause = _cause(event.get("eventextra"))
    elif what in _TRANSFERS:
        state.transferred_by = event.get("cidnum")
    elif event.get("appname") == _ROOM:
        _move(state, what, at_ms)


def _move(state: _Channel, what: str, at_ms: int) -> None:
    """In and out of a room, perhaps several times."""
    if what == "BRIDGE_ENTER":
        state.enter_ms = at_ms
        state.entered_ms = at_ms if state.entered_ms is None else state.entered_ms
    elif what == "BRIDGE_EXIT" and state.enter_ms is not None:
        state.room_ms += at_ms - state.enter_ms
        state.enter_ms, state.left_ms = None, at_ms


def _cause(extra: str) -> int | None:
    """`hangupcause` of the extra JSON; a text that is none says nothing."""
    try:
        text = texts(read_object(extra.encode())).get("hangupcause", "")
    except UnreadableError:
        return None
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
