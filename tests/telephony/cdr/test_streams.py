"""Streams of each dialect: split anywhere, begun again after a restart, and 32 MiB long (CHAOS=1: 1 GiB)."""

import os
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from telephony.cdr.framing import Blocks, Elements, Lines, Objects
from telephony.cdr.reading import Framer, Parser, Part, Reading
from telephony.cdr.record import Cdr
from tests.telephony.cdr.samples import DIALECTS, NOW_MS, read
from tests.telephony.cdr.test_mutations import SEPARATORS, single

CHAOS = bool(os.environ.get("CHAOS"))
MIB = 1_048_576
LONG = 1_024 * MIB if CHAOS else 32 * MIB
CHUNK = 65_521
GROWTH = 12 * MIB
JOINED = (
    "innovaphone_gateway",
    "asterisk_cel",
    "asterisk_ami_cel",
    "kamailio_log",
    "kamailio_json",
    "cucm",
    "mapped_csv",
)


def in_parts(parser: Parser, parts: list[bytes]) -> list[Reading]:
    return [reading for part in parts for reading in parser.feed(part, NOW_MS)] + parser.end(NOW_MS)


@pytest.mark.parametrize("name", DIALECTS)
def test_wherever_it_is_split_the_readings_are_the_same(name: str) -> None:
    make, stream = DIALECTS[name]
    whole = read(make(), stream)
    assert in_parts(make(), [stream[at : at + 1] for at in range(len(stream))]) == whole
    chance = random.Random(name)
    for _ in range(4):
        cuts = [0, *sorted(chance.sample(range(len(stream)), 20)), len(stream)]
        assert in_parts(make(), [stream[a:b] for a, b in pairwise(cuts)]) == whole
    if CHAOS:
        for at in range(len(stream)):
            assert in_parts(make(), [stream[:at], stream[at:]]) == whole, at


@pytest.mark.parametrize("name", JOINED)
def test_a_restart_between_any_two_parts_changes_nothing(name: str) -> None:
    """The intake gives a new parser the parts that it holds; what comes then is as if nothing had been."""
    dialect = DIALECTS[name]
    parts = single(name, dialect)
    parts.insert(3, b'"neither", "a record\n' + SEPARATORS.get(name, b""))
    whole = finished(in_parts(dialect.make(), parts))
    for at in range(len(parts) + 1):
        before = in_parts(dialect.make(), parts[:at])
        again = dialect.make()
        for part in kept(before):
            in_parts(again, [part])
        assert finished(before) + finished(in_parts(again, parts[at:])) == whole, at


def finished(readings: list[Reading]) -> list[tuple[object, str]]:
    """Key and content of the records, and what was quarantined."""
    return [
        (reading.key, reading.content_hash) if isinstance(reading, Cdr) else (reading.raw, reading.reason)
        for reading in readings
        if not isinstance(reading, Part)
    ]


def kept(readings: list[Reading]) -> list[bytes]:
    """What an intake has on disk of calls that have not ended."""
    parts: list[Part] = []
    for reading in readings:
        if isinstance(reading, Part) and reading.call_ref:
            parts.append(reading)
        elif isinstance(reading, Part):
            parts = [reading, *(part for part in parts if part.call_ref)]
        elif reading.call_ref:
            parts = [part for part in parts if part.call_ref != reading.call_ref]
    return [part.raw for part in parts]


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def chunks(unit: bytes, size: int) -> Iterator[bytes]:
    """So many bytes of a unit again and again, cut at other places each time."""
    repeated = unit * (CHUNK // len(unit) + 2)
    at = 0
    for _ in range(size // CHUNK):
        yield repeated[at : at + CHUNK]
        at = (at + CHUNK) % len(unit)


@pytest.mark.timeout(14_400 if CHAOS else 900)
@pytest.mark.parametrize("name", DIALECTS if CHAOS else ["asterisk_ami"])
def test_a_long_stream_takes_no_more_memory(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    make, stream = DIALECTS[name]
    expected = sum(isinstance(reading, Cdr) for reading in read(make(), stream))
    parser, found, most = make(), 0, 0
    parser.feed(stream * 20, NOW_MS)
    before = resident()
    for place, chunk in enumerate(chunks(stream, LONG)):
        found += sum(isinstance(reading, Cdr) for reading in parser.feed(chunk, NOW_MS))
        if not place % 16:
            most = max(most, resident() - before)
    record_property(
        "measured", f"{LONG // MIB} MiB of {name}: {found:,} records, {most / MIB:+.1f} MiB of memory"
    )
    assert most < GROWTH
    assert found >= (LONG // CHUNK * CHUNK // len(stream) - 2) * expected


ENDLESS: dict[str, tuple[Callable[[], Framer], bytes, int]] = {
    "a line": (Lines, b"x", 32),
    "a block": (Blocks, b"Event: Cdr\r\n", 32),
    "an element": (lambda: Elements(b"cdr"), b"<cdr <event/>", 2),
    "elements without a beginning": (lambda: Elements(b"cdr"), b"<cdrs><event/></cdrs>", 32),
    "an element of blanks": (lambda: Elements(b"cdr"), b" ", 32),
    "an object": (Objects, b'{"a":', 32),
    "a text in an object": (Objects, b'{"xxxx\\"\n', 1),
    "no object": (Objects, b"[[,\n", 32),
    "a quote": (Objects, b'"', 32),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_record_without_an_end_takes_no_more_memory(name: str) -> None:
    make, unit, size = ENDLESS[name]
    framer, before, most = make(), resident(), 0
    for place, chunk in enumerate(chunks(unit, size * MIB)):
        framer.feed(chunk)
        if not place % 16:
            most = max(most, resident() - before)
        assert framer.unfinished < 2 * MIB
    assert most < GROWTH
