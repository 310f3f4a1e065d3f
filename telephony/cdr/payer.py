"""Who pays which leg, and for how many seconds: the rules of docs/call-records.md, for every PBX the same.

1. Who placed a leg pays it; who received it does not, nor does a leg that rang beside the one that was taken.
2. Who forwarded or transferred a call pays the leg that he led it into: the dialects put him into `account`.
3. A leg that nobody answered costs nothing, whatever its cause: busy, rejected, given up.
4. Time on one line counts once: of records of one call from one account to one number that overlap (a PBX
   writes one for each pair of members of a room), a later one pays only what the earlier ones leave.

What a second costs, and whether a number is internal, is not known here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from telephony.cdr.record import Cdr, Direction
from telephony.cdr.times import whole_seconds


class Free(StrEnum):
    """Why nobody pays a leg."""

    RECEIVED = "received"
    RELATED = "related"
    UNANSWERED = "unanswered"
    COUNTED = "counted"
    """All of its time stands in an earlier record."""


@dataclass(frozen=True, slots=True)
class Due:
    """What one record adds: `account` pays `seconds`; with `free` nobody pays, and both say nothing."""

    record: Cdr
    account: str
    seconds: int
    free: Free | None


def dues(records: Iterable[Cdr]) -> list[Due]:
    """Who pays each of these records, which must be all of their calls; ordered by answer and key.

    The order in which they are given makes no difference.
    """
    counted_ms: dict[tuple[str, str, str, str], int] = {}
    found: list[Due] = []
    for record in sorted(records, key=_order):
        free = _free(record)
        if free is not None or record.answer_ms is None:
            found.append(Due(record, "", 0, free))
            continue
        line = (record.source, record.call_ref, record.account, record.called)
        begin_ms, end_ms = record.answer_ms, record.answer_ms + record.talk_s * 1_000
        left_s = whole_seconds(end_ms - max(begin_ms, counted_ms.get(line, begin_ms)))
        counted_ms[line] = max(end_ms, counted_ms.get(line, end_ms))
        if left_s <= 0:
            found.append(Due(record, "", 0, Free.COUNTED))
        else:
            found.append(Due(record, record.account, left_s, None))
    return found


def _free(record: Cdr) -> Free | None:
    if record.direction is Direction.IN:
        return Free.RECEIVED
    if record.direction is Direction.RELATED:
        return Free.RELATED
    return Free.UNANSWERED if record.answer_ms is None or not record.talk_s else None


def _order(record: Cdr) -> tuple[int, int, str, str, str]:
    begin_ms = record.setup_ms if record.answer_ms is None else record.answer_ms
    return begin_ms, -record.talk_s, *record.key
