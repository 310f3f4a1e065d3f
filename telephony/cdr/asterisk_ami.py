"""Call records of Asterisk over its manager interface: the event Cdr, or the events CEL, never both.

Source: design pbx-integrations.md 3.3. The intake logs in and hands on what it receives; other events and the
answers to its own actions are passed over. What happens while nobody listens is lost: prefer a file.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from telephony.cdr import asterisk
from telephony.cdr.asterisk_cel import CelJoiner
from telephony.cdr.fields import Fields, text_of
from telephony.cdr.framing import Blocks
from telephony.cdr.reading import Origin, Parser, Reading, Reason, Stream, UnreadableError

_CDR: Final = {
    "AccountCode": "accountcode", "Source": "src", "Destination": "dst", "DestinationContext": "dcontext",
    "CallerID": "clid", "Channel": "channel", "DestinationChannel": "dstchannel",
    "LastApplication": "lastapp", "LastData": "lastdata", "StartTime": "start", "AnswerTime": "answer",
    "EndTime": "end", "Duration": "duration", "BillableSeconds": "billsec", "Disposition": "disposition",
    "AMAFlags": "amaflags", "UniqueID": "uniqueid", "UserField": "userfield",
}  # fmt: skip
_CEL: Final = {
    "EventName": "eventtype", "EventTime": "eventtime", "CallerIDnum": "cidnum", "CallerIDrdnis": "rdnis",
    "Exten": "exten", "Context": "context", "Channel": "channame", "Application": "appname",
    "AccountCode": "accountcode", "UniqueID": "uniqueid", "LinkedID": "linkedid", "Extra": "eventextra",
    "Timestamp": "timestamp",
}  # fmt: skip


def cdr_parser(origin: Origin, trunks: Sequence[str] = ()) -> Parser:
    """Reads the event Cdr (cdr_manager); `trunks` as for asterisk.master_parser."""
    return Stream(Blocks, _CdrReader(origin, trunks))


def cel_parser(origin: Origin, trunks: Sequence[str] = ()) -> Parser:
    """Reads the events CEL (cel.conf, [manager]); the manager's own Timestamp counts where it is sent."""
    return Stream(Blocks, _CelReader(origin, trunks))


class _CdrReader:
    def __init__(self, origin: Origin, trunks: Sequence[str]) -> None:
        self._origin = origin
        self._trunks = tuple(trunks)

    def read(self, raw: bytes, _now_ms: int) -> list[Reading]:
        values = _event(raw, b"Cdr", _CDR)
        if values is None:
            return []
        return [asterisk.cdr(Fields(values, self._origin.zone), self._origin, raw, self._trunks)]


class _CelReader:
    def __init__(self, origin: Origin, trunks: Sequence[str]) -> None:
        self._zone = origin.zone
        self._joiner = CelJoiner(origin, trunks)

    def read(self, raw: bytes, now_ms: int) -> list[Reading]:
        values = _event(raw, b"CEL", _CEL)
        if values is None:
            return []
        event = Fields(values, self._zone)
        instants = event.instants("timestamp") or event.instants("eventtime")
        if not instants:
            raise UnreadableError(Reason.MISSING, "no EventTime")
        return self._joiner.take(event, instants[0], raw, now_ms)


def _event(raw: bytes, wanted: bytes, names: Mapping[str, str]) -> dict[str, str] | None:
    """The fields of such an event under our names; None for any other block."""
    lines = raw.splitlines()
    if b"Event: " + wanted not in lines:
        return None
    values: dict[str, str] = {}
    for line in lines:
        name, colon, value = text_of(line).partition(":")
        if not colon:
            raise UnreadableError(Reason.MALFORMED, f'expected "Name: value", found "{name[:60]}"')
        known = names.get(name)
        if known is None:
            continue
        if known in values:
            raise UnreadableError(Reason.MALFORMED, f"{name} stands there twice")
        values[known] = value.strip()
    return values
