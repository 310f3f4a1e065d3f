"""What people are told of call records, as values: the admin API sends them as they are."""

from dataclasses import dataclass

from licence_master.store.call_reader import PutAside, Told
from telephony.cdr import columns
from telephony.cdr.masking import masked
from telephony.cdr.record import Cdr

Fields = dict[str, str | int | None]
"""A call record by the names of its columns, `raw` in base64."""


@dataclass(frozen=True, slots=True)
class AsideView:
    """Something put aside; `first` is the record that stays where `record` is in conflict with it.

    `raw` (base64) are the bytes that no parser could read; null where a record has them, or they may not be
    shown.
    """

    id: int
    at_ms: int
    source: str
    verdict: str
    reason: str
    detail: str
    call_ref: str
    leg: str
    raw: str | None
    record: Fields | None
    first: Fields | None


@dataclass(frozen=True, slots=True)
class MissingView:
    """Numbers that a counting PBX never sent, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source of call records: what its agent says of it, and what became of all that came from it.

    `away`: the agent itself is silent, so that nothing newer is known. `missing_numbers` counts those of
    `missing` and those forgotten for being too many. `lost` were here before a restore, and the agent has
    them no longer. `arrived` counts the verdicts: their sum came.
    """

    source: str
    pbx: str
    told_ms: int | None
    away: bool
    last_ms: int | None
    silent: bool
    connected: bool
    missing: tuple[MissingView, ...]
    missing_numbers: int
    restarts: int
    lost: int
    arrived: dict[str, int]


def aside(row: PutAside, mask: int | None) -> AsideView:
    """A row of the quarantine; a mask hides numbers, and bytes that nobody can read."""
    unread = row.raw if row.record is None and mask is None else None
    return AsideView(
        id=row.id,
        at_ms=row.at_ms,
        source=row.source,
        verdict=row.verdict,
        reason=row.reason,
        detail=row.detail if mask is None else "",
        call_ref=row.call_ref if mask is None else "",
        leg=row.leg if mask is None else "",
        raw=None if unread is None else columns.base64_of(unread),
        record=_fields(row.record, mask),
        first=_fields(row.first, mask),
    )


def source(told: Told, away: bool) -> SourceView:
    """A source, whose agent may be away."""
    state = told.state
    missing = tuple(MissingView(gap.first, gap.last) for gap in state.missing) if state else ()
    return SourceView(
        source=told.source,
        pbx=told.source.split("/")[1],
        told_ms=told.told_ms,
        away=away,
        last_ms=state.last_ms if state else None,
        silent=state is not None and state.silent,
        connected=state is None or state.connected,
        missing=missing,
        missing_numbers=sum(gap.last - gap.first + 1 for gap in missing) + (state.forgotten if state else 0),
        restarts=state.restarts if state else 0,
        lost=state.lost if state else 0,
        arrived={str(verdict): count for verdict, count in told.arrived.items()},
    )


def _fields(cdr: Cdr | None, mask: int | None) -> Fields | None:
    if cdr is None:
        return None
    return columns.values(cdr if mask is None else masked(cdr, mask))
