"""From a dialect's name in agent.yaml to the parser that reads it."""

from collections.abc import Callable
from typing import Final

from agent.cdrs import CdrSource
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
)
from telephony.cdr.reading import Origin, Parser

Make = Callable[[CdrSource, Origin], Parser]


def _innovaphone(source: CdrSource, origin: Origin) -> Parser:
    """By HTTP its records come as `event=syslog&…` too, a line of a gateway that carries one."""
    return innovaphone.parser(origin) if source.http is None else innovaphone_gateway.request_parser(origin)


def _mapped(source: CdrSource, origin: Origin) -> Parser:
    """The mapping's own zone counts, if it says one."""
    read = source.read_mapping()
    zone = read.local if "zone" in read.model_fields_set else origin.zone
    return mapping.parser(Origin(origin.source, origin.pbx, zone), read.mapping)


MAKERS: Final[dict[str, Make]] = {
    "innovaphone": _innovaphone,
    "innovaphone_gateway": lambda _, origin: innovaphone_gateway.parser(origin),
    "asterisk_master": lambda source, origin: asterisk.master_parser(origin, source.trunks),
    "asterisk_custom": lambda source, origin: asterisk.custom_parser(
        origin, source.columns or asterisk.SHIPPED, source.trunks
    ),
    "asterisk_cel": lambda source, origin: asterisk_cel.csv_parser(
        origin, source.columns or asterisk_cel.SAMPLE, source.trunks
    ),
    "asterisk_ami_cdr": lambda source, origin: asterisk_ami.cdr_parser(origin, source.trunks),
    "asterisk_ami_cel": lambda source, origin: asterisk_ami.cel_parser(origin, source.trunks),
    "kamailio_log": lambda source, origin: kamailio.log_parser(origin, kamailio.Counted(source.counted)),
    "kamailio_json": lambda _, origin: kamailio.json_parser(origin),
    "freeswitch_csv": lambda source, origin: freeswitch.csv_parser(
        origin, source.columns or freeswitch.EXAMPLE, source.trunks
    ),
    "freeswitch_json": lambda source, origin: freeswitch.json_parser(origin, source.trunks),
    "freeswitch_xml": lambda source, origin: freeswitch.xml_parser(origin, source.trunks),
    "threecx": lambda source, origin: threecx.parser(origin, source.columns or (), source.separator),
    "cucm": lambda source, origin: cucm.parser(origin, source.trunks),
    "mapping": _mapped,
}

COUNTING: Final = ("innovaphone", "innovaphone_gateway")
"""Dialects whose records may have a number that tells when one is missing."""


def parser(source: CdrSource, origin: Origin) -> Parser:
    """A new parser for this source; ConfigErrors when its mapping cannot be read."""
    return MAKERS[source.dialect](source, origin)
