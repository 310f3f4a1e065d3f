"""SSA: put a lot under it, prolong, end (8.1). Each says what happens or why not; the caller commits."""

from dataclasses import dataclass

from licensing.catalogue import Catalogue, Row
from licensing.codes import Code, Refusal
from licensing.ledger import AnyEvent
from licensing.licence_type import LicenceType
from licensing.state import State
from licensing.terms import day
from licensing.terms.ending import subject
from licensing.terms.lot import Lot, Ssa
from licensing.terms.term_events import Debited, SsaAgreed, SsaEnded, SsaProlonged

NO_SSA = ("it cannot be put under SSA (1.4, 2.2 to 2.4)", "It needs none: it serves every release.")
NO_RENT = ("it cannot be rented (1.4, 2.2 to 2.4)", "Buy it; for conferences PBX-Channels can be rented.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An SSA to agree: `years` from the first assignment or `until_day`, `ssc` for each unit and term.

    `since_day` is the day of the first assignment where it was before this master saw it.
    """

    lot: str
    years: int
    ssc: int
    auto: bool = False
    until_day: int | None = None
    since_day: int | None = None


def row_of(catalogue: Catalogue, text: str) -> tuple[LicenceType, Row] | Refusal:
    """The licence type that a text names, and its row."""
    parsed = LicenceType.parse(text)
    if isinstance(parsed, Refusal):
        return parsed
    row = catalogue.row_of(parsed)
    return row if isinstance(row, Refusal) else (parsed, row)


def agree(
    state: State, catalogue: Catalogue, wanted: Wanted, today: int, by: str
) -> list[AnyEvent] | Refusal:
    """Put a lot under SSA; its term begins at its first assignment (L.r32).

    Codes: `hardware_bound`, `invalid_type`, `not_found`, `already_agreed`, `invalid_request`, `credit_short`.
    """
    lot = _lot(state, catalogue, wanted.lot)
    if isinstance(lot, Refusal):
        return lot
    if lot.ssa is not None:
        detail = f"{subject(lot)} is under SSA until {day.shown(lot.ssa.until_day)}"
        return Refusal(Code.ALREADY_AGREED, detail, f"Prolong it: licence-master ssa prolong {lot.number}")
    since = lot.since_day if wanted.since_day is None else wanted.since_day
    if since > lot.since_day:
        detail = f"{subject(lot)} was assigned here on {day.shown(lot.since_day)}, not first on a later day"
        return Refusal(Code.INVALID_REQUEST, detail)
    until = day.last_of_years(since, wanted.years) if wanted.until_day is None else wanted.until_day
    over = _over(until, today, f"it begins with the first assignment, {day.shown(since)}")
    if over is not None:
        return over
    paid = _paid(state, lot, wanted.ssc, until, today, by)
    if isinstance(paid, Refusal):
        return paid
    ssa = Ssa(until, wanted.years, wanted.ssc, wanted.auto)
    return [*paid, SsaAgreed(lot.number, since, ssa)]


def prolong(
    state: State,
    catalogue: Catalogue,
    name: str,
    today: int,
    by: str,
    *,
    years: int | None = None,
    ssc: int | None = None,
) -> list[AnyEvent] | Refusal:
    """One further term, which follows without a gap; years and SSC for each unit as agreed, or as given.

    Codes: as for `agree`; `not_found` for a lot without SSA.
    """
    lot = _agreed(state, catalogue, name)
    if isinstance(lot, Refusal):
        return lot
    assert lot.ssa is not None, "looked up with its agreement"
    until = day.last_of_years(lot.ssa.until_day + 1, years or lot.ssa.years)
    over = _over(until, today, f"the term before ended on {day.shown(lot.ssa.until_day)}")
    if over is not None:
        return over
    paid = _paid(state, lot, lot.ssa.ssc if ssc is None else ssc, until, today, by)
    return paid if isinstance(paid, Refusal) else [*paid, SsaProlonged(lot.number, until)]


def set_auto(state: State, catalogue: Catalogue, name: str, *, auto: bool) -> list[AnyEvent] | Refusal:
    """Prolong by itself from now on, or no more; codes as for `prolong`."""
    lot = _agreed(state, catalogue, name)
    if isinstance(lot, Refusal):
        return lot
    assert lot.ssa is not None, "looked up with its agreement"
    ssa = Ssa(lot.ssa.until_day, lot.ssa.years, lot.ssa.ssc, auto)
    return [] if ssa == lot.ssa else [SsaAgreed(lot.number, lot.since_day, ssa)]


def end(state: State, catalogue: Catalogue, name: str) -> list[AnyEvent] | Refusal:
    """End an SSA now; no SSC come back by that. Codes as for `prolong`."""
    lot = _agreed(state, catalogue, name)
    return lot if isinstance(lot, Refusal) else [SsaEnded(lot.number)]


def payment(lot: Lot, ssc: int, until: int, today: int, by: str) -> Debited | None:
    """What a term until this day takes from the balance, whether it is there or not; None: nothing."""
    cost = lot.count * ssc
    why = f"SSA of {subject(lot)} until {day.shown(until)}"
    return Debited("ssc", cost, why, by, today) if cost else None


def _paid(state: State, lot: Lot, ssc: int, until: int, today: int, by: str) -> list[AnyEvent] | Refusal:
    paid = payment(lot, ssc, until, today, by)
    if paid is None:
        return []
    if paid.amount > state.book.ssc:
        return Refusal(Code.CREDIT_SHORT, f"{paid.amount} SSC are needed, {state.book.ssc} are there")
    return [paid]


def _over(until: int, today: int, why: str) -> Refusal | None:
    if until >= today:
        return None
    advice = "Agree on more years, or say until when."
    return Refusal(Code.INVALID_REQUEST, f"this term would have ended on {day.shown(until)}: {why}", advice)


def _agreed(state: State, catalogue: Catalogue, name: str) -> Lot | Refusal:
    lot = _lot(state, catalogue, name, agreed=True)
    if isinstance(lot, Refusal) or lot.ssa is not None:
        return lot
    detail = f"{subject(lot)} is not under SSA"
    return Refusal(Code.NOT_FOUND, detail, f"Put it under SSA: licence-master ssa start {lot.number}")


def _lot(state: State, catalogue: Catalogue, name: str, *, agreed: bool = False) -> Lot | Refusal:
    """The lot of this number, or the only one of this type that is (not) under SSA."""
    if name.isdecimal() and len(name) <= 9:
        lot = state.book.lots.get(int(name))
        return lot or Refusal(Code.NOT_FOUND, f"no lot {name}", "See licence-master ssa list.")
    named = row_of(catalogue, name)
    if isinstance(named, Refusal):
        return named
    type_, row = named
    if not catalogue.classes[row.class_].ssa:
        return Refusal(Code.HARDWARE_BOUND, f"{type_}: {NO_SSA[0]}", NO_SSA[1])
    lots = [lot for lot in state.book.lots.values() if lot.type == str(type_)]
    fitting = [lot for lot in lots if (lot.ssa is not None) is agreed] or lots
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        detail = f"no {type_} is assigned to a device"
        return Refusal(Code.NOT_FOUND, detail, "An SSA begins with the first assignment to a device.")
    numbers = ", ".join(str(lot.number) for lot in fitting)
    return Refusal(Code.INVALID_REQUEST, f"{type_} is in the lots {numbers}", "Name one of them.")
