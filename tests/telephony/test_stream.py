"""The framer: the same units however the bytes were split, and why a stream cannot be read on."""

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.address import Flow
from telephony.sip.message import SIZE_LIMIT, scan
from telephony.sip.stream import KEEP_ALIVE, Broken, Framer
from tests.telephony.scene import PBX, Scene, only_send, reasons, register, status
from tests.telephony.test_message import written_oddly
from tests.telephony.test_router import request

CARL = Flow(0, "198.51.100.9", 40003, connection=7)
CALL = request(to_tag="")  # with a body


def units(framer: Framer, pieces: list[bytes]) -> list[bytes]:
    """Everything that is whole after these pieces."""
    taken: list[bytes] = []
    for piece in pieces:
        framer.feed(piece)
        while (unit := framer.take()) is not None:
            taken.append(unit)
    return taken


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces that end at these places."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


messages = st.one_of(
    st.just(CALL),
    st.just(register()),
    written_oddly(),
    st.binary(max_size=60).map(lambda body: b"BYE sip:a SIP/2.0\r\nl: %d\r\n\r\n" % len(body) + body),
)
streams = st.lists(messages | st.just(KEEP_ALIVE), max_size=6)


@given(streams, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_split_gives_the_same_units(sent: list[bytes], places: list[int]) -> None:
    framer = Framer()
    assert units(framer, cut(b"".join(sent), places)) == sent
    assert not framer.mid_message
    assert framer.broken is None


def test_splits_at_every_byte() -> None:
    data = b"".join((CALL, KEEP_ALIVE, register(), b"\r\n", CALL))
    for place in range(len(data) + 1):
        assert units(Framer(), [data[:place], data[place:]]) == [CALL, KEEP_ALIVE, register(), CALL]
    single = [data[at : at + 1] for at in range(len(data))]
    assert units(Framer(), single) == [CALL, KEEP_ALIVE, register(), CALL]


@given(written_oddly())
def test_what_the_framer_cuts_the_scanner_reads_whole(message: bytes) -> None:
    (unit,) = units(Framer(), [message + CALL[:40]])
    read = scan(unit)
    assert read is not None
    assert unit.endswith(b"\r\n\r\n" + read.body)


def test_begun_messages_are_seen() -> None:
    for begun in (b"I", CALL[:50], CALL[:-1]):
        framer = Framer()
        assert units(framer, [begun]) == []
        assert framer.mid_message
    for quiet in (b"", b"\r", b"\r\n", b"\r\n\r", KEEP_ALIVE, CALL, CALL + b"\r\n"):
        framer = Framer()
        units(framer, [quiet])
        assert not framer.mid_message


def test_a_pong_waits_for_what_follows() -> None:
    framer = Framer()
    assert units(framer, [b"\r\n", CALL]) == [CALL]


MISSING, TWICE, NO_NUMBER = (
    f"Content-Length {what}" for what in ("is missing", "stands there twice", "is not a number")
)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("X: y", MISSING),
        ("X: y\r\n Content-Length: 5", MISSING),
        ("X: y\nContent-Length: 5", MISSING),
        ("Content-Length : 5\r\nl: 5", TWICE),
        ("Content-Length: 0\r\nCONTENT-LENGTH: 0", TWICE),
        ("l:", NO_NUMBER),
        ("l: -1", NO_NUMBER),
        ("l: 5, 5", NO_NUMBER),
        ("l: 5\nX: y", NO_NUMBER),
        ("l: 5\rX: y", NO_NUMBER),
        ("l: 0x5", NO_NUMBER),
        ("l: ٥", NO_NUMBER),
        ("l: 00000000005", NO_NUMBER),
        ("l: 9999999999", f"a message of more than {SIZE_LIMIT} bytes"),
        (f"l: {SIZE_LIMIT}", f"a message of more than {SIZE_LIMIT} bytes"),
    ],
)
def test_what_breaks_a_stream(head: str, why: str) -> None:
    data = f"BYE sip:a SIP/2.0\r\n{head}\r\n\r\n".encode()
    framer = Framer()
    assert units(framer, [CALL + data + CALL]) == [CALL]
    assert framer.broken == Broken(why, data)
    assert units(framer, [CALL]) == []


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"\nBYE", b" BYE", b"\0", b"\r\n\n", b"\rBYE", b"<policy/>"]
)
def test_what_is_no_sip(data: bytes) -> None:
    framer = Framer()
    assert units(framer, [CALL, *(data[at : at + 1] for at in range(len(data)))]) == [CALL]
    assert framer.broken is not None
    assert "no SIP" in framer.broken.why or "no empty line" in framer.broken.why


def test_sizes() -> None:
    head = b"BYE sip:a SIP/2.0\r\nl: %d\r\n\r\n"
    size = SIZE_LIMIT - len(head % 65_000)
    largest = head % size + bytes(size)
    assert len(largest) == SIZE_LIMIT
    assert units(Framer(), [largest]) == [largest]
    framer = Framer()
    assert units(framer, [b"BYE sip:a SIP/2.0\r\nX: " + b"x" * SIZE_LIMIT]) == []
    assert framer.broken == Broken(f"a header of more than {SIZE_LIMIT} bytes")


def test_byte_by_byte_costs_as_much_for_each_byte() -> None:
    """300 KB in single bytes: a search from the start each time would look at 45 GB."""
    size = 300_000
    for begun in (b"BYE sip:a SIP/2.0\r\nX: ", b"BYE sip:a SIP/2.0\r\nl: %d\r\n\r\n" % size):
        framer, started = Framer(limit=2 * size), perf_counter()
        framer.feed(begun)
        for _ in range(size - 1):
            framer.feed(b"x")
            assert framer.take() is None
        assert framer.mid_message
        assert perf_counter() - started < 2


def test_a_broken_stream_is_answered_where_a_request_asked() -> None:
    scene = Scene()
    silent = re.sub(rb"Content-Length.*?\r\n", b"", register())
    outputs = scene.guard.broken(Broken("Content-Length is missing", silent), CARL)
    assert reasons(outputs) == ["malformed"]
    sent = only_send(outputs, CARL)
    assert sent.startswith(b"SIP/2.0 400 Content-Length is missing\r\nVia: ")
    assert status(sent) == 400


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"SIP/2.0 200 OK\r\nl: x\r\n\r\n",
        request("ACK").replace(b"Content-Length: 5", b"Content-Length: x"),
        b"BYE sip:a SIP/2.0\r\nl: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_nothing_else_is_answered(head: bytes) -> None:
    outputs = Scene().guard.broken(Broken("why", head), PBX)
    assert len(outputs) == 1
    assert reasons(outputs) == ["malformed"]
