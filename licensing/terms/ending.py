"""What ends and when, and which reminder is due: licences with validity, SSA, rent, warranty (8.1 to 8.4)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from licensing.entitlement import Entitlement
from licensing.installation import printed_mac
from licensing.state import State
from licensing.terms import day
from licensing.terms.book import Book
from licensing.terms.lot import Lot
from licensing.terms.rental import Rented, paid_until

Kind = Literal["licence", "ssa", "rental", "warranty"]

BEFORE: Final = (90, 60, 30, 7, 1)
"""Days before the end at which it is said (B.H3 names 60, 30 and 7 of them)."""

ALARM: Final = 49
"""Rent sounds the alarm from 7 weeks before (vendor wiki, L.T7)."""

OVER: Final = -1
"""In place of days before: it has ended."""

NAMED: Final = 10
"""Things that one reminder names; it counts the others."""

_WORD: Final[Mapping[Kind, str]] = {
    "licence": "validity",
    "ssa": "SSA",
    "rental": "rent",
    "warranty": "warranty",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """One thing that ends: `ends_day` is its last day, `known_day` the day since which it has been known.

    `note` says what will happen, where something does by itself.
    """

    kind: Kind
    subject: str
    ends_day: int
    note: str = ""
    known_day: int = 0

    def days_left(self, today: int) -> int:
        """0 on the last day, negative afterwards."""
        return self.ends_day - today

    def alarm(self, today: int) -> bool:
        """Rent that is about to run out, or has."""
        return self.kind == "rental" and self.days_left(today) <= ALARM


def endings(state: State, today: int) -> list[Ending]:
    """Everything that ends or has ended, the next first."""
    found = [*_licences(state), *_agreements(state.book), *_rent(state, today), *_warranties(state.book)]
    return sorted(found, key=lambda ending: (ending.ends_day, ending.kind, ending.subject))


def _licences(state: State) -> Iterator[Ending]:
    """Licences of signed files with an end; a file whose licences have left is not here."""
    units: dict[str, list[Entitlement]] = {}
    for entitlement in state.entitlements.values():
        units.setdefault(entitlement.document, []).append(entitlement)
    for id_, document in state.documents.items():
        if document.until_ms is not None and id_ in units:
            count = sum(each.count for each in units[id_])
            subject = (
                f"{count} units of issue {document.issue_no} of {document.issuer} for {document.project}"
            )
            yield Ending("licence", subject, day.of_ms(document.until_ms - 1))


def _agreements(book: Book) -> Iterator[Ending]:
    for lot in book.lots.values():
        if lot.ssa is not None:
            yield Ending("ssa", subject(lot), lot.ssa.until_day, _prolongation(book, lot))


def subject(lot: Lot) -> str:
    """A lot as people are told of it."""
    return f"{lot.count} {lot.type} (lot {lot.number})"


def _prolongation(book: Book, lot: Lot) -> str:
    if lot.ssa is None or not lot.ssa.auto:
        return ""
    cost = lot.count * lot.ssa.ssc
    if cost > book.ssc:
        return f"it will not be prolonged: that takes {cost} SSC, {book.ssc} are there"
    return f"it will be prolonged until {day.shown(lot.ssa.next_until_day)} for {cost} of {book.ssc} SSC"


def rented(state: State) -> list[Rented]:
    """All rented units."""
    return [Rented(e.count, e.rental) for e in state.entitlements.values() if e.rental is not None]


def _rent(state: State, today: int) -> Iterator[Ending]:
    units = rented(state)
    if not units:
        return
    count, book = sum(each.count for each in units), state.book
    if not book.isc:
        yield Ending("rental", f"{count} rented units", book.rent_day, "they do not count: no iSC are left")
        return
    first = book.rent_day + 1 if book.rent_day else min(each.rental.since_day for each in units)
    last = paid_until(units, book.isc, first)
    if last is not None:
        yield Ending("rental", f"{count} rented units", last, f"{book.isc} iSC are left")


def _warranties(book: Book) -> Iterator[Ending]:
    for device in book.devices.values():
        name = f"{device.model or 'device'} {printed_mac(device.mac)}"
        yield Ending("warranty", name, device.warranty_day, known_day=device.known_day)


@dataclass(frozen=True, slots=True)
class Due:
    """A reminder to give: everything of one kind that ends on one day, `before` days before at most."""

    kind: Kind
    ends_day: int
    before: int
    text: str


def due(state: State, today: int) -> list[Due]:
    """The reminders that are due and were not given: of each deadline the latest only.

    What had ended before it was entered is not reminded of.
    """
    groups: dict[tuple[Kind, int], list[Ending]] = {}
    for ending in endings(state, today):
        if ending.known_day <= ending.ends_day:
            groups.setdefault((ending.kind, ending.ends_day), []).append(ending)
    found = []
    for (kind, ends_day), group in groups.items():
        before = _latest(kind, ends_day - today)
        said = state.book.reminders.get((kind, ends_day))
        if before is not None and (said is None or before < said.before):
            found.append(Due(kind, ends_day, before, _text(group, today)))
    return found


def _latest(kind: Kind, days_left: int) -> int | None:
    """The latest moment to remind that has come; None while the first has not."""
    if days_left < 0:
        return OVER
    moments = (*BEFORE, ALARM) if kind == "rental" else BEFORE
    return min((moment for moment in moments if days_left <= moment), default=None)


def _text(group: Sequence[Ending], today: int) -> str:
    first = group[0]
    names = [f"{e.subject} ({e.note})" if e.note else e.subject for e in group[:NAMED]]
    more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
    return f"{_WORD[first.kind]} {_when(first, today)}: {', '.join(names)}{more}"


def _when(ending: Ending, today: int) -> str:
    left = ending.days_left(today)
    if left < 0:
        return f"ended on {day.shown(ending.ends_day)}"
    days = {0: "today", 1: "tomorrow"}.get(left, f"in {left} days")
    return f"ends {days}, on {day.shown(ending.ends_day)}"
