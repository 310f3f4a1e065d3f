"""20,000 broken records of each dialect: nothing raises, hangs or grows, and the next good one is read.

`make test` takes fewer of each, `make chaos` all of them from a seed that it prints; `SEED=` repeats them.
"""

import os
import random
from collections.abc import Callable
from dataclasses import fields
from time import thread_time_ns

import pytest

from telephony.cdr.framing import Blocks, Elements, Lines, Objects
from telephony.cdr.freeswitch import MAX_DOCUMENT
from telephony.cdr.reading import Framer, Part, Quarantined, Reading
from telephony.cdr.record import Cdr
from tests.telephony.cdr.breaking import Breaker
from tests.telephony.cdr.samples import DIALECTS, NOW_MS, Dialect

CHAOS = bool(os.environ.get("CHAOS"))
MUTATIONS = 20_000 if CHAOS else 1_000
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32) if CHAOS else 20_261_129))
HANG_MS = 200

SEPARATORS = {"asterisk_ami": b"\r\n\r\n", "asterisk_ami_cel": b"\r\n\r\n"}
FRAMERS: dict[str, Callable[[], Framer]] = {
    "innovaphone": lambda: Elements(b"cdr"),
    "freeswitch_xml": lambda: Elements(b"cdr", MAX_DOCUMENT),
    "freeswitch_json": lambda: Objects(MAX_DOCUMENT),
    "mapped_json": Objects,
    "asterisk_ami": Blocks,
    "asterisk_ami_cel": Blocks,
}


def single(name: str, dialect: Dialect) -> list[bytes]:
    """The records of a sample stream, each with what ends it."""
    framer = FRAMERS.get(name, Lines)()
    ends = SEPARATORS.get(name, b"\n")
    return [piece.raw + ends for piece in framer.feed(dialect.stream) + framer.end()]


def is_sound(reading: Reading) -> bool:
    """What every reading must be, whatever was read."""
    if not isinstance(reading, Cdr):
        whole = bool(reading.raw) and len(reading.raw) <= MAX_DOCUMENT
        return whole and (isinstance(reading, Part) or not reading.bug)
    answer_ms = reading.setup_ms if reading.answer_ms is None else reading.answer_ms
    assert reading.answer_ms is not None or reading.talk_s == 0
    assert reading.call_ref
    assert len(reading.content_hash) == 64
    texts = [getattr(reading, field.name) for field in fields(reading)]
    assert all(text.encode() is not None for text in texts if isinstance(text, str))
    return 0 <= reading.setup_ms <= answer_ms <= reading.end_ms and reading.talk_s >= 0 and bool(reading.raw)


@pytest.mark.timeout(3_600 if CHAOS else 900)
@pytest.mark.parametrize("name", DIALECTS)
def test_broken_records(name: str, record_property: Callable[[str, object], None]) -> None:
    print(f"to repeat it: SEED={SEED}")
    dialect = DIALECTS[name]
    breaker = Breaker(random.Random(f"{SEED} {name}"), single(name, dialect))
    between = b"\n" + SEPARATORS.get(name, b"\n")
    parser = dialect.make()
    slowest_ns = cdrs = unreadable = 0
    for _ in range(MUTATIONS):
        data = breaker.draw() + between
        begun = thread_time_ns()
        readings = parser.feed(data, NOW_MS)
        slowest_ns = max(slowest_ns, thread_time_ns() - begun)
        assert all(map(is_sound, readings)), data
        assert parser.unfinished <= MAX_DOCUMENT
        cdrs += sum(isinstance(reading, Cdr) for reading in readings)
        unreadable += sum(isinstance(reading, Quarantined) for reading in readings)
    assert slowest_ns < HANG_MS * 1_000_000
    parser.feed(between + dialect.stream, NOW_MS)  # ends the calls that broken parts have begun
    good = [reading for reading in parser.feed(dialect.stream, NOW_MS) if isinstance(reading, Cdr)]
    expected = [
        reading for reading in dialect.make().feed(dialect.stream, NOW_MS) if isinstance(reading, Cdr)
    ]
    assert {cdr.key for cdr in good} >= {cdr.key for cdr in expected[1:]}, "the stream goes on"
    record_property(
        "measured",
        f"broken call records, {name}, seed {SEED}: {MUTATIONS:,}, of which {cdrs:,} were still records,"
        f" {unreadable:,} quarantined; slowest {slowest_ns / 1e6:.1f} ms of CPU",
    )
    assert cdrs > MUTATIONS // 500
    assert unreadable > MUTATIONS // 100
