"""Messages broken in ways that parsers break on: bytes, header lines, values, sizes."""

import random
import re
from collections.abc import Callable, Sequence

FRAGMENTS = (
    b"\r\n", b"\r", b"\n", b"\r\n ", b"\r\n\r\n", b",", b'"', b"\\", b"<", b">", b";", b":", b"=", b"@", b"?",
    b"*", b"%", b"%00", b"\0", b"\xff", b"\t", b" ", b"()", b"-1", b"0", b"99999999999", b"2147483648",
    b"4294967296", b"\xe2\x82\xac", b";lr", b";rport", b";received=203.0.113.66", b";branch=z9hG4bK",
    b";expires=0", b";tag=x", b"sip:", b"tel:1", b"[::1]", b"SIP/2.0", b"z9hG4bK", b"REGISTER", b"INVITE",
)  # fmt: skip
NAMES = (
    b"Via", b"v", b"VIA ", b"From", b"f", b"To", b"t", b"Call-ID", b"i", b"CSeq", b"Contact", b"m",
    b"Expires", b"Max-Forwards", b"Route", b"Record-Route", b"Path", b"Content-Length", b"l",
    b"Authorization", b"Date", b"Warning", b"Retry-After", b"Timestamp", b"X\0", b"", b" ",
)  # fmt: skip
VALUES = (
    b"", b" ", b" *", b" <>", b" <sip:>", b" sip:a@h?x=y", b" <sip:a@[::1]:99999;lr>", b' "',
    b' "\\"" <sip:a@h>', b" 0", b" 00000000000000000000070", b" -1", b" 1e9", b" 1 REGISTER", b" 1 INVITE",
    b" 5 ACK", b" SIP/2.0/UDP 203.0.113.66:6666;branch=z9hG4bKx", b" SIP / 2.0 / UDP [2001:db8::1] ; rport",
    b" <sip:203.0.113.66:6666;lr>", b" Digest", b' Digest a="b", c', b" ,,,,", b" ;;;;", b" a,b;c=d, <e>",
    b" <sip:a@h>;expires=0, <sip:b@h>;q=2", b"\r\n folded", b" <sip:a@192.0.2.10:5060;lr>",
)  # fmt: skip
_TOKEN = re.compile(rb"[A-Za-z0-9]+")
SIZE_LIMIT = 66_000


class Broken:
    """What any bytes of a pool are broken by, with these fragments."""

    def __init__(self, chance: random.Random, pool: Sequence[bytes], fragments: Sequence[bytes]) -> None:
        self.pool = pool
        self._chance = chance
        self._fragments = fragments

    def _at(self, data: bytes) -> int:
        return int(self._chance.random() * (len(data) + 1))

    def _length(self, most: int) -> int:
        return 1 + int(most * self._chance.random())

    def _overwrite(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + bytes((int(256 * self._chance.random()),)) + data[at + 1 :]

    def _insert(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + self._chance.choice(self._fragments) + data[at:]

    def _delete(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + data[at + self._length(20) :]

    def _repeat(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + data[at : at + self._length(60)] + data[at:]


class Mutator(Broken):
    """Draws one of some messages and breaks it, half of them once, others up to four times."""

    def __init__(self, chance: random.Random, pool: Sequence[bytes]) -> None:
        super().__init__(chance, pool, FRAGMENTS)
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._overwrite, self._insert, self._insert, self._delete, self._repeat, self._splice, self._cut,
            self._drop_line, self._double_line, self._swap_lines, self._steal_line, self._new_line,
            self._new_line, self._new_value, self._new_value, self._rename, self._fold,
            self._replace_word, self._recase,
        )  # fmt: skip

    def draw(self) -> bytes:
        """The next broken message; one in a hundred is blown up to the size of a datagram."""
        chance = self._chance
        data = chance.choice(self.pool)
        for _ in range(1 + int(4 * chance.random() ** 2)):
            data = chance.choice(self._ways)(data)
        if chance.random() < 0.01:
            data = self._blow_up(data)
        return data[:SIZE_LIMIT]

    def _splice(self, data: bytes) -> bytes:
        at, other = self._at(data), self._chance.choice(self.pool)
        start = self._at(other)
        return data[:at] + other[start : start + self._length(80)] + data[at + self._length(40) :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._at(data)] if self._chance.random() < 0.3 else data[self._length(8) :]

    def _lines(self, data: bytes) -> tuple[list[bytes], int]:
        lines = data.split(b"\r\n")
        return lines, int(self._chance.random() * len(lines))

    def _drop_line(self, data: bytes) -> bytes:
        lines, at = self._lines(data)
        return b"\r\n".join(lines[:at] + lines[at + 1 :])

    def _double_line(self, data: bytes) -> bytes:
        lines, at = self._lines(data)
        return b"\r\n".join(lines[: at + 1] + lines[at:])

    def _swap_lines(self, data: bytes) -> bytes:
        lines, at = self._lines(data)
        other = int(self._chance.random() * len(lines))
        lines[at], lines[other] = lines[other], lines[at]
        return b"\r\n".join(lines)

    def _steal_line(self, data: bytes) -> bytes:
        lines, at = self._lines(data)
        lines[at] = self._chance.choice(self._chance.choice(self.pool).split(b"\r\n"))
        return b"\r\n".join(lines)

    def _new_line(self, data: bytes) -> bytes:
        lines, at = self._lines(data)
        lines.insert(at, self._chance.choice(NAMES) + b":" + self._chance.choice(VALUES))
        return b"\r\n".join(lines)

    def _new_value(self, data: bytes) -> bytes:
        lines, at = self._lines(data)
        lines[at] = lines[at].partition(b":")[0] + b":" + self._chance.choice(VALUES)
        return b"\r\n".join(lines)

    def _rename(self, data: bytes) -> bytes:
        lines, at = self._lines(data)
        lines[at] = self._chance.choice(NAMES) + b":" + lines[at].partition(b":")[2]
        return b"\r\n".join(lines)

    def _fold(self, data: bytes) -> bytes:
        at = data.find(b" ", self._at(data))
        return data if at < 0 else data[:at] + self._chance.choice((b"\r\n ", b" \r\n\t", b"\n ")) + data[at:]

    def _replace_word(self, data: bytes) -> bytes:
        match = _TOKEN.search(data, self._at(data))
        if match is None:
            return data
        return data[: match.start()] + self._chance.choice(FRAGMENTS) + data[match.end() :]

    def _recase(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + data[at : at + 10].swapcase() + data[at + 10 :]

    def _blow_up(self, data: bytes) -> bytes:
        at = self._at(data)
        piece = self._chance.choice(FRAGMENTS) + data[at : at + self._length(12)]
        return data[:at] + piece * int(self._chance.random() * SIZE_LIMIT / len(piece)) + data[at:]
