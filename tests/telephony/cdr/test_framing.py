"""Framers: wherever the bytes are split the pieces are the same, none is lost, and memory has a bound."""

from collections.abc import Callable

import pytest

from telephony.cdr.framing import Blocks, Elements, Lines, Objects
from telephony.cdr.reading import MAX_RECORD, Contained, Framer, Piece, Reason

LIMIT = 40
FRAMERS: dict[str, Callable[[], Framer]] = {
    "lines": lambda: Lines(LIMIT),
    "blocks": lambda: Blocks(LIMIT),
    "elements": lambda: Elements(b"cdr", LIMIT),
    "objects": lambda: Objects(LIMIT),
}
STREAMS = {
    "lines": [
        b"a\nbb\r\n\n\r\nccc",
        b"x" * 39 + b"\n" + b"y" * 40 + b"\r\n" + b"z" * 41 + b"\n" + b"w" * 121 + b"\nlast\n",
        b" \n\r\n\t\nq\n",
    ],
    "blocks": [
        b"Event: A\r\nX: 1\r\n\r\nEvent: B\n\n\r\n\n\nEvent: C",
        b"x" * 40
        + b"\r\n\r\n"
        + b"y" * 41
        + b"\n\n"
        + b"z" * 38
        + b"\r\n\r\r\n\r\n"
        + b"w" * 130
        + b"\n\nlast",
    ],
    "elements": [
        b'<cdr a="1"/><cdr><u/></cdr>\n <cdr></cdr>junk</cdr><cdr x=\'<cdr y></cdr  >',
        b"<134>pbx: <cdr></cdr>Nov 23 17:54:02 pbx <cdr></cdr>tail <cdr></cdr>",
        b"<cdr " + b"y" * 90 + b"<cdr b></cdr><cdr c></cdr",
        b"<?xml version='1.0'?>\n<cdr></cdr>\n" + b" " * 60 + b"<cdrs></cdrs></cdr>",
    ],
    "objects": [
        b'[{"a":"}\\"{"},\n{"b":{"c":[1]}}]{"d":2}',
        b'{"open":\n{"good":1}junk{"e":1}\\\n{"f":"\\\\"}',
        b'{"long":"' + b"x" * 70 + b'"}\n{"g":1}\n' + b"z" * 90 + b'\n{"h":1}',
        b'"quoted {" {"i":1}\n\n{"cut',
        b'[{"j":{\n[{"k":1},\n {"l":2}]\n[\n' + b"x" * 50 + b'\n[{"m":1}]',
    ],
}
CASES = [(name, stream) for name, streams in STREAMS.items() for stream in streams]


def pieces(make: Callable[[], Framer], *parts: bytes) -> list[Piece]:
    framer = make()
    found = [piece for part in parts for piece in framer.feed(part)]
    assert framer.unfinished <= LIMIT + 4
    return found + framer.end()


@pytest.mark.parametrize(("name", "stream"), CASES)
def test_split_at_every_byte(name: str, stream: bytes) -> None:
    make = FRAMERS[name]
    whole = pieces(make, stream)
    for at in range(len(stream) + 1):
        assert pieces(make, stream[:at], stream[at:]) == whole, at
    for size in (1, 2, 3, 7):
        assert pieces(make, *(stream[at : at + size] for at in range(0, len(stream), size))) == whole


@pytest.mark.parametrize(("name", "stream"), CASES)
def test_no_byte_but_white_space_and_brackets_is_lost(name: str, stream: bytes) -> None:
    """And all of them come in their order."""
    blank = b" \t\r\n" + (b",[]" if name == "objects" else b"")
    kept = b"".join(piece.raw for piece in pieces(FRAMERS[name], stream))
    assert kept.translate(None, blank) == stream.translate(None, blank)


class Failing:
    """A framer with a mistake: it fails where a record has a `!`."""

    def __init__(self, right: Framer) -> None:
        self._right = right
        self.begins = right.begins

    @property
    def unfinished(self) -> int:
        return self._right.unfinished

    def feed(self, data: bytes) -> list[Piece]:
        return self._tried(self._right.feed(data))

    def end(self) -> list[Piece]:
        return self._tried(self._right.end())

    def _tried(self, pieces: list[Piece]) -> list[Piece]:
        if any(b"!" in piece.raw for piece in pieces):
            raise IndexError("a mistake")
        return pieces


ODD = {
    "lines": (b"aa\nbb\n", b"c!c\n", b"dd\n"),
    "blocks": (b"A: 1\r\nB: 2\r\n\r\n", b"C: !\r\nD: 4\r\n\r\n", b"E: 5\n\n"),
    "elements": (b"<cdr a></cdr>\n<cdr b></cdr>", b"<cdr !></cdr>", b"<cdr d></cdr>"),
    "objects": (b'{"a":1}{"b":2}\n', b'{"c":"!"}\n', b'{"d":4}'),
}


@pytest.mark.parametrize("name", ODD)
def test_a_mistake_costs_the_bytes_up_to_the_next_record(name: str) -> None:
    """Wherever they are split, twice in one stream, and at its end."""
    make = lambda: Contained(lambda: Failing(FRAMERS[name]()))  # noqa: E731
    before, odd, behind = ODD[name]
    good, rest = pieces(FRAMERS[name], before), pieces(FRAMERS[name], behind)
    for stream, expected in (
        (before + odd + behind, [*good, None, *rest]),
        (odd + before + odd + odd + behind, [None, *good, None, None, *rest]),
        (before + odd.strip(), [*good, None]),
    ):
        for at in range(len(stream) + 1):
            found = pieces(make, stream[:at], stream[at:])
            assert [None if piece.bug else piece for piece in found] == expected, (at, found)
            for piece in found:
                if piece.bug:
                    assert (piece.raw.strip(), piece.fault) == (odd.strip(), Reason.MALFORMED)
                    assert piece.bug.startswith("IndexError at test_framing.py:")


def test_a_mistake_without_a_next_record_waits_for_no_more_than_a_record() -> None:
    class Blind(Lines):
        def feed(self, data: bytes) -> list[Piece]:
            raise IndexError("a mistake")

    contained, stream = Contained(Blind), b"x" * 200_000
    found = [
        piece for at in range(0, len(stream), 4_096) for piece in contained.feed(stream[at : at + 4_096])
    ]
    assert contained.unfinished <= MAX_RECORD
    assert b"".join(piece.raw for piece in [*found, *contained.end()]) == stream
    assert contained.unfinished == 0


def test_a_mistake_in_each_record_takes_its_time_and_no_more() -> None:
    """64 KiB of them: each is looked for near its beginning, not in all that follows."""
    fed = 0

    class Counting(Failing):
        def feed(self, data: bytes) -> list[Piece]:
            nonlocal fed
            fed += len(data)
            return super().feed(data)

    stream = b"record!\n" * 8_192
    found = Contained(lambda: Counting(Lines())).feed(stream)
    assert [piece.raw for piece in found] == [b"record!\n"] * 8_192
    assert fed < 10 * len(stream) + 2 * len(stream)


def shown(name: str, stream: bytes) -> list[tuple[bytes, str | None]]:
    return [(piece.raw, piece.fault) for piece in pieces(FRAMERS[name], stream)]


def test_a_line_of_the_limit_is_whole_and_one_more_byte_is_too_long() -> None:
    assert shown("lines", b"x" * 40 + b"\n" + b"y" * 41 + b"\nz") == [
        (b"x" * 40, None),
        (b"y" * 40, Reason.TOO_LONG),
        (b"y", Reason.TOO_LONG),
        (b"z", None),
    ]


def test_an_element_that_begins_again_was_cut() -> None:
    assert shown("elements", b"<cdr a><e/><cdr b></cdr>") == [
        (b"<cdr a><e/>", Reason.MALFORMED),
        (b"<cdr b></cdr>", None),
    ]


def test_a_longer_name_is_another_element() -> None:
    assert shown("elements", b"<cdrs></cdrs><cdr></cdr>") == [
        (b"<cdrs></cdrs>", Reason.MALFORMED),
        (b"<cdr></cdr>", None),
    ]


def test_an_object_that_begins_on_a_new_line_ends_the_one_before() -> None:
    assert shown("objects", b'{"a":"\n{"b":1}\n') == [(b'{"a":"', Reason.MALFORMED), (b'{"b":1}', None)]


def test_after_what_was_too_long_the_next_line_is_read() -> None:
    found = shown("objects", b'{"a":{"b":"' + b"x" * 90 + b'"}}\n{"c":1}')
    assert [fault for _, fault in found] == [Reason.TOO_LONG] * 3 + [None]
    assert found[-1][0] == b'{"c":1}'
