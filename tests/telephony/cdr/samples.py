"""Call records to read: recordings, and records of our own in the shape that vendors document."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from telephony.cdr import (
    asterisk,
    asterisk_ami,
    asterisk_cel,
    cucm,
    freeswitch,
    innovaphone,
    innovaphone_gateway,
    kamailio,
    mapping,
    threecx,
    time_format,
)
from telephony.cdr.mapping import Form, Mapping
from telephony.cdr.reading import Origin, Parser, Part, Quarantined, Reading
from telephony.cdr.record import Cdr

ORIGIN: Final = Origin("acme/lyon/cdr", "lyon")
NOW_MS: Final = 1_800_000_000_000
RECORDINGS: Final = Path(__file__).parent / "recordings"


def recorded(name: str) -> bytes:
    """The bytes of a recording."""
    return (RECORDINGS / name).read_bytes()


def made(name: str) -> bytes:
    """The bytes of a file in `made/`."""
    return (Path(__file__).parent / "made" / name).read_bytes()


def records(readings: Sequence[Reading]) -> list[Cdr]:
    """Of these the finished records; nothing may be in quarantine."""
    assert not [reading for reading in readings if isinstance(reading, Quarantined)]
    return [reading for reading in readings if isinstance(reading, Cdr)]


def read(parser: Parser, data: bytes) -> list[Reading]:
    """All that a parser says to this stream."""
    return parser.feed(data, NOW_MS) + parser.end(NOW_MS)


def only(readings: Sequence[Reading]) -> Cdr:
    """The one record among these."""
    (cdr,) = records(readings)
    return cdr


def quarantined(readings: Sequence[Reading]) -> Quarantined:
    """The one quarantine; nothing else may be there but parts."""
    (found,) = [reading for reading in readings if not isinstance(reading, Part)]
    assert isinstance(found, Quarantined)
    return found


def pbx_cdr(head: str, *events: str, attributes: str = "") -> bytes:
    """An innovaphone record: `dir number name`, then events as `time msg number [to=number] [cause=n]`."""
    dir_, number, name = head.split()
    lines = [
        f'<cdr guid="{name}e909d31188ce00903306{number}" sys="PBX" pbx="." node="root" cn="{name.title()}" '
        f'e164="{number}" h323="{name}" dir="{dir_}" utc="1700000000" local="1700003600" {attributes}>',
        "  <user/>",
    ]
    for place, event in enumerate(events):
        time, msg, *rest = event.split()
        party = f' e164="{rest[0]}"' if rest and "=" not in rest[0] else ""
        more = dict(word.split("=") for word in rest if "=" in word)
        cause = f' cause="{more["cause"]}"' if "cause" in more else ""
        conf = "" if place else ' conf="c0ffeee909d31192e80090331032dd"'
        inside = f'><to e164="{more["to"]}"/></event>' if "to" in more else "/>"
        lines.append(f'  <event msg="{msg}" time="{time}"{party}{cause}{conf}{inside}')
    return "\n".join([*lines, "</cdr>\n"]).encode()


SCENARIOS: Final = {
    name: tuple(part.strip() for part in parts.split("|"))
    for name, _, parts in (line.partition(":") for line in made("innovaphone.txt").decode().splitlines())
}
"""The shapes of the vendor's 21 sample records with numbers of our own: anna 310, bruno 311, carla 312."""

THREECX: Final = (
    "historyid", "callid", "duration", "time-start", "time-answered", "time-end", "reason-terminated",
    "from-no", "to-no", "from-dn", "to-dn", "dial-no", "reason-changed", "final-number", "final-dn", "chain",
)  # fmt: skip
CUSTOM: Final = (
    "clid", "src", "dst", "start", "answer", "end", "duration", "billsec", "disposition", "linkedid",
    "sequence",
)  # fmt: skip

_TIME = time_format.parse("%d/%m/%Y %H:%M:%S")
assert not isinstance(_TIME, str)
_ISO = time_format.parse("iso")
assert not isinstance(_ISO, str)
CSV_MAPPING: Final = Mapping(
    Form.CSV,
    {
        "call_ref": "id", "caller": "from", "called": "to", "setup": "begin", "answer": "answered",
        "end": "end", "talk": "seconds", "direction": "way",
    },
    _TIME,
    None,
    ";",
    {"direction": {"outgoing": "out", "incoming": "in"}},
)  # fmt: skip
JSON_MAPPING: Final = Mapping(
    Form.JSON, {"call_ref": "call.id", "caller": "a", "called": "b", "setup": "at", "talk": "call.s"}, _ISO
)


class Dialect(NamedTuple):
    """How to make a parser, and a stream that it reads."""

    make: Callable[[], Parser]
    stream: bytes


DIALECTS: Final = {
    "innovaphone": Dialect(
        lambda: innovaphone.parser(ORIGIN),
        b"".join(pbx_cdr(*events) for events in SCENARIOS.values()) + recorded("innovaphone-14r2.xml"),
    ),
    "innovaphone_gateway": Dialect(lambda: innovaphone_gateway.parser(ORIGIN), made("gateway.txt") * 2),
    "asterisk_master": Dialect(lambda: asterisk.master_parser(ORIGIN), recorded("asterisk-Master.csv")),
    "asterisk_custom": Dialect(
        lambda: asterisk.custom_parser(ORIGIN, CUSTOM), recorded("asterisk-Custom.csv")
    ),
    "asterisk_ami": Dialect(lambda: asterisk_ami.cdr_parser(ORIGIN), recorded("asterisk-ami.txt")),
    "asterisk_ami_cel": Dialect(
        lambda: asterisk_ami.cel_parser(ORIGIN),
        recorded("asterisk-ami.txt") + recorded("asterisk-cel-led.txt"),
    ),
    "asterisk_cel": Dialect(lambda: asterisk_cel.csv_parser(ORIGIN), made("asterisk-cel.csv") * 3),
    "kamailio_log": Dialect(lambda: kamailio.log_parser(ORIGIN), recorded("kamailio.log")),
    "kamailio_dialogs": Dialect(
        lambda: kamailio.log_parser(ORIGIN, kamailio.Counted.DIALOGS), recorded("kamailio.log")
    ),
    "kamailio_json": Dialect(lambda: kamailio.json_parser(ORIGIN), recorded("kamailio-evapi.jsonl")),
    "freeswitch_csv": Dialect(lambda: freeswitch.csv_parser(ORIGIN), made("freeswitch.csv") * 4),
    "freeswitch_json": Dialect(lambda: freeswitch.json_parser(ORIGIN), made("freeswitch.json") * 3),
    "freeswitch_xml": Dialect(lambda: freeswitch.xml_parser(ORIGIN), made("freeswitch.xml") * 3),
    "threecx": Dialect(lambda: threecx.parser(ORIGIN, THREECX), made("3cx.csv") * 2),
    "cucm": Dialect(lambda: cucm.parser(ORIGIN), made("cucm.csv") * 2),
    "mapped_csv": Dialect(lambda: mapping.parser(ORIGIN, CSV_MAPPING), made("mapped.csv") * 3),
    "mapped_json": Dialect(lambda: mapping.parser(ORIGIN, JSON_MAPPING), made("mapped.json") * 4),
}
