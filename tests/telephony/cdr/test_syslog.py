"""Syslog headers go, records stay as they are; TCP is cut the same however it was split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.cdr.reading import MAX_RECORD, Contained, Piece
from telephony.cdr.syslog import Octets, message_of

MESSAGES = (
    b'"201","0611","2026-11-18 00:00:01"', b"event=A:Rel&time=951&date=20261123-181551",
    b'{"method":"INVITE"}', b'<cdr guid="1" dir="from"></cdr>',
)  # fmt: skip
HEADS = (
    b"", b"<134>", b"<13>Nov  3 12:00:00 ", b"<13>Nov 30 12:00:00 pbx ", b"<13>Nov 30 12:00:00 pbx CDR0: ",
    b"<134>Nov 30 12:00:00 192.0.2.20 kamailio[17]: ", b"<134>1 2026-11-30T12:00:00Z pbx asterisk 17 - - ",
    b'<134>1 2026-11-30T12:00:00Z pbx a 1 ID [x@1 a="b\\]" c="]"][y@2] \xef\xbb\xbf',
)  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("message", MESSAGES)
def test_the_message_is_what_is_left(head: bytes, message: bytes) -> None:
    assert message_of(head + message) == message


def test_a_header_alone_says_nothing() -> None:
    assert message_of(b"<134>1 - - - - - -") == b""


def framed(data: bytes, cuts: list[int]) -> list[bytes]:
    octets, before = Octets(), 0
    found: list[Piece] = []
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        found += octets.feed(data[before:cut])
        before = cut
    return [piece.raw for piece in found + octets.end()]


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_tcp_is_cut_by_counts_and_by_lines(cuts: list[int]) -> None:
    counted = b"".join(b"%d %b" % (len(message) + 1, message + b"\n") for message in MESSAGES)
    assert framed(counted, cuts) == [message + b"\n" for message in MESSAGES]
    lines = b"".join(b"<13>" + message + b"\n" for message in MESSAGES)
    assert framed(lines, cuts) == [b"<13>" + message + b"\n" for message in MESSAGES]


def test_what_is_too_long_comes_in_pieces_and_memory_is_bounded() -> None:
    octets = Octets()
    assert [len(piece.raw) for piece in octets.feed(b"x" * (2 * MAX_RECORD + 5))] == [MAX_RECORD] * 2
    counted = b"%d " % (MAX_RECORD + 3) + b"y" * (MAX_RECORD + 3) + b"<13>z\n"
    assert [len(piece.raw) for piece in Octets().feed(counted)] == [MAX_RECORD, 3, 6]


class Failing(Octets):
    """It fails where a message has a `!`."""

    def feed(self, data: bytes) -> list[Piece]:
        pieces = super().feed(data)
        if any(b"!" in piece.raw for piece in pieces):
            raise IndexError("a mistake")
        return pieces


def test_a_mistake_costs_one_message() -> None:
    for messages in (
        (b"8 <13>one\n", b"6 <13>!\n", b"8 <13>two\n"),
        (b"<13>one\n", b"<13>!\n", b"<13>two\n"),
    ):
        stream, (_, odd, _) = b"".join(messages), messages
        for at in range(len(stream) + 1):
            octets = Contained(Failing)
            found = [*octets.feed(stream[:at]), *octets.feed(stream[at:]), *octets.end()]
            assert [piece.raw for piece in found] == [b"<13>one\n", odd, b"<13>two\n"], at
            assert [bool(piece.bug) for piece in found] == [False, True, False]
