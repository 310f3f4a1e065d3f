"""Call records broken in ways that their readers break on: bytes, separators, quotes, numbers, sizes."""

import random
from collections.abc import Callable, Sequence

from tests.telephony.mutation import Broken

FRAGMENTS = (
    b"\n", b"\r", b"\r\n\r\n", b",", b'"', b'""', b";", b"=", b"&", b":", b"<", b">", b"</", b"<cdr ",
    b"</cdr>", b"/>", b"{", b"}", b"[", b"]", b"\\", b"\\u0000", b"\\ud800", b"\0", b"\xff", b"\xe2\x82\xac",
    b" ", b"%", b"%00", b"-1", b"0", b"1e9", b"99999999999999999999", b"253402300800", b"2026-02-30",
    b"0000-00-00 00:00:00", b"NaN", b"null", b"true", b"ANSWERED", b"<!DOCTYPE x [", b"<!ENTITY a 'b'>",
    b"&a;", b"<![CDATA[", b"ACC: ", b"event=", b"Event: ",
)  # fmt: skip
DIGITS = (b"0", b"9", b"-", b".", b"x", b"")


class Breaker(Broken):
    """Draws one of some records and breaks it, half of them once, others up to four times."""

    def __init__(self, chance: random.Random, pool: Sequence[bytes]) -> None:
        super().__init__(chance, pool, FRAGMENTS)
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._overwrite, self._insert, self._insert, self._delete, self._repeat, self._splice, self._cut,
            self._digit, self._digit,
        )  # fmt: skip

    def draw(self) -> bytes:
        """The next broken record."""
        chance = self._chance
        data = chance.choice(self.pool)
        for _ in range(1 + int(4 * chance.random() ** 2)):
            data = chance.choice(self._ways)(data)
        return data

    def _splice(self, data: bytes) -> bytes:
        at, other = self._at(data), self._chance.choice(self.pool)
        start = self._at(other)
        return data[:at] + other[start : start + 60] + data[at + int(40 * self._chance.random()) :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._at(data)]

    def _digit(self, data: bytes) -> bytes:
        """Another character where a digit stands, behind some place."""
        at = next((i for i in range(self._at(data), len(data)) if 48 <= data[i] <= 57), None)
        return data if at is None else data[:at] + self._chance.choice(DIGITS) + data[at + 1 :]
