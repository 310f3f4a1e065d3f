"""Credit notes: what they take back of an invoice, never more than it asked for, neither net nor VAT (B.r33).

Lines are counted from 1 as on the invoice. Amounts of a credit note are above 0: its kind says the direction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from billing.core.invoice import Invoice, Line
from billing.core.refusal import Code, Refused

Lines = Mapping[int, int]
"""Cents by number of line."""


@dataclass(frozen=True, slots=True)
class Credited:
    """What one credit note took back."""

    lines: Lines
    vat_cents: int


def left(invoice: Invoice, before: Sequence[Credited]) -> dict[int, int]:
    """What is left to credit of each line of an invoice, lines without anything left out."""
    found = {number: line.net_cents for number, line in enumerate(invoice.lines, 1)}
    for note in before:
        for number, cents in note.lines.items():
            found[number] -= cents
    return {number: cents for number, cents in found.items() if cents}


def credit(
    invoice: Invoice, before: Sequence[Credited], wanted: Mapping[int, int | None] | None
) -> tuple[Invoice, Credited] | Refused:
    """The credit note of some lines, each with its cents or None for all that is left of it; None: the rest.

    The one after which nothing is left takes exactly the VAT that is left.
    """
    rest = left(invoice, before)
    if not rest:
        return Refused(Code.NOTHING_LEFT, "all of it is credited already")
    asked = _asked(invoice, rest, dict.fromkeys(rest) if wanted is None else wanted)
    if isinstance(asked, Refused):
        return asked
    vat_left = invoice.vat_cents - sum(note.vat_cents for note in before)
    lines = tuple(_line(invoice.lines[number - 1], cents) for number, cents in sorted(asked.items()))
    made = replace(invoice, lines=lines, vat_left_cents=vat_left, is_last=asked == rest)
    return made, Credited(asked, made.vat_cents)


def _asked(invoice: Invoice, rest: Lines, wanted: Mapping[int, int | None]) -> dict[int, int] | Refused:
    found: dict[int, int] = {}
    for number, cents in wanted.items():
        if not 1 <= number <= len(invoice.lines):
            why = f"line {number}: expected a line from 1 to {len(invoice.lines)}"
            return Refused(Code.NO_SUCH_LINE, why)
        most = rest.get(number, 0)
        amount = most if cents is None else cents
        if not 0 < amount <= most:
            why = f"line {number}: {amount} cents asked for, {most} left to credit"
            return Refused(Code.NOTHING_LEFT, why)
        found[number] = amount
    return found


def _line(line: Line, cents: int) -> Line:
    """The whole line as it was, or a part of its amount."""
    return line if line.net_cents == cents else replace(line, quantity=1, unit_cents=cents)
