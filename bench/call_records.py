"""What a call record costs: from the bytes of a source to `Cdr`, beside the standard library on them.

The peer takes the bytes apart (CSV, XML, JSON, lines) and gives them no meaning: no times, no key, no checks,
no joining. Both run in this process, in turns; counted is CPU time.
"""

import csv
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl
from xml.etree import ElementTree as Tree

from bench.sip import Result, Tick
from telephony.cdr.record import Cdr
from tests.telephony.cdr.samples import DIALECTS, NOW_MS
from tests.telephony.cdr.test_mutations import single

Peer = Callable[[list[bytes]], object]


def _csv(parts: list[bytes]) -> object:
    return list(csv.reader(part.decode() for part in parts))


def _xml(parts: list[bytes]) -> object:
    return [Tree.fromstring(part[part.find(b"<cdr") :]) for part in parts]


def _json(parts: list[bytes]) -> object:
    return [json.loads(part) for part in parts]


def _query(parts: list[bytes]) -> object:
    return [parse_qsl(part.decode()) for part in parts]


def _lines(parts: list[bytes]) -> object:
    return [[line.partition(b":") for line in part.splitlines()] for part in parts]


PEERS: dict[str, tuple[str, Peer]] = {
    "innovaphone": ("xml.etree", _xml),
    "innovaphone_gateway": ("urllib.parse.parse_qsl", _query),
    "asterisk_custom": ("csv.reader", _csv),
    "asterisk_ami": ("lines split at colons", _lines),
    "asterisk_cel": ("csv.reader", _csv),
    "freeswitch_csv": ("csv.reader", _csv),
    "freeswitch_json": ("json.loads", _json),
    "freeswitch_xml": ("xml.etree", _xml),
    "kamailio_json": ("json.loads", _json),
    "threecx": ("csv.reader", _csv),
    "cucm": ("csv.reader", _csv),
    "mapped_json": ("json.loads", _json),
}


def parse_us(folder: Path, tick: Tick, *, rounds: int, dialect: str, count: int = 20_000) -> Result:
    """Return the result: µs of CPU for each finished record, of about `count` records a round."""
    del folder
    make, stream = DIALECTS[dialect]
    peer_name, peer = PEERS[dialect]
    parts = single(dialect, DIALECTS[dialect])
    each = sum(isinstance(reading, Cdr) for reading in make().feed(stream, NOW_MS))
    times = max(1, count // each)
    lines = []
    for _ in range(rounds):
        parser = make()
        begun = time.process_time()
        found = sum(isinstance(r, Cdr) for _ in range(times) for r in parser.feed(stream, NOW_MS))
        ours = time.process_time() - begun
        assert found == times * each, f"{found} of {times * each} records"
        begun = time.process_time()
        for _ in range(times):
            peer(parts)
        theirs = time.process_time() - begun
        lines.append({"ours": round(ours / found * 1e6, 1), "peer": round(theirs / found * 1e6, 1)})
        tick()
    ours_us = round(statistics.median(line["ours"] for line in lines), 1)
    return {
        "value": ours_us,
        "unit": "us",
        "ours": ours_us,
        "peer": round(statistics.median(line["peer"] for line in lines), 1),
        "peer_name": f"{peer_name} on the same bytes, which gives them no meaning; CPU µs per record",
        "rounds": lines,
    }
