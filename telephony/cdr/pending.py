"""Calls whose record comes in parts: kept until they are whole, in bounded memory, and never dropped unseen.

Age counts from arrival, not from what records say: one false date must not push others out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from telephony.cdr.reading import Quarantined, Reason
from telephony.cdr.times import DAY_MS

T = TypeVar("T")

MAX_CALLS: Final = 10_000
MAX_BYTES: Final = 16_777_216
"""Of the raw bytes of all parts together."""
MAX_CALL_BYTES: Final = 262_144
"""Of the parts of one call."""


@dataclass(slots=True)
class Open(Generic[T]):
    """One call that goes on: its parts in order, and what a dialect made of them."""

    state: T
    since_ms: int
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def raw(self) -> bytes:
        """All parts, one a line."""
        return b"\n".join(self.parts)


class Pending(Generic[T]):
    """The open calls of a source by call reference, oldest first."""

    def __init__(self, begin: Callable[[], T], max_age_ms: int = DAY_MS) -> None:
        self._begin = begin
        self._max_age_ms = max_age_ms
        self._calls: dict[str, Open[T]] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, call_ref: str) -> Open[T] | None:
        """The call, if it is open."""
        return self._calls.get(call_ref)

    def add(self, call_ref: str, raw: bytes, now_ms: int) -> Open[T]:
        """One more part of a call, perhaps the first."""
        call = self._calls.get(call_ref)
        if call is None:
            call = self._calls[call_ref] = Open(self._begin(), now_ms)
        call.parts.append(raw)
        call.size += len(raw)
        self._size += len(raw)
        return call

    def close(self, call_ref: str) -> None:
        """It is whole; nothing of it is kept."""
        call = self._calls.pop(call_ref, None)
        self._size -= 0 if call is None else call.size

    def overdue(self, call_ref: str, now_ms: int) -> list[Quarantined]:
        """What must go: this call if it is too large, the oldest if they are too old or too many."""
        out = []
        call = self._calls.get(call_ref)
        if call is not None and call.size > MAX_CALL_BYTES:
            out.append(self._given_up(call_ref, f"more than {MAX_CALL_BYTES} bytes of one call"))
        while self._calls and (why := self._too_much(now_ms)):
            out.append(self._given_up(next(iter(self._calls)), why))
        return out

    def _too_much(self, now_ms: int) -> str:
        oldest = next(iter(self._calls.values()))
        if now_ms - oldest.since_ms > self._max_age_ms:
            return f"no end within {self._max_age_ms // 3_600_000} h"
        if len(self._calls) > MAX_CALLS:
            return f"the oldest of more than {MAX_CALLS} open calls"
        return f"the oldest of more than {MAX_BYTES} bytes of open calls" if self._size > MAX_BYTES else ""

    def _given_up(self, call_ref: str, why: str) -> Quarantined:
        raw = self._calls[call_ref].raw
        self.close(call_ref)
        return Quarantined(raw, Reason.NO_END, why, call_ref)
